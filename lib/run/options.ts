/** The options of run() and their checks. */
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import type { RuntimeOptions } from '../container/options.js';
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
} from '../options/option-values.js';
import { sandboxChecks } from './sandbox-checks.js';
import type { SandboxOptions } from './sandbox-options.js';
import { checkSignal } from '../options/signals.js';
import type { Spec } from '../spec/spec.js';
import { checkStdioItem, type StdioItem } from '../container/stdio.js';

/** A file for a command's output. This program opens it, with its own permissions. */
export interface FileTarget {
  /** Path on the host. The file is created if it does not exist. */
  readonly file: string | URL;
  /** Whether to append instead of truncating the file; false by default. */
  readonly append?: boolean;
}

/** A file as a command's input. This program opens it, with its own permissions. */
export interface FileSource {
  /** Path on the host. */
  readonly file: string | URL;
}

/**
 * Data for a command's standard input. The items of an iterable or stream are written one after the
 * other.
 */
export type Input =
  | string
  | Uint8Array
  | Readable
  | ReadableStream
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>;

/** A command's standard input: any {@link StdioItem}, or a file. */
export type InputItem = StdioItem | FileSource;

/**
 * Where a command's output goes: `pipe`, `inherit` or a file descriptor as for any process, a file,
 * or a stream of this program. The stream is ended after the output, as by pipe(). A stream with an
 * open file descriptor as `fd` is passed to the command as that descriptor and is not ended.
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

/** A command's standard output or error: one target, several targets, or `ignore`. */
export type OutputItem = 'ignore' | OutputTarget | readonly OutputTarget[];

/** The three standard streams at once; further items become file descriptors 3, 4, …. */
export type RunStdio =
  | 'pipe'
  | 'ignore'
  | 'inherit'
  | readonly []
  | readonly [InputItem]
  | readonly [InputItem, OutputItem]
  | readonly [InputItem, OutputItem, OutputItem, ...StdioItem[]]
  | readonly StdioItem[];

/** Options of {@link run}. */
export interface RunOptions
  extends Omit<SandboxOptions, 'rootfs'>, Pick<RuntimeOptions, 'root' | 'systemdCgroup'> {
  /**
   * The root file system. By default it holds the host's programs and libraries, read-only, and the
   * few files of /etc that these need; no home directories, no sockets.
   */
  rootfs?: string;
  /** Id of the container; a random one by default. */
  id?: string;
  /**
   * Whether pid 1 is a reaper and the program its child; true by default. If false, the program
   * itself is pid 1: the kernel drops signals that it does not handle, and it must reap orphaned
   * processes.
   */
  init?: boolean;
  /** A function that edits the container's configuration after all other options are applied. */
  spec?: (spec: Spec) => Spec;

  /**
   * Data for standard input, which then ends. A stream is destroyed and an iterator is closed as
   * soon as the command ends. If either fails, the command is killed and the call rejects.
   */
  input?: Input;
  /** Standard input; `pipe` if `input` is given, else `ignore`. */
  stdin?: InputItem;
  /** Standard output; `pipe` by default. */
  stdout?: OutputItem;
  /** Standard error; `pipe` by default. */
  stderr?: OutputItem;
  /** All standard streams at once, instead of `stdin`, `stdout` and `stderr`. */
  stdio?: RunStdio;
  /**
   * Whether to provide both outputs merged as well, as `all`. They are two pipes: the order is that
   * in which they are read, which may differ from the order in which they were written.
   */
  all?: boolean;
  /** Encoding of the output in the result, or `buffer` for Buffers; `utf8` by default. */
  encoding?: BufferEncoding | 'buffer';
  /** Whether the result holds the output as an array of lines, without line ends. */
  lines?: boolean;
  /** Whether to strip a final newline from the output in the result; false by default. */
  stripFinalNewline?: boolean;
  /**
   * Max bytes of each output stream; 100 MiB by default. A command that writes more is terminated.
   */
  maxBuffer?: number;
  /**
   * Whether to collect output; true by default. If false, the result has none, and the caller must
   * read the streams: a command blocks on a pipe that is full.
   */
  buffer?: boolean;

  /** Milliseconds from the call after which the command is terminated; 0 and Infinity: never. */
  timeout?: number;
  /**
   * Milliseconds of CPU time, of all processes together, after which the command is terminated; 0
   * and Infinity: never. Usage is sampled, at most every 10 ms, so a command can use slightly more.
   * In a container without a cgroup the limit applies to each process, in whole seconds
   * (RLIMIT_CPU).
   */
  cpuTimeout?: number;
  /** An AbortSignal that terminates the command. */
  signal?: AbortSignal;
  /**
   * Signal that terminates the command; `SIGKILL` by default, which no program can handle. With
   * `init: false` other signals have no effect on a program that does not handle them.
   */
  killSignal?: NodeJS.Signals | number;
  /** Milliseconds from `killSignal` to SIGKILL; 5000 by default. Infinity: never. */
  forceKillAfterDelay?: number;
  /**
   * Whether the promise rejects if the command fails; true by default. If false, only the result
   * reports the failure.
   */
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
    if (value !== Infinity) integerOf(name, value, 0, Number.MAX_SAFE_INTEGER);
  },
  buffer: isBoolean,
  timeout: isDelay,
  cpuTimeout: isDelay,
  signal: isAbortSignal,
  killSignal(name, value) {
    checkSignal(name, value);
    if (value === 0) throw invalidArgument(`${name}: signal 0 ends no process`);
  },
  forceKillAfterDelay: isDelay,
  reject: isBoolean,
};

