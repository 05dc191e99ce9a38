/**
 * The guest's root file system, read-only, served by one virtiofsd in a mount namespace of its own:
 * every real file system of this machine at its mount point, or another root.
 */
import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Unavailable, unpackPackage } from '../../scripts/debian.js';

/** A file, directory or symbolic link of this machine that the guest has at `target`. */
export interface Shared {
  source: string;
  target: string;
  /**
   * Only the directory itself, with the source's mode; its contents are shared by entries of their
   * own.
   */
  bare?: boolean;
}

const pseudo = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs proc ' +
    'pstore ramfs rpc_pipefs securityfs sysfs tracefs'
  ).split(' '),
);
const remade = ['/dev', '/proc', '/run', '/sys'];

/**
 * Returns the mount points of the file systems to share, parents first, from the text of
 * /proc/self/mountinfo.
 */
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

/**
 * The contents of `root`, and these directories of this machine. A shared directory is read-only,
 * so no mount point can be made in it: each directory of `root` that lacks one is made anew, and
 * its entries are shared.
 */
export function treeOf(root: string, besides: readonly string[]): Shared[] {
  const remadeHere = new Set(besides.flatMap((path) => parentsToRemake(root, path)));
  const entriesOf = (directory: string): Shared[] =>
    readdirSync(join(root, directory))
      .sort()
      .flatMap((name) => {
        const target = join(directory, name);
        const source = join(root, target);
        return remadeHere.has(target)
          ? [{ source, target, bare: true }, ...entriesOf(target)]
          : [{ source, target }];
      });
  return [...entriesOf('/'), ...besides.map((path) => ({ source: path, target: path }))];
}

/** Returns the directories of `root` on the way to `path`, if `root` lacks that path. */
function parentsToRemake(root: string, path: string): string[] {
  if (lstatSync(join(root, path), { throwIfNoEntry: false })?.isDirectory()) return [];
  const parents: string[] = [];
  for (let at = dirname(path); at !== '/'; at = dirname(at)) {
    const found = lstatSync(join(root, at), { throwIfNoEntry: false });
    // The path of a mount point must not lead out of the view.
    if (found && !found.isDirectory())
      throw new Unavailable(`${path}: ${at} is no directory in the guest: use another directory`);
    if (found) parents.push(at);
  }
  return parents;
}

/**
 * The daemon and its options: QEMU 7 contains one written in C, newer Debian releases have the Rust
 * one.
 */
async function virtiofsd(): Promise<string[]> {
  const old = '/usr/lib/qemu/virtiofsd';
  if (existsSync(old)) return [old, '-o', `source=${view},cache=always,sandbox=chroot`];
  const packaged = '/usr/libexec/virtiofsd';
  const daemon = existsSync(packaged) ? packaged : join(await unpackPackage('virtiofsd'), packaged);
  const options = ['--cache=always', '--sandbox=chroot', '--no-announce-submounts'];
  return [daemon, `--shared-dir=${view}`, ...options];
}

/** The file systems are assembled here, on a tmpfs in the daemon's mount namespace. */
export const view = '/sys/view';

/**
 * Reads the entries from standard input, parents first, each as three lines: "tree" or "bare", the
 * source and the target. The arguments are the daemon's command. Its lock files go to a tmpfs on
 * /run. It holds one descriptor for each file that the guest knows.
 */
const script = `
set -eu
mount -t tmpfs -o mode=700 view /sys
mkdir ${view}
while IFS= read -r kind && IFS= read -r source && IFS= read -r point; do
  if [ -L "$source" ]; then
    ln -s "$(readlink "$source")" "${view}$point"
    continue
  fi
  if [ -d "$source" ]; then
    mkdir -p "${view}$point"
    if [ "$kind" = bare ]; then
      chmod --reference "$source" "${view}$point"
      continue
    fi
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
exec setpriv --pdeathsig KILL "$@" </dev/null
`;

/** Starts `command` in a mount namespace where `view` has what the guest sees. */
export function spawnInView(
  tree: readonly Shared[],
  command: readonly string[],
): ChildProcessWithoutNullStreams {
  const child = spawn('unshare', [
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    script,
    'share',
    ...command,
  ]);
  child.stdin.on('error', () => {}); // the exit of the child reports it
  const lines = tree.map(({ source, target, bare = false }) =>
    [bare ? 'bare' : 'tree', source, target, ''].join('\n'),
  );
  child.stdin.end(lines.join(''));
  return child;
}

/** Starts virtiofsd on `socket`; resolves when it listens. */
export async function shareTree(socket: string, tree: readonly Shared[]): Promise<ChildProcess> {
  if (process.getuid?.() !== 0)
    throw new Unavailable('a guest on this root file system needs root: run as root');
  const daemon = [...(await virtiofsd()), `--socket-path=${socket}`, '--rlimit-nofile=0'];
  const child = spawnInView(tree, daemon);
  child.stdout.resume();
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
