/**
 * What the guest sees of this machine: every real file system, at its place and read-only, through one virtiofsd in
 * a mount namespace of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Unavailable, unpackPackage } from '../../scripts/debian.js';
import type { Replacement } from './foreign.js';

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
 * The mount points, `/` first, come from standard input, each after a line with what is to be there; the arguments are
 * the daemon's. Its lock files fall into a tmpfs over /run. It holds a descriptor for each file that the guest knows.
 */
const script = `
set -eu
mount -t tmpfs -o mode=700 view /sys
mkdir ${view}
while read -r source && read -r point; do
  mount --bind "$source" "${view}$point" || { [ "$point" != / ] && continue; exit 1; }
  mount -o remount,bind,ro "${view}$point"
done
mount -t tmpfs -o mode=755 locks /run
ulimit -n "$(ulimit -Hn)"
exec setpriv --pdeathsig KILL "$@" --rlimit-nofile=0 </dev/null
`;

/** Starts virtiofsd on `socket`; resolves when it listens. */
export async function shareMachine(
  socket: string,
  replaced: readonly Replacement[] = [],
): Promise<ChildProcess> {
  if (process.getuid?.() !== 0)
    throw new Unavailable('a guest on this root file system needs root: run as root');
  const points = sharedMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  const daemon = [...(await virtiofsd()), `--socket-path=${socket}`];
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', script, 'share', ...daemon],
    { stdio: ['pipe', 'ignore', 'pipe'] },
  );
  child.stdin.on('error', () => {}); // its exit tells
  const shared = [...points.map((point) => ({ source: point, target: point })), ...replaced];
  child.stdin.end(shared.map(({ source, target }) => `${source}\n${target}\n`).join(''));
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
