/** The files and streams that a command's output goes to, and the file that is its input. */
import { createWriteStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { finished, Writable, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TareError } from '../errors.js';
import { within } from '../output.js';
import type { StdioItem } from '../stdio.js';
import {
  isFile,
  isStream,
  isWebStream,
  type FileSource,
  type FileTarget,
  type OutputItem,
  type OutputTarget,
} from './options.js';

/** What one of the two outputs comes to. */
export interface OutputPlan {
  /** What the command gets, if it is no file. */
  item: StdioItem;
  /** A file that the command itself gets. */
  file?: FileTarget;
  /** What this program writes the output to, and where in the option each stands. */
  targets: readonly { target: OutputTarget; place: string }[];
  /** Whether the caller gets it, as a stream and in the result. */
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
      : [{ target, place: Array.isArray(item) ? `[${index}]` : '' }],
  );
  return { item: 'pipe', targets, isPiped: targets.length < all.length };
}

/** Opens files for a command. The same file is opened once: two would overwrite each other. */
export class OpenFiles {
  readonly #handles = new Map<string, Promise<FileHandle>>();

  /** The file descriptor of a file; it stays open until close(). `name` is the option's. */
  async open(name: string, source: FileSource | FileTarget, writes: boolean): Promise<number> {
    const path = resolve(
      typeof source.file === 'string' ? source.file : fileURLToPath(source.file),
    );
    const append = 'append' in source && source.append === true;
    const flags = writes ? (append ? 'a' : 'w') : 'r';
    const key = `${writes} ${path}`;
    let handle = this.#handles.get(key);
    if (handle === undefined) {
      handle = open(path, flags);
      this.#handles.set(key, handle);
    }
    try {
      return (await handle).fd;
    } catch (error) {
      this.#handles.delete(key);
      throw fileError(`${name}.file`, error);
    }
  }

  close(): void {
    for (const handle of this.#handles.values()) {
      handle.then((one) => one.close()).catch(() => undefined);
    }
    this.#handles.clear();
  }
}

function fileError(name: string, error: unknown): TareError {
  const { message, errno, syscall, path } = error as NodeJS.ErrnoException;
  return new TareError(`${name}: ${message}`, {
    ...{ code: 'ERR_TARE_SYSTEM', errno, syscall, path, cause: error },
  });
}

/** Milliseconds that a target is waited for after a command that was told to end. */
const patience = 500;

interface OpenTarget {
  writable: Writable;
  /** Whether it is ended behind the output. */
  ends: boolean;
  /** Resolves when it is written, or has failed. */
  done: Promise<void>;
  stopListening: () => void;
}

/** Writes streams to targets, at the pace of the slowest. */
export class Relay {
  readonly #failed: (name: string, error: unknown) => void;
  readonly #targets = new Map<unknown, OpenTarget>();
  readonly #sources: { stream: Readable; ended: Promise<void> }[] = [];

  /** Calls `failed` with the option and the error if a target fails. */
  constructor(failed: (name: string, error: unknown) => void) {
    this.#failed = failed;
  }

  /** `name` is the option's, `number` that of the file descriptor. */
  add(name: string, number: number, stream: Readable, targets: OutputPlan['targets']): void {
    for (const { target, place } of targets) {
      stream.pipe(this.#open(name + place, number, target), { end: false });
    }
    const ended = new Promise<void>((resolve) =>
      finished(stream, { writable: false }, () => resolve()),
    );
    this.#sources.push({ stream, ended });
  }

  /** One that both outputs go to is one, and ends behind both. */
  #open(name: string, number: number, target: OutputTarget): Writable {
    const key = isFile(target) ? String(target.file) : target === 'inherit' ? -number : target;
    const known = this.#targets.get(key);
    if (known) return known.writable;
    const writable = writableOf(target, number);
    let stopListening = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      stopListening = finished(writable, { readable: false }, (error) => {
        if (error) this.#failed(name, error);
        resolve();
      });
    });
    const ends = writable !== process.stdout && writable !== process.stderr;
    this.#targets.set(key, { writable, ends, done, stopListening });
    return writable;
  }

  /** Resolves when all that the sources brought is written. */
  async end(hurry: boolean): Promise<void> {
    await Promise.all(this.#sources.map(({ ended }) => ended));
    this.close();
    const ending = [...this.#targets.values()].filter(({ ends }) => ends);
    const written = Promise.all(ending.map(({ done }) => done));
    await (hurry ? within(written, patience) : written);
  }

  /** Nothing comes any more. */
  close(): void {
    for (const { writable, ends, stopListening } of this.#targets.values()) {
      for (const { stream } of this.#sources) stream.unpipe(writable);
      if (ends) writable.end();
      else stopListening();
    }
  }
}

function writableOf(target: OutputTarget, number: number): Writable {
  if (target === 'inherit') return number === 1 ? process.stdout : process.stderr;
  if (typeof target === 'number') return descriptor(target);
  if (isFile(target)) {
    return createWriteStream(target.file, { flags: target.append === true ? 'a' : 'w' });
  }
  if (isStream(target)) return isWebStream(target) ? Writable.fromWeb(target) : target;
  if (target instanceof Writable) return target;
  return descriptor((target as { fd: number }).fd);
}

/** A file descriptor of the caller's, which stays open. */
const descriptor = (fd: number): Writable => createWriteStream('', { fd, autoClose: false });
