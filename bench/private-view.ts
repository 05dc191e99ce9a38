/**
 * Runs benchmarks in new mount and pid namespaces. There, /sys/fs/cgroup is the cgroup v2 tree,
 * even if the host mounts that beside v1 trees; /run is a tmpfs that contains only docker's socket,
 * if there is one; and processes that are left over end with the benchmark. Nothing changes
 * outside.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const insideVariable = 'TARE_BENCH_VIEW';

const enterView = `
  v2=$1; shift
  [ "$v2" = /sys/fs/cgroup ] || mount --bind "$v2" /sys/fs/cgroup
  exec 9</run
  mount -t tmpfs -o mode=755 run /run
  if [ -S /proc/self/fd/9/docker.sock ]; then
    touch /run/docker.sock
    mount --no-canonicalize --bind /proc/self/fd/9/docker.sock /run/docker.sock
  fi
  # Not by exec: pid 1 of the namespace has to reap what a contender leaves behind.
  status=0; "$@" 9<&- || status=$?
  exit $status`;

function cgroup2MountPoint(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const line = mounts.find((mount) => mount.split(' ')[2] === 'cgroup2');
  const path = line?.split(' ')[1];
  if (path === undefined) {
    throw new Error('no cgroup v2 tree is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup');
  }
  return path;
}

/**
 * Returns the prefix of the names of all cgroups, and so of all container ids, of this benchmark.
 */
export function cgroupPrefix(): string {
  return `tare-bench-${process.env[insideVariable] ?? process.pid}-`;
}

/** Removes the cgroups of a benchmark that did not finish; they are empty by now. */
function removeCgroups(tree: string): void {
  for (const name of readdirSync(tree)) {
    if (name.startsWith(cgroupPrefix())) rmdirSync(join(tree, name));
  }
}

/**
 * Runs this program again in the private view.
 * @returns its exit status, or undefined if this process is already in the view
 */
export async function runInPrivateView(): Promise<number | undefined> {
  if (process.env[insideVariable] !== undefined) {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => process.exit(130));
    return undefined;
  }
  if (process.getuid?.() !== 0) throw new Error('benchmarks of containers need root');
  const tree = cgroup2MountPoint();
  const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--mount-proc'];
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(
    'unshare',
    [...namespaces, '--kill-child', 'sh', '-ec', enterView, 'sh', tree, ...self],
    { stdio: 'inherit', env: { ...process.env, [insideVariable]: String(process.pid) } },
  );
  // The program in the view exits on these signals; this process then removes its cgroups and
  // exits, too.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [status] = (await once(child, 'exit')) as [number | null];
  removeCgroups(tree);
  return status ?? 1;
}

const enterRoot = `
  root=$1 work=$2; shift 2
  mount --bind "$root" "$root"
  cd "$root"
  mount -t proc proc proc
  mount --rbind /sys sys
  mount --rbind /dev dev
  mount -t tmpfs -o mode=755 run run
  mkdir ".$work"
  mount --rbind "$work" ".$work"
  pivot_root . .
  umount -l .
  exec "$@"`;

/**
 * Returns the prefix of a command that runs it with another root file system, in which nothing of
 * this one except the work directory (below /run) is visible.
 */
export function rootPrefix(root: string, work: string): string[] {
  return [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-ec',
    enterRoot,
    'sh',
    root,
    work,
  ];
}
