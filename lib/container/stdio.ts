import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { binding, type NativeDescriptor } from '../native/binding.js';
import { errorFrom, invalidArgument } from '../errors.js';
import { mustBe, shownValue } from '../options/option-values.js';
import { PipeOutput } from './output.js';

/**
 * A file descriptor of a process:
 *
 * - `pipe`: a stream of this program, see {@link ProcessStreams};
 * - `ignore`: /dev/null;
 * - `inherit`: this program's own descriptor of the same number;
 * - a number, or a stream or file handle that has one as `fd`: that open file descriptor.
 */
export type StdioItem =
  | 'pipe'
  | 'ignore'
  | 'inherit'
  | number
  | {
      /** An open file descriptor of this program. */
      readonly fd: number;
    };

/**
 * The file descriptors of a process: one item for all of standard input, output and error, or an
 * array with one item for each. Further items of the array become its file descriptors 3, 4, ….
 */
export type Stdio = 'pipe' | 'ignore' | 'inherit' | readonly StdioItem[];

/** This program's ends of the file descriptors of a process that are `pipe`. */
export interface ProcessStreams {
  /** Writable end of standard input. Call its `end()`: many programs read until end of file. */
  readonly stdin: Writable | null;
  /** Standard output of the process, which blocks while the stream is not read. */
  readonly stdout: Readable | null;
  /** Standard error of the process, in the same way. */
  readonly stderr: Readable | null;
  /** All streams by file descriptor number; duplex from 3 on. */
  readonly stdio: readonly (Writable | Readable | Duplex | null)[];
}

/** File descriptors for a process to be started, and the streams to it. */
export interface OpenedStdio {
  /** Numbers for the addon; -1 for /dev/null. */
  readonly fds: number[];
  /** Descriptors among them that must stay open for the process. */
  readonly keepOpen: NativeDescriptor[];
  /** Outputs that the addon collects. */
  readonly outputs?: readonly PipeOutput[];
  readonly streams: ProcessStreams;
  /**
   * Must be called when the process has its own descriptors: closes this program's copies of them.
   */
  started(): void;
  /** Must be called instead if the process was not started. Both may be called again. */
  failed(): void;
  /**
   * Must be called when the process has ended: a standard output or error that the caller has not
   * begun to read is discarded, as its descriptor would stay open.
   */
  ended(): void;
}

/** Creates the streams when they are requested. */
class Streams implements ProcessStreams {
  readonly #items: readonly (Socket | PipeOutput | null)[];
  #all: ProcessStreams['stdio'] | undefined;

  constructor(items: readonly (Socket | PipeOutput | null)[]) {
    this.#items = items;
  }

  get stdin(): ProcessStreams['stdin'] {
    return this.#stream(0) as Socket | null;
  }

  get stdout(): ProcessStreams['stdout'] {
    return this.#stream(1);
  }

  get stderr(): ProcessStreams['stderr'] {
    return this.#stream(2);
  }

  get stdio(): ProcessStreams['stdio'] {
    return (this.#all ??= this.#items.map((_item, number) => this.#stream(number)));
  }

  #stream(number: number): Socket | Readable | null {
    const item = this.#items[number] ?? null;
    if (!(item instanceof PipeOutput)) return item;
    return item.isShown ? item.stream : null;
  }
}

/**
 * Opens what `pipe` asks for; nothing if an item is invalid. Standard output and error are
 * collected if `output` returns a collector for their number.
 */
export function openStdio(
  stdio: Stdio = 'ignore',
  output?: (number: number) => PipeOutput | undefined,
): OpenedStdio {
  const items = normalized(stdio);
  const keepOpen: NativeDescriptor[] = [];
  const opened: (Socket | PipeOutput | null)[] = [];
  const fds: number[] = [];
  const started = (): void => keepOpen.splice(0).forEach((fd) => binding.release(fd));
  const failed = (): void => {
    started();
    for (const item of opened) {
      if (item instanceof PipeOutput) item.failed();
      else item?.destroy();
    }
  };
  try {
    for (const [number, item] of items.entries()) {
      if (item !== 'pipe') {
        fds.push(item);
        opened.push(null);
        continue;
      }
      const collector = number === 1 || number === 2 ? output?.(number) : undefined;
      if (collector) {
        fds.push(-1);
        opened.push(collector);
        continue;
      }
      const {
        ours,
        theirs,
        keepOpen: fd,
      } = number > 2 ? binding.socketPair() : binding.pipe(number === 0);
      keepOpen.push(fd);
      fds.push(theirs);
      opened.push(streamOf(ours, number));
    }
  } catch (failure) {
    failed();
    throw errorFrom(failure);
  }
  const ended = (): void => {
    for (const item of opened.slice(1, 3)) {
      if (!(item instanceof Socket) || item.readableFlowing !== null) continue;
      if (item.listenerCount('readable') === 0) item.resume();
    }
  };
  const outputs = output && opened.filter((item) => item instanceof PipeOutput);
  return {
    fds,
    keepOpen,
    ...(outputs && { outputs }),
    streams: new Streams(opened),
    started,
    failed,
    ended,
  };
}

/**
 * The three standard streams are one-way pipes: unlike sockets, they can be opened by a path in
 * /dev/fd.
 */
function streamOf(fd: number, number: number): Socket {
  // The process need not read what is written there, nor the caller handle that.
  if (number > 2) return new Socket({ fd }).on('error', () => undefined);
  return new Socket({ fd, readable: number > 0, writable: number === 0 });
}

/** File descriptors are C ints. */
const maxFd = 2 ** 31 - 1;

function itemsOf(stdio: Stdio): StdioItem[] {
  if (Array.isArray(stdio)) return [...(stdio as readonly StdioItem[])];
  if (stdio === 'pipe' || stdio === 'ignore' || stdio === 'inherit') return [stdio, stdio, stdio];
  throw mustBe('stdio', '"pipe", "ignore", "inherit" or an array', stdio);
}

function normalized(stdio: Stdio): (number | 'pipe')[] {
  const items: StdioItem[] = itemsOf(stdio);
  while (items.length < 3) items.push('ignore');
  return items.map((item, index) => {
    const name = typeof stdio === 'string' ? 'stdio' : `stdio[${index}]`;
    if (item === 'pipe') return item;
    if (item === 'inherit') {
      checkOpen(name, index);
      return index;
    }
    if (item === 'ignore') {
      if (index < 3) return -1;
      throw invalidArgument(`${name}: "ignore" is only for standard input, output and error`);
    }
    checkStdioItem(name, item);
    return typeof item === 'number' ? item : item.fd;
  });
}

function checkOpen(name: string, fd: number): void {
  try {
    fstatSync(fd);
  } catch {
    throw invalidArgument(`${name}: ${fd} is not an open file descriptor`);
  }
}

/** Throws unless openStdio() takes `item`. Does not check where "ignore" is allowed. */
export function checkStdioItem(name: string, item: unknown): void {
  if (item === 'pipe' || item === 'ignore' || item === 'inherit') return;
  const fd: unknown = typeof item === 'object' && item !== null && 'fd' in item ? item.fd : item;
  if (typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 && fd <= maxFd) {
    return checkOpen(name, fd);
  }
  const shown =
    typeof item === 'object' && item !== null
      ? 'an object without an open file descriptor as "fd"'
      : shownValue(item);
  throw invalidArgument(
    `${name}: must be "pipe", "ignore", "inherit", a file descriptor or a stream with one, not ${shown}`,
  );
}
