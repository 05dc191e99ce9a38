import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** A process that prints a line of JSON, usually {"ns":...}, for each byte on its stdin. */
export class Paced {
  readonly #child: ChildProcess;
  readonly #stdin: Writable;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: string[]) {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    this.#stdin = child.stdin;
    const stdout: Readable = child.stdout;
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** Runs one cycle. Returns its nanoseconds. */
  async cycle(): Promise<number> {
    this.ask();
    return (await this.next<{ ns: number }>()).ns;
  }

  /** Requests `times` cycles. */
  ask(times = 1): void {
    this.#stdin.write('.'.repeat(times));
  }

  /** Returns the next line of its output. */
  async next<Told>(): Promise<Told> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`${this.#child.spawnargs.join(' ')}: ended early`);
    return JSON.parse(line.value) as Told;
  }

  /** Ends the process and waits for its end. */
  async close(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#stdin.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await gone;
  }
}
