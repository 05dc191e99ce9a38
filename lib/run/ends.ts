/** The requests to terminate a command, and which of them did. */
import { performance } from 'node:perf_hooks';
import type { NativeExit } from '../native/binding.js';
import { signalNumber } from '../options/signals.js';

/** Why a command is terminated. */
export type End = 'timeout' | 'cpu' | 'abort' | 'output' | 'stream' | 'kill';

interface Request {
  why: End;
  at: number;
  signal: number;
}

const sigkill = signalNumber('SIGKILL');

export class EndRequests {
  readonly #requests: Request[] = [];

  add(why: End, signal: number): void {
    this.#requests.push({ why, at: performance.now(), signal });
  }

  get first(): Request | undefined {
    return this.#requests[0];
  }

  get last(): Request | undefined {
    return this.#requests.at(-1);
  }

  has(end: End): boolean {
    return this.#requests.some(({ why }) => why === end);
  }

  /**
   * Returns what terminated the process. Requests that came after its end, or that it survived, do
   * not count.
   */
  endOf({ exitCode }: Pick<NativeExit, 'exitCode'>, endedAt: number): End | undefined {
    if (this.#requests.length === 0) return undefined;
    const ended = this.#requests.filter(
      ({ why, at, signal }) =>
        why === 'output' || (at <= endedAt && !(signal === sigkill && exitCode !== null)),
    );
    // An earlier kill() does not turn a failure into a success.
    return (ended.find(({ why }) => why !== 'kill') ?? ended[0])?.why;
  }
}
