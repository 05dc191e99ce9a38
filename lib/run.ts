import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { finished } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { NativeEnding } from './binding.js';
import { createContainer, endingOf, type Container, type RuntimeOptions } from './container.js';
import { invalidArgument, TareError, type TareErrorCode } from './errors.js';
import { removeOrphans } from './orphans.js';
import { PipeOutput, StreamOutput } from './output.js';
import { exitStatus } from './process.js';
import { integerOf, numberOf } from './quantity.js';
import { explained } from './rootfs.js';
import { configOf, forgetRoot, stateRoot } from './run-config.js';
import type { SandboxOptions } from './sandbox.js';
import { signalNumber } from './signals.js';
import type { Spec } from './spec.js';
import { containerTotals, type ContainerTotals } from './stats.js';
import { openStdio, type ProcessStreams, type Stdio, type StdioItem } from './stdio.js';
import type { Terminal } from './terminal.js';

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
  /** The last word on the container's configuration. */
  spec?: (spec: Spec) => Spec;

  /** Written to its standard input, which then ends. */
  input?: string | Uint8Array | Readable;
  /** `pipe` if there is `input`, else `ignore`. */
  stdin?: StdioItem;
  /** `pipe` by default. */
  stdout?: StdioItem;
  /** `pipe` by default. */
  stderr?: StdioItem;
  /** All at once, instead of the three. */
  stdio?: Stdio;
  /** Of what the result has of the output; `buffer` leaves it as it is. `utf8` by default. */
  encoding?: BufferEncoding | 'buffer';
  /** Bytes of output, of each stream, after which the command is killed; 100 MiB by default. */
  maxBuffer?: number;
  /** False: output is not collected; whoever wants it reads the streams. */
  buffer?: boolean;

  /** Milliseconds from the call after which the command is ended. */
  timeout?: number;
  /** Ends the command. */
  signal?: AbortSignal;
  /**
   * How it is ended: `SIGKILL` by default. To the first process of a container other signals mean
   * nothing, unless the program handles them.
   */
  killSignal?: NodeJS.Signals | number;
  /** Milliseconds from `killSignal` to SIGKILL; 5000 by default. */
  forceKillAfterDelay?: number;
  /** False: what fails is told by the result alone. */
  reject?: boolean;
}

/** What became of a command. */
export interface RunResult<Text = string> {
  /** The program and its arguments, as they were given. */
  command: readonly string[];
  /** What the program passed to exit(2); null if a signal ended it. */
  exitCode: number | null;
  /** The signal that ended it. */
  signal: string | null;
  /** What it wrote; empty where that went elsewhere. With a terminal, `stdout` has all. */
  stdout: Text;
  /** The same for its standard error. */
  stderr: Text;
  /** Whether it is anything but an exit with 0. */
  failed: boolean;
  /** Whether `options.timeout` ended it. */
  timedOut: boolean;
  /** Whether `options.signal` ended it. */
  aborted: boolean;
  /** Whether it wrote more than `maxBuffer`. */
  outputTooLong: boolean;
  /** Whether a process of it was killed because `memory` was used up. */
  oomKilled: boolean;
  /** Milliseconds from the call to the program's first instruction. */
  startMs: number;
  /** Milliseconds from the call to the program's end. */
  durationMs: number;
  /** What it used. */
  usage: ContainerTotals;
}

/**
 * A command that is running: a promise of its result, and streams to it. The streams are there at
 * once; what is written before the program runs waits.
 */
export interface Running<Text = string> extends Promise<RunResult<Text>>, ProcessStreams {
  /** The container's id. */
  readonly id: string;
  /** The container, once the program runs. */
  readonly container: Promise<Container>;
  /** The terminal, once the program runs; null without `tty`. */
  readonly terminal: Promise<Terminal | null>;
  /** Ends the command as a timeout would, with `killSignal` or another signal. */
  kill(signal?: NodeJS.Signals | number): void;
}

const noBytes = Buffer.alloc(0);
const defaultMaxBuffer = 100 * 2 ** 20;
const defaultForceKillDelay = 5000;
const sigkill = signalNumber('SIGKILL');

