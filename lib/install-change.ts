/** Changes of files: found out first, told, and then made, each in one step. */
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

/** What a person can do something about; its message is all there is to say. */
export class InstallError extends Error {
  override name = 'InstallError';
}

/** A file as it is to be. */
export interface Change {
  /** On this machine. */
  readonly path: string;
  /** undefined: it is to be gone. */
  readonly content: string | Buffer | undefined;
  /** Of a file that is new. */
  readonly mode: number;
}

/** The bytes of a file; undefined where there is none. */
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

/** The text of a file; undefined where there is none. */
export function textOf(path: string): string | undefined {
  return contentOf(path)?.toString('utf8');
}

/** Whether the file is so already. */
export function isDone({ path, content, mode }: Change): boolean {
  const now = contentOf(path);
  if (now === undefined || content === undefined) return now === content;
  // A program that nobody may execute is not in place.
  if ((mode & 0o111) !== 0 && (statSync(path).mode & 0o777) !== mode) return false;
  return now.equals(Buffer.from(content));
}

function refusal(path: string, error: unknown): InstallError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    EACCES: 'permission denied; run it as root (sudo)',
    EPERM: 'the kernel does not permit it; run it as root (sudo)',
    EROFS: 'the file system is read-only; choose another place (--prefix, --destination)',
    ENOSPC: 'no space is left on its file system',
    EISDIR: 'it is a directory; name a file',
    ENOTDIR: 'something in its path is no directory',
  };
  return new InstallError(`${path}: ${reasons[code] ?? message}`);
}

/**
 * Makes the change in one step: whoever opens the file sees the old one or the new one, and whoever has the old one
 * open, or executes it, keeps it. A link stays one, and what it leads to is changed.
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

/** Where links lead, as far as there is something. */
function existing(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return path === dirname(path) ? path : join(existing(dirname(path)), basename(path));
  }
}

/**
 * Where a file of another root file system is on this machine. Throws InstallError where a link in it leads out: it
 * would be this machine's file.
 */
export function below(root: string, path: string): string {
  const place = join(root, path);
  const real = existing(root);
  if (!join(existing(place), '/').startsWith(join(real, '/'))) {
    throw new InstallError(
      `${place}: a link leads out of ${root}, to ${existing(place)}; run it in there (chroot)`,
    );
  }
  return place;
}