/**
 * Returns a checked copy of the options. Throws `ERR_TARE_INVALID_ARGUMENT` if one is invalid or
 * two conflict.
 */
export function checkedRunOptions(given: unknown): RunOptions {
  const options = checkedOptions<RunOptions>(given, checks);
  for (const name of ['stdin', 'stdout', 'stderr'] as const) {
    if (options.stdio !== undefined && options[name] !== undefined) {
      throw invalidArgument(`${name}: cannot be combined with stdio, which includes it`);
    }
  }
  if (options.tty !== undefined && options.tty !== false) checkTerminal(options);
  const { input, stdin, stdio, encoding = 'utf8', lines } = options;
  if (input !== undefined) {
    const item = typeof stdio === 'string' ? stdio : stdio === undefined ? stdin : stdio[0];
    if (item !== 'pipe' && (item !== undefined || stdio !== undefined)) {
      throw invalidArgument('input: needs stdin to be "pipe"');
    }
  }
  if (lines === true && ['buffer', 'hex', 'base64', 'base64url'].includes(encoding)) {
    throw invalidArgument(`lines: needs an encoding of text, not "${encoding}"`);
  }
  makeAbsolute(options);
  return options;
}

/** Makes the paths of checked options absolute: the working directory may change during the call. */
function makeAbsolute(options: RunOptions): void {
  const resolveKey = (object: object | undefined, key: string): void => {
    const path = (object as Record<string, unknown> | undefined)?.[key];
    if (typeof path === 'string') (object as Record<string, unknown>)[key] = resolve(path);
  };
  resolveKey(options, 'root');
  resolveKey(options, 'rootfs');
  if (typeof options.network === 'object') resolveKey(options.network, 'path');
  for (const mount of options.mounts ?? []) {
    if ('type' in mount || 'options' in mount) continue;
    resolveKey(mount, 'within' in mount && mount.within !== undefined ? 'within' : 'source');
  }
  const { stdin, stdout, stderr, stdio } = options;
  const items: unknown[] = [stdin, stdout, stderr, stdio];
  for (const item of items.flat(2)) if (isFile(item)) resolveKey(item, 'file');
}

function checkTerminal({ stdin, stdout, stderr, stdio, all }: RunOptions): void {
  if ([stdin, stdout, stderr, stdio].some((item) => item !== undefined)) {
    throw invalidArgument('tty: the terminal is all three standard streams; do not set them too');
  }
  if (all === true) {
    throw invalidArgument(
      'all: not available with tty, as a terminal carries both outputs; use stdout',
    );
  }
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
      throw invalidArgument(`${name}[${index}]: "ignore" cannot be combined with other targets`);
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
        `${name}[${index}]: "ignore" is only for standard input, output and error`,
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

/** Whether the value's file descriptor is passed to the command as it is. */
export function hasDescriptor(value: object): value is { fd: number } {
  return 'fd' in value && typeof value.fd === 'number' && value.fd >= 0;
}

/** Whether the value is a stream that this program itself must write the output to. */
export function isStream(value: unknown): value is Writable | WritableStream {
  if (typeof value !== 'object' || value === null || hasDescriptor(value)) return false;
  if (isWebStream(value)) return true;
  return typeof (value as Writable).write === 'function' && 'writable' in value;
}

export function isWebStream(value: object): value is WritableStream {
  return typeof (value as WritableStream).getWriter === 'function';
}

/** Whether a time limit is set. */
export const isLimited = (time: number | undefined): time is number =>
  time !== undefined && time > 0 && time < Infinity;

/** Returns the standard streams of the options, and further file descriptors. */
export function itemsOf({
  stdio,
  input,
  stdin = input === undefined ? 'ignore' : 'pipe',
  stdout = 'pipe',
  stderr = 'pipe',
  tty = false,
}: RunOptions): [InputItem, OutputItem, OutputItem, StdioItem[]] {
  if (tty !== false) return ['ignore', 'ignore', 'ignore', []];
  if (stdio === undefined) return [stdin, stdout, stderr, []];
  if (typeof stdio === 'string') return [stdio, stdio, stdio, []];
  const [first = 'ignore', second = 'ignore', third = 'ignore', ...more] =
    stdio as readonly (InputItem & OutputItem & StdioItem)[];
  return [first, second, third, more];
}
