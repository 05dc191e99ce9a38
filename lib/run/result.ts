/** The types of what run() returns, which depend on its options. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Container } from '../container/container.js';
import type { ContainerTotals } from '../container/stats.js';
import type { Terminal } from '../container/terminal.js';
import type { RunOptions } from './options.js';

/** No options at all. */
export type NoOptions = Record<never, never>;

/** Refuses unknown properties: a generic parameter would accept them. */
export type KnownOptions<Options> = Readonly<
  Record<Exclude<keyof Options, keyof RunOptions>, never>
>;

type Option<Options, Name extends string> = Name extends keyof Options ? Options[Name] : undefined;
/** Both branches where the condition is not known. */
type If<Condition extends boolean, Then, Else> = Condition extends true ? Then : Else;

type StreamName = readonly ['stdin', 'stdout', 'stderr'];
type ItemOf<
  Items extends readonly unknown[],
  Number extends 0 | 1 | 2,
> = number extends Items['length']
  ? Items[Number] | 'ignore'
  : `${Number}` extends keyof Items
    ? Items[Number]
    : 'ignore';
/** What the options set a standard stream to; undefined where they do not set it. */
type Asked<Options, Number extends 0 | 1 | 2> =
  Option<Options, 'stdio'> extends infer Stdio
    ? Stdio extends undefined
      ? Option<Options, StreamName[Number]>
      : Stdio extends readonly unknown[]
        ? ItemOf<Stdio, Number>
        : Stdio
    : never;
type IsPiped<Item> = Item extends undefined | 'pipe'
  ? true
  : Item extends readonly unknown[]
    ? number extends Item['length']
      ? boolean
      : 'pipe' extends Item[number]
        ? true
        : false
    : false;
type HasTerminal<Options> =
  Option<Options, 'tty'> extends infer Tty ? (Tty extends false | undefined ? false : true) : never;
type IsCollected<Options> =
  Option<Options, 'buffer'> extends infer Buffered
    ? Buffered extends false
      ? false
      : true
    : never;
type LinesOr<Options, Text> =
  Option<Options, 'lines'> extends infer Lines ? (Lines extends true ? string[] : Text) : never;
type Content<Options> =
  Option<Options, 'encoding'> extends infer Encoding
    ? Encoding extends 'buffer'
      ? Buffer
      : LinesOr<Options, string>
    : never;
type IsOutputPiped<Options, Number extends 1 | 2> = If<
  HasTerminal<Options>,
  false,
  IsPiped<Asked<Options, Number>>
>;
type IsEitherPiped<Options> = If<IsOutputPiped<Options, 1>, true, IsOutputPiped<Options, 2>>;
type HasAll<Options> =
  Option<Options, 'all'> extends infer All
    ? All extends true
      ? IsEitherPiped<Options>
      : false
    : never;
type Collected<Options, Is extends boolean> = If<
  IsCollected<Options>,
  If<Is, Content<Options>, undefined>,
  undefined
>;
type InputStream<Options> = If<
  HasTerminal<Options>,
  null,
  Asked<Options, 0> extends infer Item
    ? Item extends 'pipe'
      ? Writable
      : Item extends undefined
        ? Option<Options, 'input'> extends infer Input
          ? Input extends undefined
            ? null
            : Writable
          : never
        : null
    : never
>;
type OutputStream<Options, Number extends 1 | 2> = If<
  IsOutputPiped<Options, Number>,
  Readable,
  null
>;

/**
 * The result of a command. `Options` is the type of the options it was run with;
 * `RunResult<RunOptions>` is the result of any command.
 */
export type RunResult<Options extends RunOptions = NoOptions> = RunResultWith<
  Collected<Options, If<HasTerminal<Options>, true, IsOutputPiped<Options, 1>>>,
  Collected<Options, IsOutputPiped<Options, 2>>,
  Collected<Options, HasAll<Options>>
>;

