import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import {
  binding,
  type NativeContainer,
  type NativeEnding,
  type NativeTotals,
} from '../native/binding.js';
import { Container, started } from '../container/container.js';
import { settled } from '../errors.js';
import { asInvalidArgument, withOptions } from '../options/option-values.js';
import { removeOrphans } from './orphans.js';
import { StreamOutput } from '../container/output.js';
import { explained } from './root/rootfs.js';
import { EndRequests, type End } from './ends.js';
import { forgetRoot, preparedCommand, type PreparedCommand } from './prepared.js';
import { checkedCommand } from './sandbox-checks.js';
import { signalNumber } from '../options/signals.js';
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
import { resultOf } from './make-result.js';
import { checkedRunOptions, isLimited, type RunOptions } from './options.js';
import { inOptions } from './config-paths.js';
import type { KnownOptions, Running, RunResult } from './result.js';
import { refused, RunningCommand } from './running.js';
import { RunStreams } from './streams.js';

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
  readonly #ends = new EndRequests();
  #finished = false;
  /** Whether the caller wants the end of a process that has ended, with output still on its way. */
  #isHurried = false;
  #timer: NodeJS.Timeout | undefined;
  #forceTimer: NodeJS.Timeout | undefined;
  #cpuTime: CpuTimeWatch | undefined;
  #stopListening: (() => void) | undefined;
  readonly #input: InputFeed | undefined;
  readonly #streams: RunStreams;
  #streamFailure: { name: string; cause: unknown } | undefined;

  constructor(command: readonly string[], options: RunOptions, call: { stack?: string }) {
    this.#command = command;
    this.#options = options;
    this.#call = call;
    this.#id = options.id ?? `run-${randomUUID()}`;
    this.#killSignal = signalNumber(options.killSignal ?? 'SIGKILL');
    this.#maxBuffer = options.maxBuffer ?? defaultMaxBuffer;
    const { input } = options;
    if (input !== undefined) {
      this.#input = new InputFeed(input, (error) => this.#streamFailed('input', error));
    }
    try {
      this.#streams = new RunStreams(options, this.#maxBuffer, this.#input, {
        tooLong: this.#tooLong,
        failed: (name, error) => this.#streamFailed(name, error),
      });
    } catch (error) {
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
        streams: this.#streams.stdio.streams,
        all: this.#streams.all,
        encoding: options.encoding,
        kill: (signal) =>
          this.#endBy('kill', signal === undefined ? undefined : signalNumber(signal)),
      },
    );
    this.#arm();
    this.#carryOut().catch((error: unknown) => this.#refuse(error));
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
  async #carryOut(): Promise<void> {
    const { stdio } = this.#streams;
    let native;
    try {
      native = await this.#start();
    } catch (error) {
      stdio.failed();
      this.#disarm();
      this.#streams.closeTargets();
      const end = this.#isCancelled ? this.#ends.first : undefined;
      if (end === undefined) this.#refuse(error);
      else this.#endMaking(end.why);
      return;
    }
    const container = Container.of(this.#id, native, stdio.streams);
    if (this.#isSettled) {
      await removeUnwanted(container);
      stdio.failed();
      this.#streams.closeTargets();
      return;
    }
    this.#container = container;
    this.#created.resolve(container);
    try {
      this.#settle(await this.#finish(container, native));
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Starts the container. */
  async #start(): Promise<NativeContainer> {
    const { stdio } = this.#streams;
    const { signal, cpuTimeout, rlimits, rootfs } = this.#options;
    if (signal?.aborted) throw abortedError(this.#command, signal.reason);
    const options = isLimited(cpuTimeout)
      ? withOptions(this.#options, { rlimits: withCpuLimit(rlimits, cpuTimeout) })
      : this.#options;
    let prepared: PreparedCommand | undefined;
    try {
      prepared = await preparedCommand(this.#command, options);
      const { prepared: common, command, directory } = prepared;
      await this.#streams.openTargets();
      if (this.#isCancelled) throw abortedError(this.#command, undefined);
      this.#isMaking = true;
      const native = await started(stdio, () =>
        binding.run(
          common,
          this.#id,
          command,
          {
            stdio: stdio.fds,
            keepOpen: stdio.keepOpen,
            consoleSocket: undefined,
            outputs: stdio.outputs ?? [],
          },
          this.#cancelKey,
        ),
      );
      removeOrphans(directory);
      return native;
    } catch (failure) {
      const error = prepared ? inOptions(failure, this.#id, options, prepared.texts()) : failure;
      forgetRoot(rootfs);
      throw await explained(error, this.#command, options);
    }
  }

  async #finish(container: Container, native: NativeContainer): Promise<RunResult<RunOptions>> {
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
    const early = this.#ends.last;
    if (early) this.#send(early.signal);
    let ending;
    try {
      ending = await settled(native.ended());
    } catch (error) {
      this.#streams.closeTargets();
      await container[Symbol.asyncDispose]();
      throw error;
    } finally {
      this.#endProcess();
      this.#streams.ended();
    }
    const durationMs = performance.now() - this.#began - ending.ageMs;
    const endedAt = this.#began + durationMs;
    // A stalled reader or target must not delay a command that a limit or an abort has terminated.
    const wasEnded = this.#ends.endOf(ending, endedAt) !== undefined;
    const hurries = (): boolean => wasEnded || this.#isHurried || this.#streamFailure !== undefined;
    const outputs = await this.#streams.collected(ending, shown, hurries);
    this.#disarm();
    // A busy event loop learns of the start late, but knows how long ago the end was.
    const times = { startMs: Math.min(startMs, durationMs), durationMs };
    const end = this.#lateEnd ?? this.#ends.endOf(ending, endedAt);
    const result = this.#result(ending, end, times, outputs);
    if (this.#streamFailure) {
      const { name, cause } = this.#streamFailure;
      throw streamError(this.#command, name, cause, result);
    }
    if (result.failed && this.#options.reject !== false) {
      throw failureOf(result, this.#options, outputs[1]);
    }
    return result;
  }

  #result(
    ending: Pick<NativeEnding, 'exitCode' | 'signal' | 'totals'>,
    end: End | undefined,
    times: Pick<RunResult, 'startMs' | 'durationMs'>,
    outputs: readonly (Buffer | undefined)[],
  ): RunResult<RunOptions> {
    const { isPiped, names } = this.#streams;
    const outputTooLong = this.#ends.has('output');
    return resultOf(this.#command, this.#options, ending, {
      ...{ end, outputTooLong, times, names, isPiped, outputs },
    });
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
    this.#ends.add(why, signal);
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
}

/** Removes the container of a command whose promise is already settled. */
async function removeUnwanted(container: Container): Promise<void> {
  container.terminal?.destroy();
  // If this fails, `list` still shows the container; the next program removes it.
  await container[Symbol.asyncDispose]().catch(() => undefined);
}
