/** The object that run() returns. */
import { PassThrough, Readable, Writable } from 'node:stream';
import type { Container } from '../container/container.js';
import { invalidArgument, type TareError } from '../errors.js';
import { checkedOptions, oneOf, type Checks } from '../options/option-values.js';
import type { ProcessStreams } from '../container/stdio.js';
import type { Terminal } from '../container/terminal.js';
import { streamLines } from './lines.js';
import type { RunOptions } from './options.js';
import type { LinesOptions, Running, RunResult } from './result.js';

/** The parts of a {@link RunningCommand}. */
export interface RunningParts {
  id: string;
  container: Promise<Container>;
  streams: ProcessStreams;
  all: Readable | null;
  encoding: RunOptions['encoding'];
  kill: Running['kill'];
}

const linesChecks: Checks<LinesOptions> = { from: oneOf('stdout', 'stderr', 'all') };

/** A class: accessors defined on each promise would cost V8 a hidden class per promise. */
export class RunningCommand extends Promise<RunResult<RunOptions>> implements Running<RunOptions> {
  /** `then` returns an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  readonly #parts: RunningParts;
  #terminal: Promise<Terminal | null> | undefined;

  constructor(
    executor: ConstructorParameters<typeof Promise<RunResult<RunOptions>>>[0],
    parts: RunningParts,
  ) {
    super(executor);
    this.#parts = parts;
    // The command itself reports a failure; this promise need not be awaited.
    parts.container.catch(() => undefined);
  }

  get id(): string {
    return this.#parts.id;
  }

  get container(): Promise<Container> {
    return this.#parts.container;
  }

  get terminal(): Promise<Terminal | null> {
    if (this.#terminal === undefined) {
      this.#terminal = this.container.then((container) => container.terminal);
      this.#terminal.catch(() => undefined);
    }
    return this.#terminal;
  }

  get stdin(): Writable | null {
    return this.#parts.streams.stdin;
  }

  get stdout(): Readable | null {
    return this.#parts.streams.stdout;
  }

  get stderr(): Readable | null {
    return this.#parts.streams.stderr;
  }

  get all(): Readable | null {
    return this.#parts.all;
  }

  get stdio(): Running<RunOptions>['stdio'] {
    return this.#parts.streams.stdio as Running<RunOptions>['stdio'];
  }

  get kill(): Running['kill'] {
    return this.#parts.kill;
  }

  iterable(options: LinesOptions = {}): AsyncIterable<string> {
    const { from = 'stdout' } = checkedOptions<LinesOptions>(options, linesChecks);
    return this.#lines(from);
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return this.#lines('stdout');
  }

  async *#lines(from: 'stdout' | 'stderr' | 'all'): AsyncGenerator<string, void> {
    // The loop reports a failure.
    this.catch(() => undefined);
    const { encoding = 'utf8' } = this.#parts;
    const stream = this[from] ?? (from === 'stdout' ? await this.terminal : null);
    if (stream === null) {
      throw invalidArgument(
        `${from}: has no lines; set it to ${from === 'all' ? 'true' : '"pipe"'}`,
      );
    }
    yield* streamLines(stream, encoding === 'buffer' ? 'utf8' : encoding);
    await this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.catch(() => undefined);
  }
}

/** Returns a command that rejects with `error`, for a call with invalid arguments. */
export function refused(error: TareError): RunningCommand {
  const failure = Promise.reject<never>(error);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const nothing = (): Readable => Readable.from([], { objectMode: false });
  const [stdout, stderr] = [nothing(), nothing()];
  return new RunningCommand((_resolve, reject) => reject(error), {
    id: '',
    container: failure,
    // Streams instead of null: a caller that uses them before it awaits the command gets the error
    // there.
    streams: { stdin: nowhere, stdout, stderr, stdio: [nowhere, stdout, stderr] },
    all: nothing(),
    encoding: 'utf8',
    kill: () => undefined,
  });
}

/** Merges streams into one, in the order in which data arrives. */
export function merged(streams: readonly Readable[]): PassThrough {
  const all = new PassThrough();
  let left = streams.length;
  for (const stream of streams) {
    stream.pipe(all, { end: false });
    stream.once('close', () => {
      stream.unpipe(all);
      if (--left === 0) all.end();
    });
  }
  return all;
}