/** A {@link RunResult}, by the types of its outputs. */
export interface RunResultWith<Stdout, Stderr, All> {
  /** The program and its arguments, as given. */
  command: readonly string[];
  /** Exit code of the program; null if a signal terminated it. */
  exitCode: number | null;
  /**
   * Signal that terminated the program, such as `SIGKILL`; null if it exited. Real-time signals are
   * `SIGRTMIN+N`.
   */
  signal: NodeJS.Signals | null;
  /**
   * Standard output as text, lines or bytes, as `encoding` and `lines` select. Undefined if it is
   * not collected, because it goes elsewhere or `buffer` is false. With a terminal it holds all
   * output.
   */
  stdout: Stdout;
  /** Standard error in the same form; undefined with a terminal. */
  stderr: Stderr;
  /** Both outputs merged, if `options.all` is set. */
  all: All;
  /**
   * Whether the command failed: it did not exit with 0, or a limit, an abort or a failed stream
   * terminated it.
   */
  failed: boolean;
  /** Whether `options.timeout` terminated the command. */
  timedOut: boolean;
  /** Whether `options.cpuTimeout` terminated the command. */
  cpuTimedOut: boolean;
  /** Whether `options.signal` terminated the command. */
  aborted: boolean;
  /** Whether an output exceeded `options.maxBuffer`. */
  outputTooLong: boolean;
  /** Whether the OOM killer killed one of its processes because `options.memory` was used up. */
  oomKilled: boolean;
  /**
   * Milliseconds from the call until the program is executed, or until the command ends if that is
   * earlier.
   */
  startMs: number;
  /** Milliseconds from the call to the program's end. */
  durationMs: number;
  /** Resources that the command used. */
  usage: ContainerTotals;
}

/** Options of `iterable()`. */
export interface LinesOptions {
  /** Output to read; `stdout` by default. A terminal has only that. */
  from?: 'stdout' | 'stderr' | 'all';
}

/**
 * A running command: a promise of its result, its streams, and, with `for await`, the lines of its
 * standard output. The streams exist at once; data that is written before the program runs is
 * buffered. `Options` is the type of the options it was run with; `Running<RunOptions>` is any
 * command.
 */
export type Running<Options extends RunOptions = NoOptions> = RunningWith<
  RunResult<Options>,
  InputStream<Options>,
  OutputStream<Options, 1>,
  OutputStream<Options, 2>,
  If<HasAll<Options>, Readable, null>
>;

/** A {@link Running}, by the types of its result and streams. */
export interface RunningWith<Result, Stdin, Stdout, Stderr, All>
  extends Promise<Result>, AsyncIterable<string> {
  /** Id of the container. */
  readonly id: string;
  /** The container; resolves when the program runs. */
  readonly container: Promise<Container>;
  /** The terminal; resolves when the program runs, to null without `tty`. */
  readonly terminal: Promise<Terminal | null>;
  /** Writable end of standard input. Call its `end()`: many programs read until end of file. */
  readonly stdin: Stdin;
  /** Standard output of the command. */
  readonly stdout: Stdout;
  /** Standard error of the command. */
  readonly stderr: Stderr;
  /** Both outputs merged, if `options.all` is set. */
  readonly all: All;
  /** All streams by file descriptor number; duplex from 3 on. */
  readonly stdio: readonly [Stdin, Stdout, Stderr, ...(Duplex | null)[]];
  /**
   * Terminates the command as a timeout does, with `killSignal` or another signal.
   *
   * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for an invalid signal.
   */
  kill(signal?: NodeJS.Signals | number): void;
  /**
   * Yields the lines of an output, without line ends, as they arrive. After the last line it awaits
   * the command, and throws if that failed. Leaving the loop leaves the command running.
   */
  iterable(options?: LinesOptions): AsyncIterable<string>;
  /** Yields the lines of standard output, as `iterable()` does. */
  [Symbol.asyncIterator](): AsyncIterator<string>;
  /** For `await using`: kills the command if it is still running, and waits for its end. */
  [Symbol.asyncDispose](): Promise<void>;
}