/**
 * Runs a command in a container of its own, and removes that again.
 *
 * Safe by default: every namespace, no network, no capabilities, no new privileges, an allow-list of
 * system calls, a read-only root, nothing of this program's environment. Root's containers have
 * uids that nobody else has; an ordinary user's are rootless.
 *
 * Rejects with a {@link TareError} if the container cannot be made, and, unless `reject` is false,
 * if the command fails; its `result` then is the {@link RunResult}.
 */
export function run(
  command: readonly string[],
  options: RunOptions & { encoding: 'buffer' },
): Running<Buffer>;
export function run(command: readonly string[], options?: RunOptions): Running;
export function run(
  command: readonly string[],
  options: RunOptions = {},
): Running<string | Buffer> {
  try {
    return new Run(command, options).running;
  } catch (error) {
    return refused(error as Error);
  }
}

/** What was wrong with the options is told as all else is: by the promise. */
function refused(error: Error): Running<string | Buffer> {
  const failure = Promise.reject<never>(error);
  failure.catch(() => undefined);
  return Object.assign(failure, {
    id: '',
    container: failure,
    terminal: failure,
    stdin: null,
    stdout: null,
    stderr: null,
    stdio: [],
    kill: () => undefined,
  });
}

/** A class, as an accessor that is put on one promise alone costs V8 a shape of its own. */
class RunningCommand
  extends Promise<RunResult<string | Buffer>>
  implements Running<string | Buffer>
{
  /** What `then` gives is an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  readonly id: string;
  readonly container: Promise<Container>;
  readonly kill: Running['kill'];
  readonly #streams: ProcessStreams;
  #terminal: Promise<Terminal | null> | undefined;

  constructor(
    executor: ConstructorParameters<typeof Promise<RunResult<string | Buffer>>>[0],
    of: Pick<Running, 'id' | 'container' | 'kill'> & { streams: ProcessStreams },
  ) {
    super(executor);
    this.id = of.id;
    this.container = of.container;
    this.kill = of.kill;
    this.#streams = of.streams;
    // Who awaits the command alone hears of a failure there.
    this.container.catch(() => undefined);
  }

  get terminal(): Promise<Terminal | null> {
    if (this.#terminal === undefined) {
      this.#terminal = this.container.then((container) => container.terminal);
      this.#terminal.catch(() => undefined);
    }
    return this.#terminal;
  }

  get stdin(): ProcessStreams['stdin'] {
    return this.#streams.stdin;
  }

  get stdout(): ProcessStreams['stdout'] {
    return this.#streams.stdout;
  }

  get stderr(): ProcessStreams['stderr'] {
    return this.#streams.stderr;
  }

  get stdio(): ProcessStreams['stdio'] {
    return this.#streams.stdio;
  }
}

type End = 'timeout' | 'abort' | 'output' | 'kill';

class Run {
  readonly running: Running<string | Buffer>;
  readonly #began = performance.now();
  readonly #command: readonly string[];
  readonly #options: RunOptions;
  readonly #id: string;
  readonly #killSignal: number;
  #container: Container | undefined;
  /** What was to end it before its own end, and when. */
  readonly #ends: { why: End; at: number; signal: number }[] = [];
  #finished = false;
  #timer: NodeJS.Timeout | undefined;
  #forceTimer: NodeJS.Timeout | undefined;
  /** Of standard output and error those that are collected from pipes. */
  readonly #outputs: PipeOutput[] = [];

  constructor(command: readonly string[], options: RunOptions) {
    this.#command = command;
    this.#options = options;
    this.#id = options.id ?? `run-${randomUUID()}`;
    this.#killSignal = signalNumber(options.killSignal ?? 'SIGKILL');
    checkOptions(options);
    const collected = (number: number): PipeOutput => {
      const output = new PipeOutput(number, this.#maxBuffer, this.#tooLong);
      this.#outputs.push(output);
      return output;
    };
    const stdio = openStdio(stdioOf(options), options.buffer === false ? undefined : collected);
    this.#arm();
    const created = this.#create(stdio);
    const result = created.then((container) => this.#finish(container, stdio.streams));
    this.running = new RunningCommand((resolve, reject) => void result.then(resolve, reject), {
      id: this.#id,
      container: created,
      streams: stdio.streams,
      kill: (signal = this.#killSignal) => this.#endBy('kill', signalNumber(signal)),
    });
  }

  readonly #tooLong = (): void => this.#endBy('output');
  readonly #abort = (): void => this.#endBy('abort');

  #arm(): void {
    const { timeout, signal } = this.#options;
    if (timeout !== undefined) this.#timer = setTimeout(() => this.#endBy('timeout'), timeout);
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /** There is nothing to end any more. */
  #disarm(): void {
    this.#finished = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#forceTimer);
    this.#options.signal?.removeEventListener('abort', this.#abort);
  }

  get #maxBuffer(): number {
    return this.#options.maxBuffer ?? defaultMaxBuffer;
  }

  get #tooMuch(): string {
    const most = this.#maxBuffer;
    return most === Infinity ? 'there is memory for' : `${most} bytes; raise maxBuffer`;
  }

  async #create(stdio: ReturnType<typeof openStdio>): Promise<Container> {
    const { signal, systemdCgroup } = this.#options;
    try {
      if (signal?.aborted) throw aborted(this.#command, signal.reason);
      const root = await stateRoot(this.#options.root);
      const config = await configOf(this.#command, this.#options, root);
      if (signal?.aborted) throw aborted(this.#command, signal.reason);
      const container = await createContainer(
        this.#id,
        {
          root,
          systemdCgroup,
          bundle: root,
          ...config,
          start: true,
          endsWithProgram: true,
          end: true,
        },
        stdio,
      );
      removeOrphans(root);
      this.#container = container;
      return container;
    } catch (error) {
      this.#disarm();
      stdio.failed();
      const { rootfs } = this.#options;
      if (rootfs === undefined) throw error;
      forgetRoot(rootfs);
      throw await explained(error, rootfs);
    }
  }

  async #finish(
    container: Container,
    streams: ProcessStreams,
  ): Promise<RunResult<string | Buffer>> {
    const startMs = performance.now() - this.#began;
    const { buffer = true } = this.#options;
    const shown =
      buffer && container.terminal ? new StreamOutput(this.#maxBuffer, this.#tooLong) : undefined;
    shown?.collect(container.terminal!);
    const early = this.#ends.at(-1);
    if (early) this.#send(early.signal);
    feed(this.#options.input, container.terminal ?? streams.stdin);
    let ending;
    try {
      ending = await endingOf(container);
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    } finally {
      this.#disarm();
      streams.stdin?.destroy();
      for (const output of this.#outputs) output.close();
    }
    const durationMs = performance.now() - this.#began - ending.ageMs;
    const [stdout, stderr] = shown ? [await shown.all()] : await this.#collected(ending);
    const usage = containerTotals(ending.totals);
    const end = this.#endOf(ending, this.#began + durationMs);
    const result: RunResult<string | Buffer> = {
      command: this.#command,
      ...exitStatus(ending),
      stdout: this.#text(stdout),
      stderr: this.#text(stderr),
      failed: ending.exitCode !== 0 || end !== undefined,
      timedOut: end === 'timeout',
      aborted: end === 'abort',
      outputTooLong: end === 'output',
      oomKilled: (usage.oomKills ?? 0) > 0,
      // A loop that was busy has heard of its start late, and of its end how long ago it was.
      startMs: Math.min(startMs, durationMs),
      durationMs,
      usage,
    };
    if (result.failed && this.#options.reject !== false) throw this.#failure(result);
    return result;
  }

  /** Of standard output and error, what was collected. */
  async #collected({ outputs }: NativeEnding): Promise<(Buffer | undefined)[]> {
    const all: (Buffer | undefined)[] = [];
    for (const [index, output] of this.#outputs.entries()) {
      all[output.number - 1] = await output.all(outputs[index]);
    }
    return all;
  }

  #text(bytes: Buffer = noBytes): string | Buffer {
    const { encoding = 'utf8' } = this.#options;
    return encoding === 'buffer' ? bytes : bytes.toString(encoding);
  }

  #endBy(why: End, signal = this.#killSignal): void {
    // What it has written is known late, and was too much all the same.
    if (this.#finished && why !== 'output') return;
    this.#ends.push({ why, at: performance.now(), signal });
    if (this.#container && !this.#finished) this.#send(signal);
  }

  #send(signal: number): void {
    const container = this.#container!;
    const send = (number: number): void => void container.kill(number).catch(() => undefined);
    send(signal);
    if (signal === sigkill || this.#forceTimer) return;
    const delay = this.#options.forceKillAfterDelay ?? defaultForceKillDelay;
    this.#forceTimer = setTimeout(() => send(sigkill), delay);
  }

  /** What ended it before its own end: what came later, or was survived, did not. */
  #endOf({ exitCode }: NativeEnding, endedAt: number): End | undefined {
    const ended = this.#ends.find(
      ({ why, at, signal }) =>
        why === 'output' || (at <= endedAt && !(signal === sigkill && exitCode !== null)),
    );
    return ended?.why;
  }

  #failure(result: RunResult<string | Buffer>): TareError {
    const { signal, memory, timeout } = this.#options;
    if (result.aborted) return aborted(this.#command, signal?.reason, result);
    const command = shown(this.#command);
    const [code, what]: [TareErrorCode, string] = result.timedOut
      ? ['ERR_TARE_TIMED_OUT', `did not end within ${timeout} ms`]
      : result.outputTooLong
        ? ['ERR_TARE_OUTPUT_TOO_LONG', `wrote more than ${this.#tooMuch}`]
        : result.oomKilled
          ? [
              'ERR_TARE_OUT_OF_MEMORY',
              `was killed for want of memory${memory === undefined ? '' : ` (limit ${memory})`}`,
            ]
          : result.signal !== null
            ? ['ERR_TARE_COMMAND_FAILED', `was ended by ${result.signal}`]
            : ['ERR_TARE_COMMAND_FAILED', `exited with ${result.exitCode}`];
    const complaint = String(result.stderr).trim();
    return new TareError(`${command}: ${what}${complaint === '' ? '' : `\n${complaint}`}`, {
      code,
      result,
    });
  }
}

function aborted(
  command: readonly string[],
  cause: unknown,
  result?: RunResult<string | Buffer>,
): TareError {
  return new TareError(`${shown(command)}: was aborted`, {
    code: 'ERR_TARE_ABORTED',
    cause,
    ...(result && { result }),
  });
}

function checkOptions({
  timeout,
  maxBuffer,
  forceKillAfterDelay,
  stdio,
  ...options
}: RunOptions): void {
  const most = 2 ** 31 - 1;
  if (timeout !== undefined) numberOf('timeout', timeout, 0, most);
  if (forceKillAfterDelay !== undefined) {
    numberOf('forceKillAfterDelay', forceKillAfterDelay, 0, most);
  }
  if (maxBuffer !== undefined && maxBuffer !== Infinity) integerOf('maxBuffer', maxBuffer, 0);
  for (const name of ['stdin', 'stdout', 'stderr'] as const) {
    if (stdio !== undefined && options[name] !== undefined) {
      throw invalidArgument(`${name}: give either that or stdio`);
    }
  }
  checkStreams(stdio, options);
  if (options.encoding !== undefined && options.encoding !== 'buffer') {
    if (!Buffer.isEncoding(options.encoding)) {
      throw invalidArgument(`encoding: "${String(options.encoding)}" is none`);
    }
  }
}

/** Streams that could not be what they are asked to be. */
function checkStreams(stdio: Stdio | undefined, options: RunOptions): void {
  if (hasTerminal(options)) {
    const given = stdio ?? options.stdin ?? options.stdout ?? options.stderr;
    if (given === undefined) return;
    throw invalidArgument('tty: the terminal is all three streams; give either that or others');
  }
  const all = stdioOf({ ...options, ...(stdio !== undefined && { stdio }) });
  if (options.input !== undefined && (typeof all === 'string' ? all : all[0]) !== 'pipe') {
    throw invalidArgument('input: is written to standard input, which must be "pipe" for that');
  }
}

const hasTerminal = ({ tty = false }: RunOptions): boolean => tty !== false;

function stdioOf(options: RunOptions): Stdio {
  if (hasTerminal(options)) return 'ignore';
  const { stdio, input, stdin, stdout = 'pipe', stderr = 'pipe' } = options;
  return stdio ?? [stdin ?? (input === undefined ? 'ignore' : 'pipe'), stdout, stderr];
}

/** The writing of a stream may fail for the program need not read it all. */
function feed(input: RunOptions['input'], stdin: ProcessStreams['stdin'] | Terminal): void {
  if (input === undefined || stdin === null) return;
  if (input instanceof Readable) {
    input.pipe(stdin);
    finished(input).catch((error: unknown) => stdin.destroy(error as Error));
  } else {
    stdin.end(input);
  }
  stdin.on('error', () => undefined);
}

const shown = (command: readonly string[]): string =>
  command.map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');
