import type { NativeExit, NativeProcess } from '../native/binding.js';
import { errorFrom, settled } from '../errors.js';
import { signalName, signalNumber } from '../options/signals.js';
import type { ProcessStreams } from './stdio.js';
import { terminalOf, type Terminal } from './terminal.js';

/**
 * How a process ended: one of the two is not null. Both are null if the process was not a child of
 * this program, because the kernel then reports only that it has ended.
 */
export interface ExitStatus {
  /** Exit code; null if a signal terminated the process. */
  exitCode: number | null;
  /** Signal that terminated it, e.g. `SIGKILL`; real-time signals are `SIGRTMIN+N`. */
  signal: NodeJS.Signals | null;
}

export function exitStatus(native: NativeExit): ExitStatus {
  const { exitCode, signal } = native;
  return { exitCode, signal: signal === null ? null : signalName(signal) };
}

/** A process started by {@link Container.exec}. */
export class ContainerProcess implements ProcessStreams {
  readonly stdin: ProcessStreams['stdin'];
  readonly stdout: ProcessStreams['stdout'];
  readonly stderr: ProcessStreams['stderr'];
  readonly stdio: ProcessStreams['stdio'];
  /** Its terminal; null if it has none, or `consoleSocket` received it. */
  readonly terminal: Terminal | null;
  readonly #native: NativeProcess;

  private constructor(native: NativeProcess, { stdin, stdout, stderr, stdio }: ProcessStreams) {
    this.#native = native;
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.stdio = stdio;
    this.terminal = terminalOf(native);
  }

  /**
   * Returns the object for a process that the addon has started.
   *
   * @internal
   */
  static of(native: NativeProcess, streams: ProcessStreams): ContainerProcess {
    return new ContainerProcess(native, streams);
  }

  /** The pid on the host. */
  get pid(): number {
    return this.#native.pid;
  }

  /**
   * Resolves when the process has ended, also if it ended earlier. Keeps this program running until
   * then. May be called repeatedly, and by several callers.
   */
  async wait(): Promise<ExitStatus> {
    return exitStatus(await settled(this.#native.wait()));
  }

  /**
   * Sends a signal, given by name or number, to this process and no other (pidfd_send_signal(2)).
   *
   * @returns false if the process has ended
   * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for an invalid signal.
   */
  kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const number = signalNumber(signal);
    try {
      return this.#native.kill(number);
    } catch (failure) {
      throw errorFrom(failure);
    }
  }

  /** For `await using`: kills the process if it still exists, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.wait();
  }
}
