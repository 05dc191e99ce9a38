/** Calls `tare` as an ordinary user, with the /etc/passwd, subuid and subgid that a test wants. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cli } from './build.js';
import { call, makeRootfs, type Config, type Result, type Sandbox } from './tare.js';

export const uid = 54321;
const name = 'tare-test';

/** Bind mounts the test's files over those of /etc, enters a cgroup, and becomes the user. */
const become = `set -e
for file in passwd subuid subgid; do
  [ -e "/etc/$file" ] && mount --bind "$1/$file" "/etc/$file"
done
[ -z "$2" ] || echo $$ >"$2/cgroup.procs"
shift 2
exec setpriv --reuid ${uid} --regid ${uid} --clear-groups "$@"`;

export class OrdinaryUser {
  readonly directory: string;
  /** A copy of the command line that the user can read. */
  readonly program: string;
  readonly #etc: string;
  readonly #tag: string;
  /** The cgroup of the calls; empty: the cgroup of this process. */
  cgroup = '';
  /** XDG_RUNTIME_DIR; empty: unset. */
  runtime: string;
  /** PATH of the calls. */
  path = process.env['PATH'] ?? '';
  #bundles = 0;

  constructor(sandbox: Sandbox) {
    this.#tag = sandbox.tag;
    chmodSync(sandbox.directory, 0o711);
    this.directory = join(sandbox.directory, 'user');
    this.runtime = join(this.directory, 'run');
    this.#etc = join(sandbox.directory, 'etc');
    mkdirSync(this.#etc);
    mkdirSync(this.runtime, { recursive: true });
    chownSync(this.directory, uid, uid);
    chownSync(this.runtime, uid, uid);
    this.program = join(this.directory, 'tare');
    copyFileSync(cli, this.program);
    writeFileSync(
      join(this.#etc, 'passwd'),
      `${readFileSync('/etc/passwd', 'utf8')}${name}:x:${uid}:${uid}::/:/bin/sh\n`,
    );
    this.ranges('');
  }

  /** Writes /etc/subuid and /etc/subgid: `range` is "FIRST:COUNT", or empty for no range. */
  ranges(range: string): void {
    for (const file of ['subuid', 'subgid']) {
      writeFileSync(join(this.#etc, file), range === '' ? '' : `${name}:${range}\n`);
    }
  }

  run(command: string[]): Result {
    return call(
      'unshare',
      [
        ...['--mount', '--propagation', 'private', 'sh', '-c', become, 'sh'],
        ...[this.#etc, this.cgroup, ...command],
      ],
      { env: { PATH: this.path, ...(this.runtime && { XDG_RUNTIME_DIR: this.runtime }) } },
    );
  }

  tare(...args: string[]): Result {
    return this.run([this.program, ...args]);
  }

  /** Creates a bundle as the user, with `spec --rootless`. */
  bundle(args: string[], edit?: (config: Config) => void): string {
    const bundle = join(this.directory, `bundle${this.#bundles++}`);
    makeRootfs(join(bundle, 'rootfs'));
    spawnSync('chown', ['-R', `${uid}:${uid}`, bundle]);
    const made = this.tare('spec', '--rootless', '--bundle', bundle);
    if (made.status !== 0) throw new Error(made.stderr);
    const path = join(bundle, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Config;
    config.process.args = args;
    config.process.terminal = false;
    edit?.(config);
    writeFileSync(path, JSON.stringify(config));
    return bundle;
  }

  /**
   * Creates a cgroup that is delegated to the user, with a cgroup for the user's session in it.
   * Calls within `act` come from the session's cgroup.
   */
  delegated(act: (top: string) => void): void {
    const top = `/sys/fs/cgroup/${this.#tag}-delegated`;
    const session = join(top, 'session');
    mkdirSync(session, { recursive: true });
    for (const path of [top, session]) {
      for (const file of ['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads']) {
        chownSync(join(path, file), uid, uid);
      }
    }
    this.cgroup = session;
    try {
      act(top);
    } finally {
      this.cgroup = '';
      rmdirSync(session);
      rmdirSync(top);
    }
  }

  /** Returns the containers that are left in the state directory. */
  containers(): string[] {
    try {
      return readdirSync(join(this.runtime, 'tare')).filter((id) => !/^\.?@/.test(id));
    } catch {
      return [];
    }
  }
}
