/** Files and streams that a command's output goes to, and the file that is its input. */
import { constants, createWriteStream } from 'node:fs';
import { open, readlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { finished, Writable, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TareError } from '../errors.js';
import { within } from '../container/output.js';
import type { StdioItem } from '../container/stdio.js';
import {
  isFile,
  isStream,
  isWebStream,
  type FileSource,
  type FileTarget,
  type InputItem,
  type OutputItem,
  type OutputTarget,
} from './options.js';

/** How one of the two outputs is connected. */
export interface OutputPlan {
  /** What the command gets, unless it is a file. */
  item: StdioItem;
  /** A file that the command writes to directly. */
  file?: FileTarget;
  /** Targets that this program writes the output to, each with its index in the option. */
  targets: readonly { target: OutputTarget; suffix: string }[];
  /** Whether the caller gets the output, as a stream and in the result. */
  isPiped: boolean;
}

export function outputPlan(item: OutputItem): OutputPlan {
  const all: readonly (OutputTarget | 'ignore')[] = Array.isArray(item)
    ? (item as readonly OutputTarget[])
    : [item as OutputTarget];
  const [first = 'ignore'] = all;
  if (all.length === 1) {
    if (isFile(first)) return { item: 'ignore', file: first, targets: [], isPiped: false };
    if (!isStream(first)) {
      return { item: first, targets: [], isPiped: first === 'pipe' };
    }
  }
  const targets = all.flatMap((target, index) =>
    target === 'pipe' || target === 'ignore'
      ? []
      : [{ target, suffix: Array.isArray(item) ? `[${index}]` : '' }],
  );
  return { item: 'pipe', targets, isPiped: targets.length < all.length };
}

const pathOf = ({ file }: FileSource | FileTarget): string =>
  resolve(typeof file === 'string' ? file : fileURLToPath(file));

/** Opens no file, only its location in the file system; node:fs does not name it. */
const O_PATH = 0o10000000;

/**
 * Opens a regular file, or a device such as /dev/null, without following a symbolic link in any
 * part of its path: in a directory that a command may write to, a link could lead to any file of
 * the host. The directory is opened first, and the file relative to it, so that no part is looked
 * up twice.
 */
async function openNoFollow(path: string, flags: number): Promise<FileHandle> {
  const opened = open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  const directory = await opened.catch((error: unknown) => {
    throw Object.assign(error as Error, { path });
  });
  try {
    const link = `/proc/self/fd/${directory.fd}`;
    if ((await readlink(link)) !== dirname(path)) {
      throw new Error(
        `${dirname(path)} leads through a symbolic link; give the path without links, ${await readlink(link)}`,
      );
    }
    return await openIn(`${link}/${basename(path)}`, path, flags);
  } finally {
    await directory.close();
  }
}

/** Opens `entry`, a file in an open directory, which errors name `path`. */
async function openIn(entry: string, path: string, flags: number): Promise<FileHandle> {
  const { O_CREAT, O_EXCL, O_NOCTTY, O_NOFOLLOW } = constants;
  const named = (error: unknown): never => {
    const { code, errno, syscall } = error as NodeJS.ErrnoException;
    throw Object.assign(new Error(`${path}: ${code}`), { code, errno, syscall, path });
  };
  // To open a FIFO would wait for its other end; to open it O_NONBLOCK would leave a terminal so.
  const found = await open(entry, O_PATH | O_NOFOLLOW).catch((error: unknown) => {
    const isNew = (error as NodeJS.ErrnoException).code === 'ENOENT' && (flags & O_CREAT) !== 0;
    return isNew ? undefined : named(error);
  });
  if (found === undefined) {
    return open(entry, flags | O_EXCL | O_NOFOLLOW, 0o666).catch((error: unknown) =>
      // Another process has just created it.
      (error as NodeJS.ErrnoException).code === 'EEXIST'
        ? openIn(entry, path, flags)
        : named(error),
    );
  }
  try {
    const status = await found.stat();
    if (status.isSymbolicLink()) {
      throw new Error(`${path}: is a symbolic link, which is not followed`);
    }
    if (!status.isFile() && !status.isCharacterDevice()) {
      throw new Error(`${path} is not a regular file; open it, and give its descriptor`);
    }
    return await open(`/proc/self/fd/${found.fd}`, (flags & ~O_CREAT) | O_NOCTTY).catch(named);
  } finally {
    await found.close();
  }
}

/** Returns the named files, each with its file descriptor number and its index in the option. */
export function filesOf(
  stdin: InputItem,
  plans: readonly OutputPlan[],
): [number: number, suffix: string, source: FileSource | FileTarget][] {
  const inputs: [number, string, FileSource][] = isFile(stdin) ? [[0, '', stdin]] : [];
  const outputs = plans.flatMap(({ file, targets }, index) =>
    [...(file ? [{ target: file, suffix: '' }] : []), ...targets].flatMap(
      ({ target, suffix }): [number, string, FileTarget][] =>
        isFile(target) ? [[index + 1, suffix, target]] : [],
    ),
  );
  return [...inputs, ...outputs];
}

interface NamedFile {
  /** Name of the option. */
  name: string;
  source: FileSource | FileTarget;
  writes: boolean;
}

const isAppended = (source: FileSource | FileTarget): boolean =>
  'append' in source && source.append === true;

/**
 * The open files of a call. The same file is opened once: two descriptors would overwrite each
 * other's data.
 */
export class OpenFiles {
  readonly #handles = new Map<string, { handle: FileHandle; name: string; append: boolean }>();

  /** Opens all files, and truncates them only when all are open. They stay open until close(). */
  static async open(files: readonly NamedFile[]): Promise<OpenFiles> {
    const opened = new OpenFiles();
    try {
      for (const file of files) await opened.#add(file);
      for (const { handle, append } of opened.#handles.values()) if (!append) await empty(handle);
    } catch (error) {
      opened.close();
      throw error;
    }
    return opened;
  }

  async #add({ name, source, writes }: NamedFile): Promise<void> {
    const append = !writes || isAppended(source);
    const known = this.#handles.get(keyOf(source, writes));
    if (known === undefined) {
      const flags = !writes
        ? constants.O_RDONLY
        : constants.O_WRONLY | constants.O_CREAT | (append ? constants.O_APPEND : 0);
      const handle = await openNoFollow(pathOf(source), flags).catch((error: unknown) => {
        throw fileError(`${name}.file`, error);
      });
      this.#handles.set(keyOf(source, writes), { handle, name, append });
    } else if (known.append !== append) {
      throw new TareError(
        `${name}.append: differs from that of ${known.name}, which is the same file; use the same value for both`,
        { code: 'ERR_TARE_INVALID_ARGUMENT' },
      );
    }
  }

  /** Returns the handle of one of the files. */
  get(source: FileSource | FileTarget, writes: boolean): FileHandle {
    return this.#handles.get(keyOf(source, writes))!.handle;
  }

  close(): void {
    for (const { handle } of this.#handles.values()) handle.close().catch(() => undefined);
    this.#handles.clear();
  }
}

const keyOf = (source: FileSource | FileTarget, writes: boolean): string =>
  `${writes} ${pathOf(source)}`;

async function empty(handle: FileHandle): Promise<void> {
  if ((await handle.stat()).isFile()) await handle.truncate();
}

function fileError(name: string, error: unknown): TareError {
  const { message, errno, syscall, path } = error as NodeJS.ErrnoException;
  return new TareError(`${name}: ${message}`, {
    ...{ code: 'ERR_TARE_SYSTEM', errno, syscall, path, cause: error },
  });
}

/** Milliseconds for which a target may delay the result of a command that is being terminated. */
const timeout = 500;

interface OpenTarget {
  writable: Writable;
  /** Whether it is ended after the output. */
  ends: boolean;
  /** Resolves when all data is written, or the target has failed. */
  done: Promise<void>;
  stopListening: () => void;
}

/** Writes streams to targets, at the pace of the slowest target. */
export class Relay {
  readonly #files: OpenFiles | undefined;
  readonly #failed: (name: string, error: unknown) => void;
  readonly #targets = new Map<unknown, OpenTarget>();
  readonly #sources: { stream: Readable; ended: Promise<void> }[] = [];

  /**
   * `files` holds the files among the targets. Calls `failed` with the option's name and the error
   * if a target fails.
   */
  constructor(files: OpenFiles | undefined, failed: (name: string, error: unknown) => void) {
    this.#files = files;
    this.#failed = failed;
  }

  /** `name` is that of the option, `number` the file descriptor. */
  add(name: string, number: number, stream: Readable, targets: OutputPlan['targets']): void {
    for (const { target, suffix } of targets) {
      stream.pipe(this.#open(name + suffix, number, target), { end: false });
    }
    const ended = new Promise<void>((resolve) =>
      finished(stream, { writable: false }, () => resolve()),
    );
    this.#sources.push({ stream, ended });
  }

  /** Opens a target. One that both outputs go to is opened once, and ended after both. */
  #open(name: string, number: number, target: OutputTarget): Writable {
    const key = isFile(target) ? pathOf(target) : target === 'inherit' ? -number : target;
    const known = this.#targets.get(key);
    if (known) return known.writable;
    const writable = isFile(target)
      ? this.#files!.get(target, true).createWriteStream()
      : writableOf(target, number);
    let stopListening = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      stopListening = finished(writable, { readable: false }, (error) => {
        if (error) {
          this.#failed(name, error);
          // A readable stream without a destination pauses and would not reach its end.
          for (const { stream } of this.#sources) stream.resume();
        }
        resolve();
      });
    });
    const ends = writable !== process.stdout && writable !== process.stderr;
    this.#targets.set(key, { writable, ends, done, stopListening });
    return writable;
  }

  /**
   * Resolves when all data of the sources is written. A stalled target is waited for until
   * `hurries` returns true.
   */
  async end(hurries: () => boolean): Promise<void> {
    await waitFor(Promise.all(this.#sources.map(({ ended }) => ended)), hurries);
    this.close();
    const ending = [...this.#targets.values()].filter(({ ends }) => ends);
    await waitFor(Promise.all(ending.map(({ done }) => done)), hurries);
  }

  /** Disconnects the sources and ends the targets. */
  close(): void {
    for (const { writable, ends, stopListening } of this.#targets.values()) {
      for (const { stream } of this.#sources) stream.unpipe(writable);
      if (ends) writable.end();
      else stopListening();
    }
  }
}

/** Waits for `work`; at most `timeout` once `hurries` returns true. */
async function waitFor(work: Promise<unknown>, hurries: () => boolean): Promise<void> {
  const done = work.then(() => undefined);
  while (!(await within(done, timeout))) if (hurries()) return;
}

function writableOf(target: Exclude<OutputTarget, FileTarget>, number: number): Writable {
  if (target === 'inherit') return number === 1 ? process.stdout : process.stderr;
  if (typeof target === 'number') return descriptor(target);
  if (isStream(target)) return isWebStream(target) ? Writable.fromWeb(target) : target;
  if (target instanceof Writable) return target;
  return descriptor((target as { fd: number }).fd);
}

/** Returns a stream that writes to a file descriptor and does not close it. */
const descriptor = (fd: number): Writable => createWriteStream('', { fd, autoClose: false });
