import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { binding, type NativeEnding, type NativeTotals } from '../native/binding.js';
import {
  createContainer,
  endingOf,
  type Container,
  type ConfigTexts,
} from '../container/container.js';
import { asInvalidArgument, withOptions } from '../options/option-values.js';
import { removeOrphans } from './orphans.js';
import { PipeOutput, StreamOutput } from '../container/output.js';
import { exitStatus } from '../container/process.js';
import { explained } from './root/rootfs.js';
import { configOf, forgetRoot, stateRoot } from './config.js';
import { checkedCommand } from './sandbox-checks.js';
import { signalNumber } from '../options/signals.js';
import { containerTotals } from '../container/stats.js';
import {
  openStdio,
  type OpenedStdio,
  type ProcessStreams,
  type StdioItem,
} from '../container/stdio.js';
import { onAbort } from './abort.js';
import { CpuTimeWatch, withCpuLimit } from './cpu-time.js';
import {
  abortedError,
  callerOf,
  defaultMaxBuffer,
  failureOf,
  streamError,
  asTareError,
  withStack,
} from './failure.js';
import { closeInput, InputFeed } from './input.js';
import { linesOf, textOf } from './lines.js';
import {
  checkedRunOptions,
  isFile,
  type InputItem,
  type OutputItem,
  type RunOptions,
} from './options.js';
import { inOptions } from './places.js';
import type { KnownOptions, Running, RunResult } from './result.js';
import { merged, refused, RunningCommand } from './running.js';
import { filesOf, OpenFiles, outputPlan, Relay, type OutputPlan } from './targets.js';

const defaultForceKillDelay = 5000;
const sigkill = signalNumber('SIGKILL');
let lastCancelKey = 0;
const noTotals: NativeTotals = { cpuUserNs: 0, cpuSystemNs: 0 };

/**
 * Runs a command in a new container, which is removed when the command has ended.
 *
 * Safe by default: its own namespaces, no network, no capabilities, no new privileges, an allowlist
 * of system calls, a read-only root, no environment variables of this program. A container created
 * by root runs with uids that nothing else on the host uses; one created by an ordinary user is
 * rootless.
 *
 * Rejects with a {@link TareError} if an option is invalid or the container cannot be created and,
 * unless `reject` is false, if the command fails; the error's `result` is then the
 * {@link RunResult}. A call that rejects leaves nothing running.
 */
export function run(command: readonly string[], options?: undefined): Running;
export function run<const Options extends RunOptions>(
  command: readonly string[],
  options: (Options & KnownOptions<Options>) | undefined,
): Running<Options>;
export function run(command: readonly string[], options?: RunOptions): Running<RunOptions> {
  try {
    return new Run(checkedCommand(command), checkedRunOptions(options), callerOf(run)).running;
  } catch (error) {
    const refusal = asInvalidArgument('options', error);
    Error.captureStackTrace(refusal, run);
    closeInput(options);
    return refused(refusal);
  }
}

interface Settle<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

type End = 'timeout' | 'cpu' | 'abort' | 'output' | 'stream' | 'kill';

class Run {
  readonly running: RunningCommand;
  readonly #began = performance.now();
  readonly #command: readonly string[];
  readonly #options: RunOptions;
  readonly #call: { stack?: string };
  readonly #id: string;
  readonly #killSignal: number;
  readonly #maxBuffer: number;
  #created!: Settle<Container>;
  #settled!: Settle<RunResult<RunOptions>>;
  #container: Container | undefined;
  /** Whether creation of the container has begun. */
  #isMaking = false;
  #isCancelled = false;
  readonly #cancelKey = ++lastCancelKey;
  /** Whether the promise is settled. */
  #isSettled = false;
  /**
   * A timeout or abort that came after the process had ended, while its output was still being
   * read.
   */
  #lateEnd: End | undefined;
  /** Requests to terminate the command, with their times and signals. */
  readonly #ends: { why: End; at: number; signal: number }[] = [];
  #finished = false;
  /** Whether the caller wants the end of a process that has ended, with output still on its way. */
  #isHurried = false;
  #timer: NodeJS.Timeout | undefined;
  #forceTimer: NodeJS.Timeout | undefined;
  #cpuTime: CpuTimeWatch | undefined;
  #stopListening: (() => void) | undefined;
  /** Standard output and error, where they are collected from pipes. */
  readonly #outputs: PipeOutput[] = [];
  readonly #plans: readonly [OutputPlan, OutputPlan] | undefined;
  #all: StreamOutput | undefined;
  readonly #input: InputFeed | undefined;
  #relay: Relay | undefined;
  #files: OpenFiles | undefined;
  #streamFailure: { name: string; cause: unknown } | undefined;

