/**
 * The properties and privileges of a container's process, as the host's /proc shows them, without
 * those that differ between containers.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

const fields =
  'Umask Uid Gid Groups SigBlk SigIgn CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs ' +
  'Seccomp Seccomp_filters Cpus_allowed';

/** Occurrences of `ids` are replaced. */
export function fingerprint(pid: number, ...ids: string[]): Record<string, unknown> {
  const text = (file: string): string => {
    let read = readFileSync(`/proc/${pid}/${file}`, 'utf8');
    for (const id of ids) read = read.replaceAll(id, 'ID');
    return read;
  };
  const status = new Map(
    text('status')
      .split('\n')
      .map((line) => line.split(':\t') as [string, string]),
  );
  return {
    ...Object.fromEntries(fields.split(' ').map((name) => [name, status.get(name)])),
    cgroup: /^0::.*$/m.exec(text('cgroup'))?.[0],
    ...Object.fromEntries(
      ['cmdline', 'environ', 'limits', 'oom_score_adj', 'personality'].map((file) => [
        file,
        text(file),
      ]),
    ),
    // Only their number: the pids differ each time.
    pidNamespaces: status.get('NSpid')?.split('\t').length,
    mounts: mounts(text('mountinfo')),
    // Only the descriptors' numbers: the names of pipes and sockets contain numbers of the kernel.
    fds: readdirSync(`/proc/${pid}/fd`),
    cwd: readlinkSync(`/proc/${pid}/cwd`),
    devices: readdirSync(`/proc/${pid}/root/dev`).sort(),
    apart: readdirSync(`/proc/${pid}/ns`).filter(
      (name) => readlinkSync(`/proc/${pid}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`),
    ),
  };
}

/** See proc_pid_mountinfo(5); without ids, device numbers and peer groups. */
function mounts(mountinfo: string): string[] {
  return mountinfo
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [mount, filesystem] = line.split(' - ') as [string, string];
      const [, , , root, path, options, ...tags] = mount.split(' ');
      const propagation = tags.map((tag) => tag.replace(/:.*/, ''));
      return [root, path, options, ...propagation, filesystem].join(' ');
    });
}
