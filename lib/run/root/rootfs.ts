/** Explains failures to start a container in terms of run()'s options. */
import { access, constants, lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { env, geteuid } from 'node:process';
import { TareError, type TareErrorFields } from '../../errors.js';
import type { RunOptions } from '../options.js';
import type { BindMount } from '../sandbox-options.js';
import type { Mount } from '../../spec/spec.js';

const eacces = -13;
const exdev = -18;
const erofs = -30;
const eloop = -40;
const enter = 0o001;

/** Returns the error to report for `failure`, in which the creation of a container ended. */
export async function explained(
  failure: unknown,
  command: readonly string[],
  options: RunOptions,
): Promise<unknown> {
  if (!(failure instanceof TareError)) return failure;
  const { rootfs, mounts = [] } = options;
  if (failure.code === 'ERR_TARE_COMMAND_NOT_FOUND' && rootfs === undefined) {
    return withPlaceOnHost(failure, command[0] ?? '');
  }
  const [option, index] = /^mounts\[(\d+)\]/.exec(failure.path ?? '') ?? [];
  const mount = mounts[Number(index)];
  if (option !== undefined && mount !== undefined && options.spec === undefined) {
    const reason = await reasonOf(failure, option, mount, rootfs === undefined);
    return reason === undefined
      ? failure
      : changed(failure, reason.message, { code: 'ERR_TARE_INVALID_ARGUMENT', path: reason.path });
  }
  return rootfs === undefined ? failure : inaccessible(failure, rootfs);
}

/** Returns what is wrong with a mount of the options, if that can be determined. */
async function reasonOf(
  { errno }: TareError,
  option: string,
  mount: BindMount | Mount,
  isHostRoot: boolean,
): Promise<{ message: string; path: string } | undefined> {
  if ('type' in mount || 'options' in mount) return undefined;
  const { source, within, destination } = mount as BindMount;
  const missing = within === undefined ? undefined : await whyNoDirectory(within);
  if (missing !== undefined) {
    return { message: `${option}.within: ${within}: ${missing}`, path: `${option}.within` };
  }
  if (errno === eloop && within === undefined) {
    const link = await firstLink(resolve(source));
    if (link === undefined) return undefined;
    const real = await realpath(source).catch(() => undefined);
    const path = real === undefined ? '' : ` (${real})`;
    return {
      message: `${option}.source: ${link} is a symbolic link; give the path without links${path}, or open it below a directory with within`,
      path: `${option}.source`,
    };
  }
  if ((errno === exdev || errno === eloop) && within !== undefined) {
    return {
      message: `${option}.source: ${source} leads out of ${within}, below which it is to be opened`,
      path: `${option}.source`,
    };
  }
  if (errno === erofs) {
    const why = isHostRoot
      ? "does not exist, and its directory is the host's, which is read-only"
      : 'does not exist, and its directory is read-only';
    return {
      message: `${option}.destination: ${destination} ${why}; mount it elsewhere, such as at /mnt/${basename(destination)}`,
      path: `${option}.destination`,
    };
  }
  return undefined;
}

/** Returns why a path names no directory; undefined if it does. */
async function whyNoDirectory(path: string): Promise<string | undefined> {
  try {
    return (await stat(path)).isDirectory() ? undefined : 'is not a directory; give the one above';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'does not exist; create the directory' : `stat: ${code}`;
  }
}

/** Returns the first prefix of a path that is a symbolic link. */
async function firstLink(path: string): Promise<string | undefined> {
  const parts = path.split('/').slice(1);
  for (let count = 1; count <= parts.length; count++) {
    const part = `/${parts.slice(0, count).join('/')}`;
    const status = await lstat(part).catch(() => undefined);
    if (status === undefined) return undefined;
    if (status.isSymbolicLink()) return part;
  }
  return undefined;
}

function changed(
  failure: TareError,
  message: string,
  fields: Partial<TareErrorFields> = {},
): TareError {
  const { code, errno, syscall, path, stage } = failure;
  return new TareError(message, {
    ...{ code, errno, syscall, path, stage, cause: failure },
    ...fields,
  });
}

/** Adds where this program finds a command that the default root does not contain. */
async function withPlaceOnHost(failure: TareError, command: string): Promise<TareError> {
  const directories = command.includes('/') ? [''] : (env['PATH'] ?? '').split(':');
  for (const directory of directories) {
    const path = join(directory, command);
    if (!isAbsolute(path) || !(await isProgram(path))) continue;
    const real = await realpath(path);
    return changed(
      failure,
      `${failure.message}; on this host it is ${path}, in a directory that the command does not see: ` +
        `show it with mounts: [{ source: '${dirname(real)}', destination: '/mnt' }] and run /mnt/${basename(real)}, ` +
        'or install it below /usr/local',
    );
  }
  return failure;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/**
 * Explains an EACCES on `rootfs`: the ids of root's containers are unknown to the host, so they
 * have no access to files that only root may read.
 */
async function inaccessible(failure: TareError, rootfs: string): Promise<TareError> {
  if (failure.errno !== eacces || geteuid!() !== 0) return failure;
  const status = await stat(rootfs).catch(() => undefined);
  if (!status || (status.mode & enter) !== 0) return failure;
  const mode = (status.mode & 0o7777).toString(8);
  return changed(
    failure,
    `rootfs: ${rootfs} has mode ${mode}, which denies access to the container's users, as they own no files ` +
      `of the host; let others enter and read it (chmod -R o+rX ${rootfs})`,
    { code: 'ERR_TARE_INVALID_ARGUMENT', path: rootfs },
  );
}
