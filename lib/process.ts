import type { NativeExit, NativeProcess } from './binding.js';
import { errorFrom, settled } from './errors.js';
import { signalName, signalNumber } from './signals.js';
import type { ProcessStreams } from './stdio.js';
import { terminalOf, type Terminal } from './terminal.js';

/**
 * How a process ended: one of the two is not null. Both are where it was no child of this program,
 * since then the kernel tells only that it has ended.
 */
export interface ExitStatus {
  /** What it passed to exit(2). */
  exitCode: number | null;
  /** The signal that ended it, e.g. `SIGKILL`; of real-time signals `SIGRTMIN+N`. */
  signal: NodeJS.Signals | null;
}

export function exitStatus(native: NativeExit): ExitStatus {
  const { exitCode, signal } = native;
  return { exitCode, signal: signal === null ? null : signalName(signal) };
}

/** A process that was started in a container by {@link Container.exec}. */
export class ContainerProcess implements ProcessStreams {
  readonly stdin: ProcessStreams['stdin'];
  readonly stdout: ProcessStreams['stdout'];
  readonly stderr: ProcessStreams['stderr'];
  readonly stdio: ProcessStreams['stdio'];
  /** Its terminal, where it has one and no `consoleSocket` took it. */
  readonly terminal: Terminal | null;
  readonly #native: NativeProcess;

  /**
   * Comes from {@link Container.exec}.
   * @internal
   */
  constructor(native: NativeProcess, { stdin, stdout, stderr, stdio }: ProcessStreams) {
    this.#native = native;
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.stdio = stdio;
    this.terminal = terminalOf(native.takeConsole());
  }

  /** The host's id of the process. */
  get pid(): number {
    return this.#native.pid;
  }

  /**
   * Resolves when the process has ended, also if it has ended before. Until then it keeps this
   * program running. May be called again, and by several.
   */
  async wait(): Promise<ExitStatus> {
    return exitStatus(await settled(this.#native.wait()));
  }

  /**
   * Sends a signal, by its name or number. It goes to this process and no other, by pidfd_send_signal(2).
   *
   * @returns false if the process has ended
   * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for a signal that is none.
   */
  kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const number = signalNumber(signal);
    try {
      return this.#native.kill(number);
    } catch (failure) {
      throw errorFrom(failure);
    }
  }

  /** For `await using`: kills the process, if it is still there, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.wait();
  }
}
