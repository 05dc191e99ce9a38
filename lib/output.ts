import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { binding, type NativeOutput } from './binding.js';
import { errorFrom } from './errors.js';

/** What a stream of a process brings, collected. */
export class StreamOutput {
  readonly #most: number;
  readonly #tooLong: () => void;
  readonly #chunks: Buffer[] = [];
  readonly #keep: boolean;
  #length = 0;
  /** Bytes, kept or not. */
  #came = 0;
  #stream: Readable | undefined;
  #ended: Promise<void> | undefined;

  /**
   * Calls `tooLong`, once, when there are more than `most` bytes, and keeps the first `most`; none, and
   * any number may come, where it is not to `keep` them.
   */
  constructor(most: number, tooLong: () => void, keep = true) {
    this.#most = keep ? most : Infinity;
    this.#tooLong = tooLong;
    this.#keep = keep;
  }

  /** Begins to collect. */
  collect(stream: Readable): void {
    let full = false;
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.#came += chunk.length;
      if (!this.#keep) return;
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

  /**
   * To be called when all processes have ended that were to write. Resolves with what came, when all
   * is there, whoever could write more. A reader that stands still is waited for until `hurries` says
   * that there is no more time.
   */
  async all(hurries: () => boolean): Promise<Buffer> {
    let quiet = 0;
    let stalled = 0;
    for (let before = -1; !(await within(this.#ended, look)); before = this.#came) {
      const stream = this.#stream!;
      // Who listens for 'readable' has all when there is nothing left to read.
      const reads = !stream.isPaused() || stream.listenerCount('readable') > 0;
      const waits = reads && stream.readableLength === 0;
      const idle = this.#came === before;
      quiet = waits && idle ? quiet + 1 : 0;
      stalled = hurries() && idle ? stalled + 1 : 0;
      // Since the last look the event loop has read what there was.
      if (quiet === 2) end(stream);
      if (stalled === mostStalled) stream.destroy();
    }
    return Buffer.concat(this.#chunks, this.#length);
  }
}

/** Milliseconds. */
const look = 25;
/** How many looks a reader may stand still where it is to hurry. */
const mostStalled = 20;

/** Whether that is settled after so many milliseconds. */
export async function within(
  promise: Promise<unknown> | undefined,
  delay: number,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, delay, false)));
  const settled = await Promise.race([(promise ?? Promise.resolve()).then(() => true), late]);
  clearTimeout(timer);
  return settled;
}

/** Ends a stream whose reader waits for more. */
function end(stream: Readable): void {
  stream.once('end', () => stream.destroy());
  stream.push(null);
}

let lastKey = 0;
const tooLongByKey = new Map<number, () => void>();
binding.onFull((key) => tooLongByKey.get(key)?.());

/**
 * What a process writes to a pipe, collected by the addon, which costs a fraction of a stream, until
 * somebody wants the stream.
 */
export class PipeOutput implements NativeOutput {
  readonly number: number;
  readonly key = ++lastKey;
  readonly most: number;
  /** Whether the caller of run() is to have its stream. */
  readonly isShown: boolean;
  readonly #tooLong: () => void;
  readonly #keep: boolean;
  #closed = false;
  #stream: Readable | undefined;
  #rest: StreamOutput | undefined;

  /** As of a {@link StreamOutput}, for file descriptor `number` of a process. To be closed. */
  constructor(
    number: number,
    most: number,
    tooLong: () => void,
    { keep = true, isShown = true } = {},
  ) {
    this.number = number;
    this.most = Math.min(most, Number.MAX_SAFE_INTEGER);
    this.isShown = isShown;
    this.#tooLong = tooLong;
    this.#keep = keep;
    tooLongByKey.set(this.key, tooLong);
  }

  /** A stream with all of it. It is collected on the way. */
  get stream(): Readable {
    if (this.#stream === undefined) {
      this.#stream = this.#take();
      this.#rest = new StreamOutput(this.most, this.#tooLong, this.#keep);
      this.#rest.collect(this.#stream);
    }
    return this.#stream;
  }

  #take(): Readable {
    let taken;
    try {
      taken = this.#closed ? { fd: -1, data: undefined } : binding.takeOutput(this);
    } catch (failure) {
      throw errorFrom(failure);
    }
    const { fd, data } = taken;
    if (fd < 0) return Readable.from(data ? [data] : [], { objectMode: false });
    const stream = new Socket({ fd, readable: true, writable: false });
    if (data) stream.unshift(data);
    return stream;
  }

  /** Resolves with what came: `collected`, by the addon, or what went through the stream (null). */
  async all(
    collected: Buffer | undefined | null,
    hurries: () => boolean,
  ): Promise<Buffer | undefined> {
    return collected === null ? this.#rest?.all(hurries) : collected;
  }

  /** To be called when the process has ended, or got no pipe. */
  close(): void {
    this.#closed = true;
    tooLongByKey.delete(this.key);
    binding.closeOutput(this.key);
  }

  /** To be called if the process was not started. */
  failed(): void {
    this.close();
    this.#stream?.destroy();
  }
}
