/** What run() makes of its options: the container's configuration, and where it is kept. */
import { lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { env, geteuid } from 'node:process';
import { invalidArgument } from './errors.js';
import { hostRoot, type MountPoint } from './host-root.js';
import { stringify } from './json.js';
import { Recently } from './recently.js';
import type { RunOptions } from './run.js';
import { sandboxSpecOf, type BindMount } from './sandbox.js';
import { defaultSeccompText } from './seccomp-profile.js';
import type { Mount, Spec } from './spec.js';

/** The container's config.json. */
export async function configOf(
  command: readonly string[],
  options: RunOptions,
  root: string,
): Promise<string> {
  const { spec: edit, seccomp = 'default' } = options;
  if (edit !== undefined) return stringify(edit(await specOf(command, options, root)));
  if (seccomp !== 'default') return stringify(await specOf(command, options, root));
  // The filter is most of the text, and the same each time.
  const { linux, ...rest } = await specOf(command, { ...options, seccomp: 'unconfined' }, root);
  const [most, inLinux] = [stringify(rest).slice(0, -1), stringify(linux).slice(0, -1)];
  return `${most},"linux":${inLinux},"seccomp":${defaultSeccompText()}}}`;
}

async function specOf(
  command: readonly string[],
  options: RunOptions,
  root: string,
): Promise<Spec> {
  const { rootfs } = options;
  if (rootfs !== undefined) {
    const has = directories.ask(runOf(rootfs));
    return sandboxSpecOf(
      command,
      { ...options, rootfs },
      typeof has === 'boolean' ? has : await has,
    );
  }
  const host = await hostRoot(root, await Promise.all((options.mounts ?? []).map(mountPoint)));
  const mounts = [...host.mounts, ...(await resolver(options)), ...(options.mounts ?? [])];
  const made = sandboxSpecOf(command, { ...options, rootfs: host.path, mounts }, true);
  if (host.programs.length > 0 && options.env?.['PATH'] === undefined) {
    const { env: variables = [] } = made.process!;
    made.process!.env = variables.map((variable) =>
      variable.startsWith('PATH=') ? [variable, ...host.programs].join(':') : variable,
    );
  }
  return made;
}

const runOf = (rootfs: string): string => join(rootfs, 'run');

const directories = new Recently(async (path) => {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() ?? false;
});

/** After a start that failed: what was known of its root may not hold any more. */
export function forgetRoot(rootfs: string): void {
  directories.forget(runOf(rootfs));
}

async function mountPoint({ source = '', destination }: BindMount | Mount): Promise<MountPoint> {
  const status = await stat(source).catch(() => undefined);
  return { path: String(destination), isDirectory: status?.isDirectory() ?? true };
}

/**
 * Names are looked up as on the host where its network is there. Everybody may read these files, so their owners need
 * not be mapped, which not every file system can: not the overlay that is the root of most containers.
 */
async function resolver({ network }: RunOptions): Promise<Mount[]> {
  if (network !== 'host') return [];
  const files = ['/etc/resolv.conf', '/etc/hosts'].map(async (file) => {
    const source = await realpath(file).catch(() => undefined);
    const options = ['rbind', 'nosuid', 'nodev', 'noexec', 'rro'];
    return source === undefined ? [] : [{ source, destination: file, options }];
  });
  return (await Promise.all(files)).flat();
}

/** As the command line has it, but for users without a directory of their own in /run. */
export async function stateRoot(given: string | undefined): Promise<string> {
  if (given !== undefined) return resolve(given);
  const uid = geteuid!();
  if (uid === 0) return '/run/tare';
  if (env['XDG_RUNTIME_DIR']) return join(env['XDG_RUNTIME_DIR'], 'tare');
  const own = join(tmpdir(), `tare-${uid}`);
  await mkdir(own, { recursive: true, mode: 0o700 });
  const status = await lstat(own);
  if (!status.isDirectory() || status.uid !== uid || (status.mode & 0o077) !== 0) {
    throw invalidArgument(
      `root: ${own} is not a directory of this user's alone; name another with root, or set XDG_RUNTIME_DIR`,
    );
  }
  return own;
}
