/** What run() returns. */
import { PassThrough, Readable, Writable } from 'node:stream';
import type { Container } from '../container.js';
import { invalidArgument, type TareError } from '../errors.js';
import { checkedOptions, oneOf, type Checks } from '../option-values.js';
import type { ProcessStreams } from '../stdio.js';
import type { Terminal } from '../terminal.js';
import { streamLines } from './lines.js';
import type { RunOptions } from './options.js';
import type { LinesOptions, Running, RunResult } from './result.js';

/** What a command's promise is made of. */
export interface RunningParts {
  id: string;
  container: Promise<Container>;
  streams: ProcessStreams;
  all: Readable | null;
  encoding: RunOptions['encoding'];
  kill: Running['kill'];
}

const linesChecks: Checks<LinesOptions> = { from: oneOf('stdout', 'stderr', 'all') };

/** A class, as an accessor that is put on one promise alone costs V8 a shape of its own. */
export class RunningCommand extends Promise<RunResult<RunOptions>> implements Running<RunOptions> {
  /** What `then` gives is an ordinary promise. */
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
    // A failure is told by the command; who awaits that need not look here.
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
    // The loop is told of a failure.
    this.catch(() => undefined);
    const { encoding = 'utf8' } = this.#parts;
    const stream = this[from] ?? (from === 'stdout' ? await this.terminal : null);
    if (stream === null) throw invalidArgument(`${from}: has no lines, as it is not "pipe"`);
    yield* streamLines(stream, encoding === 'buffer' ? 'utf8' : encoding);
    await this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.catch(() => undefined);
  }
}

/** The command of a call whose arguments cannot be: no more than its failure. */
export function refused(error: TareError): RunningCommand {
  const failure = Promise.reject<never>(error);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const nothing = (): Readable => Readable.from([], { objectMode: false });
  const [stdout, stderr] = [nothing(), nothing()];
  return new RunningCommand((_resolve, reject) => reject(error), {
    id: '',
    container: failure,
    // A caller that goes on with the streams finds the failure at its await, and no null before.
    streams: { stdin: nowhere, stdout, stderr, stdio: [nowhere, stdout, stderr] },
    all: nothing(),
    encoding: 'utf8',
    kill: () => undefined,
  });
}

/** Both streams in one, in the order in which they bring something. */
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