  constructor(command: readonly string[], options: RunOptions, call: { stack?: string }) {
    this.#command = command;
    this.#options = options;
    this.#call = call;
    this.#id = options.id ?? `run-${randomUUID()}`;
    this.#killSignal = signalNumber(options.killSignal ?? 'SIGKILL');
    this.#maxBuffer = options.maxBuffer ?? defaultMaxBuffer;
    const [stdin, stdout, stderr, more] = itemsOf(options);
    if (options.tty === undefined || options.tty === false) {
      this.#plans = [outputPlan(stdout), outputPlan(stderr)];
    }
    const { input } = options;
    if (input !== undefined) {
      this.#input = new InputFeed(input, (error) => this.#streamFailed('input', error));
    }
    let stdio: OpenedStdio | undefined;
    let all: Readable | null;
    try {
      stdio = this.#open(stdin, more);
      all = this.#collectAll(stdio.streams);
    } catch (error) {
      stdio?.failed();
      this.#input?.close();
      throw error;
    }
    const created = new Promise<Container>((resolve, reject) => {
      this.#created = { resolve, reject };
    });
    this.running = new RunningCommand(
      (resolve, reject) => {
        this.#settled = { resolve, reject };
      },
      {
        id: this.#id,
        container: created,
        streams: stdio.streams,
        all,
        encoding: options.encoding,
        kill: (signal) =>
          this.#endBy('kill', signal === undefined ? undefined : signalNumber(signal)),
      },
    );
    this.#arm();
    this.#carryOut(stdio, stdin).catch((error: unknown) => this.#refuse(error));
  }

  #open(stdin: InputItem, more: readonly StdioItem[]): OpenedStdio {
    const [stdout, stderr] = this.#plans ?? [];
    const { buffer = true } = this.#options;
    const output = (number: number): PipeOutput | undefined => {
      const { isPiped = false, targets = [] } = (number === 1 ? stdout : stderr) ?? {};
      const keep = buffer && isPiped;
      if (!keep && targets.length === 0) return undefined;
      const isShown = isPiped;
      const one = new PipeOutput(number, this.#maxBuffer, this.#tooLong, { keep, isShown });
      this.#outputs.push(one);
      return one;
    };
    const first = isFile(stdin) ? 'ignore' : stdin;
    const stdio = openStdio(
      [first, stdout?.item ?? 'ignore', stderr?.item ?? 'ignore', ...more],
      output,
    );
    // The command need not read what is written, so the caller need not handle the stream's errors.
    if (first === 'pipe') {
      stdio.streams.stdin!.on('error', () => undefined);
      this.#input?.to(stdio.streams.stdin!, false);
    }
    return stdio;
  }

  /** Returns the caller's name for a standard stream. */
  #nameOf(number: number): string {
    if (this.#options.stdio !== undefined) return `stdio[${number}]`;
    return ['stdin', 'stdout', 'stderr'][number]!;
  }

