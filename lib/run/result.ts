/** The types of what run() gives: the options that were asked for decide what is there. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Container } from '../container.js';
import type { ContainerTotals } from '../stats.js';
import type { Terminal } from '../terminal.js';
import type { RunOptions } from './options.js';

/** No options at all. */
export type NoOptions = Record<never, never>;

/** Refuses properties that are no options: a generic parameter would take them. */
export type KnownOptions<Options> = Readonly<
  Record<Exclude<keyof Options, keyof RunOptions>, never>
>;

type Option<Options, Name extends string> = Name extends keyof Options ? Options[Name] : undefined;
/** Of both, where it is not known. */
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
/** What a standard stream is asked to be; undefined where nothing is said. */
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
 * What became of a command. `Options` are those that it was run with; `RunResult<RunOptions>` is that of
 * any.
 */
export type RunResult<Options extends RunOptions = NoOptions> = RunResultWith<
  Collected<Options, If<HasTerminal<Options>, true, IsOutputPiped<Options, 1>>>,
  Collected<Options, IsOutputPiped<Options, 2>>,
  Collected<Options, HasAll<Options>>
>;

/** A {@link RunResult} by the types of the outputs in it. */
export interface RunResultWith<Stdout, Stderr, All> {
  /** The program and its arguments, as they were given. */
  command: readonly string[];
  /** What the program passed to exit(2); null if a signal ended it. */
  exitCode: number | null;
  /** The signal that ended it, such as `SIGKILL`. Real-time signals have a `SIGRTMIN+N`. */
  signal: NodeJS.Signals | null;
  /**
   * What it wrote: text, lines or bytes, as `encoding` and `lines` ask for; undefined where it is not
   * collected, as it went elsewhere or `buffer` is false. With a terminal it has all.
   */
  stdout: Stdout;
  /** The same for its standard error; undefined with a terminal. */
  stderr: Stderr;
  /** Both together, if `options.all` asks for that. */
  all: All;
  /** Whether it is anything but an exit with 0. */
  failed: boolean;
  /** Whether `options.timeout` ended it. */
  timedOut: boolean;
  /** Whether `options.cpuTimeout` ended it. */
  cpuTimedOut: boolean;
  /** Whether `options.signal` ended it. */
  aborted: boolean;
  /** Whether it wrote more than `maxBuffer`. */
  outputTooLong: boolean;
  /** Whether a process of it was killed because `memory` was used up. */
  oomKilled: boolean;
  /** Milliseconds from the call to the program's first instruction, or to its end before that. */
  startMs: number;
  /** Milliseconds from the call to the program's end. */
  durationMs: number;
  /** What it used. */
  usage: ContainerTotals;
}

/** Which output of a command is read line by line. */
export interface LinesOptions {
  /** `stdout` by default. With a terminal there is only that. */
  from?: 'stdout' | 'stderr' | 'all';
}

/**
 * A command that is running: a promise of its result, streams to it, and, for `for await`, the lines
 * of its standard output. The streams are there at once; what is written before the program runs
 * waits. `Options` are those that it was run with; `Running<RunOptions>` is any.
 */
export type Running<Options extends RunOptions = NoOptions> = RunningWith<
  RunResult<Options>,
  InputStream<Options>,
  OutputStream<Options, 1>,
  OutputStream<Options, 2>,
  If<HasAll<Options>, Readable, null>
>;

/** A {@link Running} by the types of its result and its streams. */
export interface RunningWith<Result, Stdin, Stdout, Stderr, All>
  extends Promise<Result>, AsyncIterable<string> {
  /** The container's id. */
  readonly id: string;
  /** The container, once the program runs. */
  readonly container: Promise<Container>;
  /** The terminal, once the program runs; null without `tty`. */
  readonly terminal: Promise<Terminal | null>;
  /** Writes to its standard input. `end()` it, for many programs wait for that. */
  readonly stdin: Stdin;
  /** What it writes to its standard output. */
  readonly stdout: Stdout;
  /** The same for its standard error. */
  readonly stderr: Stderr;
  /** Both together, if `options.all` asks for that. */
  readonly all: All;
  /** All of them by number. From the fourth on they are streams in both directions. */
  readonly stdio: readonly [Stdin, Stdout, Stderr, ...(Duplex | null)[]];
  /**
   * Ends the command as a timeout would, with `killSignal` or another signal.
   *
   * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for a signal that is none.
   */
  kill(signal?: NodeJS.Signals | number): void;
  /**
   * The lines of its output, without their ends, as they come. Behind the last one the command is
   * awaited, whose failure the loop throws. Leaving the loop leaves the command running.
   */
  iterable(options?: LinesOptions): AsyncIterable<string>;
  /** The lines of its standard output: `iterable()`. */
  [Symbol.asyncIterator](): AsyncIterator<string>;
  /** For `await using`: kills the command, if it still runs, and waits for its end. */
  [Symbol.asyncDispose](): Promise<void>;
}
