/** What a container left on the machine. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // a process that has ended meanwhile
  }
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Everything with the container's id in its name, and what is in the runtime's state directory. */
export function leftovers(id: string, runtimeRoot: string): string[] {
  const state = readdirSync(runtimeRoot, { recursive: true, encoding: 'utf8' });
  const cgroups = readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' });
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [
    ...state.filter((path) => path.includes(id)).map((path) => `state ${join(runtimeRoot, path)}`),
    ...cgroups.filter((path) => path.split('/').at(-1) === id).map((path) => `cgroup ${path}`),
    ...mounts.filter((line) => line.includes(id)).map((line) => `mount ${line}`),
    ...processes()
      .filter((pid) => pid !== process.pid)
      .map((pid) => ({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ') }))
      .filter(({ pid, command }) => `${command}${read(`/proc/${pid}/cgroup`)}`.includes(id))
      .map(({ pid, command }) => `process ${pid} ${command}`),
  ];
}
