/**
 * A root file system of a machine with a shell, Node and the libraries of both, but no compiler,
 * package manager or settings. It is an overlay, like the root of most containers. Programs see the
 * kernel file systems of this machine.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { call, makeRootfs, type Result } from './tare.js';

/** $1 is the root, $2 the working directory in it; the rest is the command. */
const enter = `set -e
mount -t tmpfs upper /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay "$1"
for name in dev proc sys; do mount --rbind /$name "$1/$name"; done
cd "$1"
mkdir -p old
pivot_root . old
cd "$2"
shift 2
/bin/umount -l /old
exec "$@"`;

const setpriv = '/usr/bin/setpriv';

export class MinimalRoot {
  readonly node = '/usr/bin/node';

  constructor(readonly directory: string) {
    makeRootfs(directory);
    for (const [path, mode] of [
      ['', 0o755],
      ['tmp', 0o1777],
    ] as const) {
      chmodSync(join(directory, path), mode);
    }
    this.#copyProgram(process.execPath, this.node);
    this.#copyProgram(setpriv, setpriv);
  }

  #copyProgram(from: string, to: string): void {
    this.#copy(from, to);
    const libraries = execFileSync('ldd', [from], { encoding: 'utf8' });
    for (const [, path = ''] of libraries.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)) {
      this.#copy(path, path);
    }
  }

  #copy(from: string, to: string): void {
    const place = join(this.directory, to);
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(from, place);
  }

  /** Runs a command in the root with a working directory, as root or as the user with that uid. */
  call(command: readonly string[], cwd: string, user = 0): Result {
    const become =
      user === 0 ? [] : [setpriv, `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
    const script = ['sh', '-c', enter, 'sh', this.directory, cwd, ...become, ...command];
    return call('unshare', ['--mount', '--propagation', 'private', ...script], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
  }
}
