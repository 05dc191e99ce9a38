/** What run() is asked for, and what of that cannot be. */
import type { Readable, Writable } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import type { RuntimeOptions } from '../container.js';
import { invalidArgument } from '../errors.js';
import {
  checkedOptions,
  integerOf,
  isAbortSignal,
  isBoolean,
  isDelay,
  isFunction,
  isPath,
  isText,
  mustBe,
  shownValue,
  type Checks,
} from '../option-values.js';
import { sandboxChecks } from '../sandbox-checks.js';
import type { SandboxOptions } from '../sandbox.js';
import { checkSignal } from '../signals.js';
import type { Spec } from '../spec.js';
import { checkStdioItem, type StdioItem } from '../stdio.js';

/** A file that is opened, by this program and with its rights, for a command's output. */
export interface FileTarget {
  /** Its path on the host. It is made if it is not there. */
  readonly file: string | URL;
  /** Whether its content stays, and the output comes behind it; false by default. */
  readonly append?: boolean;
}

/** A file that is opened, by this program and with its rights, as a command's input. */
export interface FileSource {
  /** Its path on the host. */
  readonly file: string | URL;
}

/** What is written to a command's standard input; a sequence's parts one after the other. */
export type Input =
  | string
  | Uint8Array
  | Readable
  | ReadableStream
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>;

/** What a command's standard input is: as for any process, or a file. */
export type InputItem = StdioItem | FileSource;

/**
 * Where a command's output goes: as for any process, to a file, or to a stream of this program, which
 * is ended behind the output, as by its pipe(). A stream that has an open file descriptor as `fd` is
 * given to the command as that, and is not ended.
 */
export type OutputTarget =
  | 'pipe'
  | 'inherit'
  | number
  | {
      /** An open file descriptor of this program. */
      readonly fd: number;
    }
  | FileTarget
  | Writable
  | WritableStream;

/** What a command's standard output or error is: one target, several of them, or nothing. */
export type OutputItem = 'ignore' | OutputTarget | readonly OutputTarget[];

/** The three standard streams at once, and what follows them as file descriptors 3, 4, …. */
export type RunStdio =
  | 'pipe'
  | 'ignore'
  | 'inherit'
  | readonly []
  | readonly [InputItem]
  | readonly [InputItem, OutputItem]
  | readonly [InputItem, OutputItem, OutputItem, ...StdioItem[]]
  | readonly StdioItem[];

/** How a command is run, and in what. */
export interface RunOptions
  extends Omit<SandboxOptions, 'rootfs'>, Pick<RuntimeOptions, 'root' | 'systemdCgroup'> {
  /**
   * Its root file system. By default it has the host's programs and libraries, read-only, and nothing
   * else of the host: no home, no settings, no sockets.
   */
  rootfs?: string;
  /** The container's id; a random one by default. */
  id?: string;
  /**
   * Whether the program is an ordinary process, the child of a reaper as pid 1; true by default. False:
   * it is pid 1 itself, which gets no signal that it does not handle, and has to reap orphans.
   */
  init?: boolean;
  /** The last word on the container's configuration. */
  spec?: (spec: Spec) => Spec;

  /**
   * Written to its standard input, which then ends. A stream is destroyed, an iterator closed, as soon
   * as the command has ended; where it fails, the command is ended and the call rejects.
   */
  input?: Input;
  /** `pipe` if there is `input`, else `ignore`. */
  stdin?: InputItem;
  /** `pipe` by default. */
  stdout?: OutputItem;
  /** `pipe` by default. */
  stderr?: OutputItem;
  /** All at once, instead of the three. */
  stdio?: RunStdio;
  /**
   * Whether both outputs are told together, too, as `all`: in the order in which they were read, which is
   * not always that in which they were written, as they are two pipes.
   */
  all?: boolean;
  /** Of what the result has of the output; `buffer` leaves it as it is. `utf8` by default. */
  encoding?: BufferEncoding | 'buffer';
  /** Whether the result has the output as an array of its lines, without their ends. */
  lines?: boolean;
  /**
   * Whether the newline at the end of the output is left out of the result. By default it is there:
   * what the command wrote is told as it wrote it.
   */
  stripFinalNewline?: boolean;
  /** Bytes of output, of each stream, after which the command is killed; 100 MiB by default. */
  maxBuffer?: number;
  /** False: output is not collected; the result has none, and whoever wants it reads the streams. */
  buffer?: boolean;

  /** Milliseconds from the call after which the command is ended; 0 and Infinity: never. */
  timeout?: number;
  /**
   * Milliseconds of processor time, of all its processes together, after which the command is ended;
   * 0 and Infinity: never. It is looked at several times a second. In a container without a cgroup it
   * counts for each process on its own, and in whole seconds (RLIMIT_CPU).
   */
  cpuTimeout?: number;
  /** Ends the command. */
  signal?: AbortSignal;
  /**
   * How it is ended: `SIGKILL` by default, which no program survives. With `init: false` other signals
   * mean nothing to a program that does not handle them.
   */
  killSignal?: NodeJS.Signals | number;
  /** Milliseconds from `killSignal` to SIGKILL; 5000 by default. Infinity: never. */
  forceKillAfterDelay?: number;
  /** False: what fails is told by the result alone. */
  reject?: boolean;
}

