import type { Readable } from 'node:stream';

/**
 * Reads one command's output from a port that all commands share. `MARKER WORD\n` follows the
 * command's last byte; the marker may arrive in pieces and is removed from the output.
 */
export class MarkedStream {
  /** The word after the marker, empty if there is none. */
  readonly end: Promise<string>;
  readonly #chunks: Buffer[] = [];
  /** Data that may be the beginning of the marker. */
  #held = Buffer.alloc(0);
  #resolve!: (word: string) => void;
  readonly #onData = (chunk: Buffer) => this.#take(chunk);

  constructor(
    private readonly source: Readable,
    private readonly marker: string,
    private readonly onOutput: (chunk: Buffer) => void = () => {},
  ) {
    this.end = new Promise((resolve) => (this.#resolve = resolve));
    source.on('data', this.#onData).resume();
  }

  #take(chunk: Buffer): void {
    const data = Buffer.concat([this.#held, chunk]);
    const at = data.indexOf(this.marker);
    if (at >= 0) {
      this.#held = data.subarray(at);
      if (at > 0) this.#emit(data.subarray(0, at));
      if (data[data.length - 1] !== 0x0a) return;
      this.detach();
      this.#resolve(
        data
          .subarray(at + this.marker.length, -1)
          .toString()
          .trim(),
      );
      return;
    }
    const keep = partialMatch(data, this.marker);
    this.#held = data.subarray(data.length - keep);
    if (keep < data.length) this.#emit(data.subarray(0, data.length - keep));
  }

  #emit(output: Buffer): void {
    this.#chunks.push(output);
    this.onOutput(output);
  }

  detach(): void {
    this.source.off('data', this.#onData).pause();
  }

  output(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** Returns the length of the longest suffix of `data` that is a prefix of `marker`. */
function partialMatch(data: Buffer, marker: string): number {
  for (let length = Math.min(marker.length - 1, data.length); length > 0; length--) {
    if (data.subarray(data.length - length).toString('latin1') === marker.slice(0, length))
      return length;
  }
  return 0;
}
