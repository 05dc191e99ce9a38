/**
 * What the guest sees as its root file system, read-only, through one virtiofsd in a mount namespace of its own: every
 * real file system of this machine at its place, or another root.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Unavailable, unpackPackage } from '../../scripts/debian.js';

/** What a guest sees at `target`: a file, a directory or a symbolic link of this machine. */
export interface Shared {
  source: string;
  target: string;
}

const pseudo = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs proc ' +
    'pstore ramfs rpc_pipefs securityfs sysfs tracefs'
  ).split(' '),
);
const remade = ['/dev', '/proc', '/run', '/sys'];

/** Mount points of the file systems to share, parents first, from the text of /proc/self/mountinfo. */
export function sharedMounts(mountinfo: string): string[] {
  const points: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const match = /^\d+ \d+ \S+ \S+ (\S+) .* - (\S+) /.exec(line);
    if (!match) continue;
    const [, escaped, type] = match;
    const point = escaped!.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(parseInt(octal, 8)),
    );
    if (pseudo.has(type!) || remade.some((top) => point === top || point.startsWith(`${top}/`)))
      continue;
    if (!points.includes(point)) points.push(point);
  }
  return points.sort((a, b) => (a < b ? -1 : 1));
}

/** This machine's file systems. */
export function machineTree(): Shared[] {
  const points = sharedMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  return points.map((point) => ({ source: point, target: point }));
}

/** What lies below `root`, and these directories of this machine's. */
export function treeOf(root: string, besides: readonly string[]): Shared[] {
  const names = readdirSync(root).sort();
  return [
    ...names.map((name) => ({ source: join(root, name), target: `/${name}` })),
    ...besides.map((path) => ({ source: path, target: path })),
  ];
}

/** The daemon and its options: QEMU 7 brought one written in C, newer Debians have the Rust one. */
async function virtiofsd(): Promise<string[]> {
  const old = '/usr/lib/qemu/virtiofsd';
  if (existsSync(old)) return [old, '-o', `source=${view},cache=always,sandbox=chroot`];
  const packaged = '/usr/libexec/virtiofsd';
  const daemon = existsSync(packaged) ? packaged : join(await unpackPackage('virtiofsd'), packaged);
  const options = ['--cache=always', '--sandbox=chroot', '--no-announce-submounts'];
  return [daemon, `--shared-dir=${view}`, ...options];
}

/** Here the file systems are put together, on a tmpfs that only the daemon's mount namespace sees. */
const view = '/sys/view';

/**
 * The places, parents first, come from standard input, each after a line with what is to be there; the arguments are
 * the daemon's. Its lock files fall into a tmpfs over /run. It holds a descriptor for each file that the guest knows.
 */
const script = `
set -eu
mount -t tmpfs -o mode=700 view /sys
mkdir ${view}
while read -r source && read -r point; do
  if [ -L "$source" ]; then
    ln -s "$(readlink "$source")" "${view}$point"
    continue
  fi
  if [ -d "$source" ]; then
    mkdir -p "${view}$point"
    # What comes later may lie below it. One in what is mounted there already, read-only, is mounted.
    if [ -z "$(ls -A "$source")" ] && chmod --reference "$source" "${view}$point" 2>/dev/null; then continue; fi
  elif [ ! -e "${view}$point" ]; then
    : >"${view}$point"
  fi
  mount --bind "$source" "${view}$point" || { [ "$point" != / ] && continue; exit 1; }
  mount -o remount,bind,ro "${view}$point"
done
mount -t tmpfs -o mode=755 locks /run
ulimit -n "$(ulimit -Hn)"
exec setpriv --pdeathsig KILL "$@" --rlimit-nofile=0 </dev/null
`;

/** Starts virtiofsd on `socket`; resolves when it listens. */
export async function shareTree(socket: string, tree: readonly Shared[]): Promise<ChildProcess> {
  if (process.getuid?.() !== 0)
    throw new Unavailable('a guest on this root file system needs root: run as root');
  const daemon = [...(await virtiofsd()), `--socket-path=${socket}`];
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', script, 'share', ...daemon],
    { stdio: ['pipe', 'ignore', 'pipe'] },
  );
  child.stdin.on('error', () => {}); // its exit tells
  child.stdin.end(tree.map(({ source, target }) => `${source}\n${target}\n`).join(''));
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.on('error', (error) => reject(new Unavailable(`unshare: ${error.message}`)));
    child.on('exit', (status) =>
      reject(new Unavailable(`virtiofsd ended with status ${status}: ${log.trim()}`)),
    );
    child.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4096);
      if (log.includes('Waiting for vhost-user socket connection')) resolve();
    });
  });
  return child;
}