const checks: Checks<RunOptions> = {
  ...sandboxChecks,
  root: isPath,
  systemdCgroup: isBoolean,
  id: isText,
  init: isBoolean,
  spec: isFunction,
  input: checkInput,
  stdin: checkStdin,
  stdout: checkOutput,
  stderr: checkOutput,
  stdio: checkStdio,
  all: isBoolean,
  encoding(name, value) {
    if (value !== 'buffer' && !Buffer.isEncoding(value as string)) {
      throw mustBe(name, '"buffer" or an encoding such as "utf8"', value);
    }
  },
  lines: isBoolean,
  stripFinalNewline: isBoolean,
  maxBuffer(name, value) {
    if (value !== Infinity) integerOf(name, value, 0);
  },
  buffer: isBoolean,
  timeout: isDelay,
  cpuTimeout: isDelay,
  signal: isAbortSignal,
  killSignal: checkSignal,
  forceKillAfterDelay: isDelay,
  reject: isBoolean,
};

/** All options, each of which can be, and which fit together. */
export function checkedRunOptions(given: unknown): RunOptions {
  const options = checkedOptions<RunOptions>(given, checks);
  for (const name of ['stdin', 'stdout', 'stderr'] as const) {
    if (options.stdio !== undefined && options[name] !== undefined) {
      throw invalidArgument(`${name}: give either that or stdio`);
    }
  }
  if (options.tty !== undefined && options.tty !== false) checkTerminal(options);
  const { input, stdin, stdio, encoding = 'utf8', lines } = options;
  if (input !== undefined) {
    const item = typeof stdio === 'string' ? stdio : stdio === undefined ? stdin : stdio[0];
    if (item !== 'pipe' && (item !== undefined || stdio !== undefined)) {
      throw invalidArgument('input: is written to standard input, which must be "pipe" for that');
    }
  }
  if (lines === true && ['buffer', 'hex', 'base64', 'base64url'].includes(encoding)) {
    throw invalidArgument(`lines: needs text, and encoding is "${encoding}"`);
  }
  return options;
}

function checkTerminal({ stdin, stdout, stderr, stdio, all }: RunOptions): void {
  if ([stdin, stdout, stderr, stdio].some((item) => item !== undefined)) {
    throw invalidArgument('tty: the terminal is all three streams; give either that or others');
  }
  if (all === true) throw invalidArgument('all: a terminal (tty) has both outputs: read stdout');
}

function checkInput(name: string, value: unknown): void {
  if (typeof value === 'string' || value instanceof Uint8Array) return;
  if (typeof value === 'object' && value !== null) {
    if (Symbol.asyncIterator in value || Symbol.iterator in value) return;
  }
  throw mustBe(name, 'a string, a Uint8Array, a readable stream, or an iterable of those', value);
}

function checkStdin(name: string, value: unknown): void {
  if (isFile(value)) return checkFile<FileSource>(name, value, { file: checkFilePath });
  if (typeof value === 'object' && value !== null && !hasDescriptor(value)) {
    if (Symbol.asyncIterator in value) {
      throw invalidArgument(`${name}: a stream without a file descriptor; give it as input`);
    }
  }
  checkStdioItem(name, value);
}

function checkOutput(name: string, value: unknown): void {
  if (!Array.isArray(value)) return checkTarget(name, value);
  if (value.length === 0) throw invalidArgument(`${name}: must name at least one target`);
  for (const [index, one] of (value as unknown[]).entries()) {
    if (one === 'ignore') {
      throw invalidArgument(`${name}[${index}]: "ignore" can be the only target alone`);
    }
    checkTarget(`${name}[${index}]`, one);
  }
}

function checkTarget(name: string, value: unknown): void {
  if (isFile(value)) {
    return checkFile<FileTarget>(name, value, { file: checkFilePath, append: isBoolean });
  }
  if (!isStream(value)) checkStdioItem(name, value);
}

function checkStdio(name: string, value: unknown): void {
  if (!Array.isArray(value)) {
    if (value === 'pipe' || value === 'ignore' || value === 'inherit') return;
    throw mustBe(name, '"pipe", "ignore", "inherit" or an array', value);
  }
  for (const [index, one] of (value as unknown[]).entries()) {
    const check = [checkStdin, checkOutput, checkOutput][index] ?? checkStdioItem;
    check(`${name}[${index}]`, one);
    if (index > 2 && one === 'ignore') {
      throw invalidArgument(
        `${name}[${index}]: only standard input, output and error can be "ignore"`,
      );
    }
  }
}

function checkFile<File extends object>(name: string, value: object, of: Checks<File>): void {
  checkedOptions<File>(value, of, name);
}

function checkFilePath(name: string, value: unknown): void {
  if (!(value instanceof URL)) return isPath(name, value);
  if (value.protocol !== 'file:') {
    throw invalidArgument(`${name}: must be a path or a file: URL, not ${shownValue(value.href)}`);
  }
}

export function isFile(value: unknown): value is FileSource | FileTarget {
  return typeof value === 'object' && value !== null && 'file' in value && !hasDescriptor(value);
}

/** Whether that is given to the command as it is. */
export function hasDescriptor(value: object): value is { fd: number } {
  return 'fd' in value && typeof value.fd === 'number' && value.fd >= 0;
}

/** Whether output has to be written to that by this program. */
export function isStream(value: unknown): value is Writable | WritableStream {
  if (typeof value !== 'object' || value === null || hasDescriptor(value)) return false;
  if (isWebStream(value)) return true;
  return typeof (value as Writable).write === 'function' && 'writable' in value;
}

export function isWebStream(value: object): value is WritableStream {
  return typeof (value as WritableStream).getWriter === 'function';
}
