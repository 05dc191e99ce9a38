import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

/** What a stream of a process brings, collected. */
export class Output {
  readonly #most: number;
  readonly #tooLong: () => void;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #ended: Promise<void> = Promise.resolve();

  /** Calls `tooLong`, once, when there are more than `most` bytes, and keeps the first `most`. */
  constructor(most: number, tooLong: () => void) {
    this.#most = most;
    this.#tooLong = tooLong;
  }

  /** Begins to collect. */
  collect(stream: Readable | null): void {
    if (stream === null) return;
    let full = false;
    stream.on('data', (chunk: Buffer) => {
      const room = this.#most - this.#length;
      if (chunk.length > room && !full) {
        full = true;
        this.#tooLong();
      }
      const kept = chunk.subarray(0, Math.max(0, room));
      this.#length += kept.length;
      if (kept.length > 0) this.#chunks.push(kept);
    });
    // Whoever destroyed the stream does not want the rest.
    this.#ended = finished(stream, { writable: false }).catch(() => undefined);
  }

  /** Resolves when all is there. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  text(encoding: BufferEncoding | 'buffer' = 'utf8'): string | Buffer {
    const all = Buffer.concat(this.#chunks, this.#length);
    return encoding === 'buffer' ? all : all.toString(encoding);
  }
}
