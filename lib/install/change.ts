/** File changes: all are computed first, then printed, then made, each atomically. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** An error that the user can act on. Only its message is shown. */
export class InstallError extends Error {
  override name = 'InstallError';
}

/** The desired state of a file. */
export interface Change {
  /** Path on this machine. */
  readonly path: string;
  /** undefined: the file is removed. */
  readonly content: string | Buffer | undefined;
  /** Mode of a new file. */
  readonly mode: number;
}

/** Returns the bytes of a file; undefined if it does not exist. */
export function contentOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      return undefined;
    }
    throw refusal(path, error);
  }
}

/** Returns the text of a file; undefined if it does not exist. */
export function textOf(path: string): string | undefined {
  return contentOf(path)?.toString('utf8');
}

/** Whether the file already has the desired state. */
export function isDone({ path, content, mode }: Change): boolean {
  const now = contentOf(path);
  if (now === undefined || content === undefined) return now === content;
  // A program must be executable, too.
  if ((mode & 0o111) !== 0 && (statSync(path).mode & 0o777) !== mode) return false;
  return now.equals(Buffer.from(content));
}

function refusal(path: string, error: unknown): InstallError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    EACCES: 'permission denied; run it as root (sudo)',
    EPERM: 'the kernel does not permit it; run it as root (sudo)',
    EROFS: 'the file system is read-only; choose another directory (--prefix, --destination)',
    ENOSPC: 'no space is left on its file system',
    EISDIR: 'it is a directory; name a file',
    ENOTDIR: 'a component of its path is not a directory',
  };
  return new InstallError(`${path}: ${reasons[code] ?? message}`);
}

/**
 * Makes the change atomically: a process that opens the file sees the old or the new one, and a
 * process that has the old one open, or executes it, keeps it. A symlink remains, and its target is
 * changed.
 */
export function make(change: Change): void {
  try {
    if (change.content === undefined) {
      rmSync(change.path, { force: true });
      return;
    }
    const path = existing(change.path);
    const before = statSync(path, { throwIfNoEntry: false });
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const temporary = join(dirname(path), `.tare-install-${process.pid}`);
    try {
      const file = openSync(temporary, 'wx', 0o600);
      try {
        const bytes = Buffer.from(change.content);
        for (let at = 0; at < bytes.length; at += writeSync(file, bytes, at));
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      const program = (change.mode & 0o111) !== 0;
      if (before !== undefined && !program) chownSync(temporary, before.uid, before.gid);
      chmodSync(temporary, before === undefined || program ? change.mode : before.mode & 0o7777);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  } catch (error) {
    throw refusal(change.path, error);
  }
}

/** Resolves symlinks in the part of the path that exists. */
function existing(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return path === dirname(path) ? path : join(existing(dirname(path)), basename(path));
  }
}

/**
 * Returns the path on this machine of a file of another root file system. Throws InstallError if a
 * symlink in it leads out of `root`: the file would then belong to this machine.
 */
export function below(root: string, path: string): string {
  const target = join(root, path);
  const real = existing(root);
  if (!join(existing(target), '/').startsWith(join(real, '/'))) {
    throw new InstallError(
      `${target}: a link leads out of ${root}, to ${existing(target)}; run it in there (chroot)`,
    );
  }
  return target;
}