  #collectAll(of: ProcessStreams): Readable | null {
    const { all = false, buffer = true } = this.#options;
    // Reading these properties creates the streams.
    const streams = all ? [of.stdout, of.stderr].filter((stream) => stream !== null) : [];
    if (streams.length === 0) return null;
    const stream = merged(streams);
    if (buffer) {
      // Each of the two streams enforces its own limit.
      this.#all = new StreamOutput(2 * this.#maxBuffer, () => undefined);
      this.#all.collect(stream);
    }
    return stream;
  }

  readonly #tooLong = (): void => this.#endBy('output');

  #arm(): void {
    const { timeout, signal } = this.#options;
    if (isLimited(timeout)) {
      this.#timer = setTimeout(() => this.#endBy('timeout'), timeout);
    }
    if (signal && !signal.aborted)
      this.#stopListening = onAbort(signal, () => this.#endBy('abort'));
  }

  /** Stops everything that acts on the process, which has ended. */
  #endProcess(): void {
    this.#finished = true;
    clearTimeout(this.#forceTimer);
    this.#cpuTime?.stop();
    this.#input?.close();
  }

  /** Removes timers and listeners: there is nothing left to terminate. */
  #disarm(): void {
    this.#endProcess();
    clearTimeout(this.#timer);
    this.#stopListening?.();
  }

  /** Creates the container, waits for its end and settles the promise. */
  async #carryOut(stdio: OpenedStdio, stdin: InputItem): Promise<void> {
    let container;
    try {
      container = await this.#create(stdio, stdin);
    } catch (error) {
      stdio.failed();
      this.#disarm();
      this.#closeTargets();
      const end = this.#isCancelled ? this.#ends[0] : undefined;
      if (end === undefined) this.#refuse(error);
      else this.#endMaking(end.why);
      return;
    }
    if (this.#isSettled) {
      await removeUnwanted(container);
      stdio.failed();
      this.#closeTargets();
      return;
    }
    this.#container = container;
    this.#created.resolve(container);
    try {
      this.#settle(await this.#finish(container, stdio));
    } catch (error) {
      this.#refuse(error);
    }
  }

  async #create(stdio: OpenedStdio, stdin: InputItem): Promise<Container> {
    const { signal, systemdCgroup, cpuTimeout, rlimits, rootfs } = this.#options;
    if (signal?.aborted) throw abortedError(this.#command, signal.reason);
    const options = isLimited(cpuTimeout)
      ? withOptions(this.#options, { rlimits: withCpuLimit(rlimits, cpuTimeout) })
      : this.#options;
    let texts: ConfigTexts | undefined;
    try {
      const root = stateRoot(options.root);
      texts = await configOf(this.#command, options);
      if (isFile(stdin) || this.#plans?.some(({ file, targets }) => file || targets.length > 0)) {
        await this.#openTargets(stdio, stdin);
      }
      if (this.#isCancelled) throw abortedError(this.#command, undefined);
      this.#isMaking = true;
      const container = await createContainer(
        this.#id,
        withOptions(texts, {
          root,
          systemdCgroup,
          bundle: root,
          start: true,
          endsWithProgram: true,
          init: options.init ?? true,
          end: true,
          cancelKey: this.#cancelKey,
        }),
        stdio,
      );
      removeOrphans(root);
      return container;
    } catch (failure) {
      const error = texts ? inOptions(failure, this.#id, options, texts) : failure;
      forgetRoot(rootfs);
      throw await explained(error, this.#command, options);
    }
  }

  /** Opens the named files, and connects the outputs with their targets. */
  async #openTargets(stdio: OpenedStdio, stdin: InputItem): Promise<void> {
    const plans = this.#plans ?? [];
    const files = filesOf(stdin, plans).map(([number, place, source]) => ({
      name: this.#nameOf(number) + place,
      source,
      writes: number > 0,
    }));
    if (files.length > 0) this.#files = await OpenFiles.open(files);
    const own = [isFile(stdin) ? stdin : undefined, ...plans.map(({ file }) => file)];
    for (const [number, file] of own.entries()) {
      if (file) stdio.fds[number] = this.#files!.get(file, number > 0).fd;
    }
    for (const output of this.#outputs) {
      const { number } = output;
      const { targets } = plans[number - 1]!;
      if (targets.length === 0) continue;
      this.#relay ??= new Relay(this.#files, (name, error) => this.#streamFailed(name, error));
      this.#relay.add(this.#nameOf(number), number, output.stream, targets);
    }
  }

  #closeTargets(): void {
    this.#relay?.close();
    this.#files?.close();
  }

  async #finish(container: Container, stdio: OpenedStdio): Promise<RunResult<RunOptions>> {
    const startMs = performance.now() - this.#began;
    const { buffer = true, cpuTimeout } = this.#options;
    const { terminal } = container;
    const shown = buffer && terminal ? new StreamOutput(this.#maxBuffer, this.#tooLong) : undefined;
    if (terminal) {
      shown?.collect(terminal);
      this.#input?.to(terminal, true);
    }
    if (isLimited(cpuTimeout)) {
      this.#cpuTime = new CpuTimeWatch(container, cpuTimeout, () => this.#endBy('cpu'));
    }
    const early = this.#ends.at(-1);
    if (early) this.#send(early.signal);
    let ending;
    try {
      ending = await endingOf(container);
    } catch (error) {
      this.#closeTargets();
      await container[Symbol.asyncDispose]();
      throw error;
    } finally {
      this.#endProcess();
      stdio.streams.stdin?.destroy();
      stdio.ended();
      for (const output of this.#outputs) output.close();
    }
    const durationMs = performance.now() - this.#began - ending.ageMs;
    const endedAt = this.#began + durationMs;
    // A stalled reader or target must not delay a command that a limit or an abort has terminated.
    const wasEnded = this.#endOf(ending, endedAt) !== undefined;
    const hurries = (): boolean => wasEnded || this.#isHurried || this.#streamFailure !== undefined;
    const [stdout, stderr] = shown
      ? [await shown.all(hurries)]
      : await this.#collected(ending, hurries);
    const all = await this.#all?.all(hurries);
    await this.#relay?.end(hurries);
    this.#files?.close();
    this.#disarm();
    // A busy event loop learns of the start late, but knows how long ago the end was.
    const times = { startMs: Math.min(startMs, durationMs), durationMs };
    const end = this.#lateEnd ?? this.#endOf(ending, endedAt);
    const result = this.#result(ending, end, times, [stdout, stderr, all]);
    if (this.#streamFailure) {
      const { name, cause } = this.#streamFailure;
      throw streamError(this.#command, name, cause, result);
    }
    if (result.failed && this.#options.reject !== false) {
      throw failureOf(result, this.#options, stderr);
    }
    return result;
  }

  /** Returns the collected standard output and error. */
  async #collected(
    { outputs }: NativeEnding,
    hurries: () => boolean,
  ): Promise<[stdout?: Buffer, stderr?: Buffer]> {
    const all: [stdout?: Buffer, stderr?: Buffer] = [];
    for (const [index, output] of this.#outputs.entries()) {
      all[output.number - 1] = await output.all(outputs[index], hurries);
    }
    return all;
  }

  #result(
    ending: Pick<NativeEnding, 'exitCode' | 'signal' | 'totals'>,
    end: End | undefined,
    times: Pick<RunResult, 'startMs' | 'durationMs'>,
    [stdout, stderr, all]: (Buffer | undefined)[],
  ): RunResult<RunOptions> {
    const { cpuTimeout, all: wantsAll = false } = this.#options;
    const usage = containerTotals(ending.totals);
    const status = exitStatus(ending);
    const cpuMs = usage.cpuMs.user + usage.cpuMs.system;
    const byKernel = status.signal === 'SIGKILL' || status.signal === 'SIGXCPU';
    const [outPiped, errPiped] = this.#plans?.map(({ isPiped }) => isPiped) ?? [true, false];
    return {
      command: this.#command,
      ...status,
      stdout: this.#content(this.#nameOf(1), outPiped, stdout),
      stderr: this.#content(this.#nameOf(2), errPiped, stderr),
      all: this.#content('all', wantsAll && (outPiped === true || errPiped === true), all),
      failed: status.exitCode !== 0 || (end !== undefined && end !== 'kill'),
      timedOut: end === 'timeout',
      cpuTimedOut:
        end === 'cpu' ||
        (end === undefined && byKernel && isLimited(cpuTimeout) && cpuMs >= cpuTimeout),
      aborted: end === 'abort',
      outputTooLong: this.#ends.some(({ why }) => why === 'output'),
      oomKilled: (usage.oomKills ?? 0) > 0,
      ...times,
      usage,
    };
  }

  /** Converts an output to the form that the result has. */
  #content(
    name: string,
    isPiped: boolean | undefined,
    bytes: Buffer = noBytes,
  ): string | string[] | Buffer | undefined {
    const { buffer = true, encoding = 'utf8', lines, stripFinalNewline } = this.#options;
    if (!buffer || isPiped !== true) return undefined;
    if (encoding === 'buffer') return stripFinalNewline ? withoutNewline(bytes) : bytes;
    const strips = stripFinalNewline === true && lines !== true;
    const kept = strips && !isWide(encoding) ? withoutNewline(bytes) : bytes;
    const text = textOf(name, kept, encoding);
    if (lines) return linesOf(text);
    return strips && isWide(encoding) ? text.replace(/\r?\n$/, '') : text;
  }

  #streamFailed(name: string, cause: unknown): void {
    if (this.#isSettled) return;
    this.#streamFailure ??= { name, cause };
    this.#endBy('stream', sigkill);
  }

  #endBy(why: End, signal = this.#killSignal): void {
    if (this.#finished) {
      this.#isHurried = true;
      if (why === 'timeout' || why === 'abort') this.#lateEnd ??= why;
      // Excess output counts even if it is noticed only after the process has ended.
      if (why !== 'output') return;
    }
    this.#ends.push({ why, at: performance.now(), signal });
    if (this.#container) {
      if (!this.#finished) this.#send(signal);
    } else if (why === 'timeout' || why === 'abort') {
      if (this.#cancel()) this.#endMaking(why);
    } else if (signal === sigkill && why !== 'output') {
      this.#cancel();
    }
  }

  /** Cancels the creation of the container. Returns false if that is over: then it is ended. */
  #cancel(): boolean {
    if (this.#isMaking && !binding.cancelCreate(this.#cancelKey)) return false;
    this.#isCancelled = true;
    return true;
  }

  /** Settles a command whose container is being created, or was rolled back. */
  #endMaking(why: End): void {
    if (this.#isSettled) return;
    this.#disarm();
    const durationMs = performance.now() - this.#began;
    const ending = { exitCode: null, signal: sigkill, totals: noTotals };
    const result = this.#result(ending, why, { startMs: durationMs, durationMs }, []);
    const error = this.#streamFailure
      ? streamError(this.#command, this.#streamFailure.name, this.#streamFailure.cause, result)
      : failureOf(result, this.#options, undefined);
    const isTold = this.#options.reject === false && error.result && !this.#streamFailure;
    if (isTold) {
      this.#created.reject(withStack(error, this.#call));
      this.#settle(result);
    } else {
      this.#refuse(error);
    }
  }

  #settle(result: RunResult<RunOptions>): void {
    this.#disarm();
    this.#isSettled = true;
    this.#settled.resolve(result);
  }

  /** Rejects with the error as if run() had thrown it. */
  #refuse(error: unknown): void {
    this.#disarm();
    this.#isSettled = true;
    const thrown = withStack(asTareError(error), this.#call);
    this.#created.reject(thrown);
    this.#settled.reject(thrown);
  }

  #send(signal: number): void {
    const container = this.#container!;
    const send = (number: number): void => void container.kill(number).catch(() => undefined);
    send(signal);
    if (signal === sigkill || signal === 0 || this.#forceTimer) return;
    const delay = this.#options.forceKillAfterDelay ?? defaultForceKillDelay;
    if (delay !== Infinity) this.#forceTimer = setTimeout(() => send(sigkill), delay);
  }

  /**
   * Returns what terminated the process. Requests that came after its end, or that it survived, do
   * not count.
   */
  #endOf({ exitCode }: NativeEnding, endedAt: number): End | undefined {
    const ended = this.#ends.filter(
      ({ why, at, signal }) =>
        why === 'output' || (at <= endedAt && !(signal === sigkill && exitCode !== null)),
    );
    // An earlier kill() does not turn a failure into a success.
    return (ended.find(({ why }) => why !== 'kill') ?? ended[0])?.why;
  }
}

const noBytes = Buffer.alloc(0);

/** Whether a time limit is set. */
const isLimited = (time: number | undefined): time is number =>
  time !== undefined && time > 0 && time < Infinity;

/** Returns the standard streams of the options, and further file descriptors. */
function itemsOf({
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

/** Whether a newline takes more than one byte. */
const isWide = (encoding: BufferEncoding): boolean => /^(?:utf-?16le|ucs-?2)$/i.test(encoding);

function withoutNewline(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

/** Removes the container of a command whose promise is already settled. */
async function removeUnwanted(container: Container): Promise<void> {
  container.terminal?.destroy();
  // If this fails, `list` still shows the container; the next program removes it.
  await container[Symbol.asyncDispose]().catch(() => undefined);
}
