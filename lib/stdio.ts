import { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { binding, type NativeDescriptor } from './binding.js';
import { errorFrom, invalidArgument } from './errors.js';
import { mustBe, shownValue } from './option-values.js';
import { PipeOutput } from './output.js';

/**
 * What one of a process's file descriptors is:
 *
 * - `pipe`: a stream of this program, see {@link ProcessStreams};
 * - `ignore`: /dev/null;
 * - `inherit`: this program's own of the same number;
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
 * The file descriptors of a process: one item for standard input, output and error each, or an
 * array with one for each of them; what follows in the array becomes its file descriptors 3, 4, ….
 */
export type Stdio = 'pipe' | 'ignore' | 'inherit' | readonly StdioItem[];

/** This program's ends of the file descriptors of a process that are `pipe`. */
export interface ProcessStreams {
  /** Writes to the process's standard input. `end()` it, for many programs wait for that. */
  readonly stdin: Writable | null;
  /** What the process writes to its standard output; it stands still when nobody reads on. */
  readonly stdout: Readable | null;
  /** The same for its standard error. */
  readonly stderr: Readable | null;
  /** All of them by number. From the fourth on they are streams in both directions. */
  readonly stdio: readonly (Writable | Readable | Duplex | null)[];
}

/** File descriptors for a process that is to be started, and the streams to it. */
export interface OpenedStdio {
  /** The addon's form: numbers, -1 for /dev/null. */
  readonly fds: number[];
  /** Those of them that are to be kept open for the process. */
  readonly held: NativeDescriptor[];
  /** What the addon collects. */
  readonly outputs?: readonly PipeOutput[];
  readonly streams: ProcessStreams;
  /** To be called when the process has its own: closes this program's ends of those. */
  started(): void;
  /** To be called instead if it was not started. Both may be called again. */
  failed(): void;
}

/** Streams that are made when somebody asks for them. */
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
 * Makes what `pipe` asks for. Nothing is made if an item is wrong. Standard output and error are
 * collected where `output`, by number, gives a collector.
 */
export function openStdio(
  stdio: Stdio = 'ignore',
  output?: (number: number) => PipeOutput | undefined,
): OpenedStdio {
  const items = normalized(stdio);
  const held: NativeDescriptor[] = [];
  const opened: (Socket | PipeOutput | null)[] = [];
  const fds: number[] = [];
  const started = (): void => held.splice(0).forEach((one) => binding.release(one));
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
        held: one,
      } = number > 2 ? binding.socketPair() : binding.pipe(number === 0);
      held.push(one);
      fds.push(theirs);
      opened.push(streamOf(ours, number));
    }
  } catch (failure) {
    failed();
    throw errorFrom(failure);
  }
  const outputs = output && opened.filter((item) => item instanceof PipeOutput);
  return { fds, held, ...(outputs && { outputs }), streams: new Streams(opened), started, failed };
}

/** The three standard streams are one-way pipes, which unlike sockets have a path in /dev/fd. */
function streamOf(fd: number, number: number): Socket {
  if (number > 2) return new Socket({ fd });
  return new Socket({ fd, readable: number > 0, writable: number === 0 });
}

/** The kernel's file descriptors are C's int. */
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
    if (item === 'inherit') return index;
    if (item === 'ignore') {
      if (index < 3) return -1;
      throw invalidArgument(`${name}: only standard input, output and error can be "ignore"`);
    }
    checkStdioItem(name, item);
    return typeof item === 'number' ? item : item.fd;
  });
}

/** Throws unless `item` is one that openStdio() takes; where it may be "ignore" is not looked at. */
export function checkStdioItem(name: string, item: unknown): void {
  if (item === 'pipe' || item === 'ignore' || item === 'inherit') return;
  const fd: unknown = typeof item === 'object' && item !== null && 'fd' in item ? item.fd : item;
  if (typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 && fd <= maxFd) return;
  const shown =
    typeof item === 'object' && item !== null
      ? 'an object without an open file descriptor as "fd"'
      : shownValue(item);
  throw invalidArgument(
    `${name}: ${shown} is none of "pipe", "ignore", "inherit", a file descriptor, a stream with one`,
  );
}
