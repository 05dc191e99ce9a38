import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { binding, type NativeOutput } from '../native/binding.js';
import { errorFrom } from '../errors.js';

/** Collects what a process writes to a stream. */
export class StreamOutput {
  readonly #maxSize: number;
  readonly #tooLong: () => void;
  readonly #chunks: Buffer[] = [];
  readonly #keep: boolean;
  #length = 0;
  /** Bytes received, kept or not. */
  #came = 0;
  #stream: Readable | undefined;
  #ended: Promise<void> | undefined;

  /**
   * Keeps the first `maxSize` bytes, and calls `tooLong`, once, when there are more. If `keep` is
   * false, it keeps none and there is no limit.
   */
  constructor(maxSize: number, tooLong: () => void, keep = true) {
    this.#maxSize = keep ? maxSize : Infinity;
    this.#tooLong = tooLong;
    this.#keep = keep;
  }

  /** Starts collecting. */
  collect(stream: Readable): void {
    let full = false;
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.#came += chunk.length;
      if (!this.#keep) return;
      const room = this.#maxSize - this.#length;
      if (chunk.length > room && !full) {
        full = true;
        this.#tooLong();
      }
      const kept = chunk.subarray(0, Math.max(0, room));
      this.#length += kept.length;
      if (kept.length > 0) this.#chunks.push(kept);
    });
    // A caller that destroys the stream does not want the rest.
    this.#ended = finished(stream, { writable: false }).catch(() => undefined);
  }

  /**
   * Must be called when all processes that write have ended. Resolves with the collected bytes when
   * all are read, even if another process still has the pipe open. A stalled reader is waited for
   * until `hurries` returns true.
   */
  async all(hurries: () => boolean): Promise<Buffer> {
    let quiet = 0;
    let stalled = 0;
    for (let before = -1; !(await within(this.#ended, look)); before = this.#came) {
      const stream = this.#stream!;
      // With a listener for 'readable', everything is read once the buffer is empty.
      const reads = !stream.isPaused() || stream.listenerCount('readable') > 0;
      const waits = reads && stream.readableLength === 0;
      const idle = this.#came === before;
      quiet = waits && idle ? quiet + 1 : 0;
      stalled = hurries() && idle ? stalled + 1 : 0;
      // Since the last check, the event loop has read what was there.
      if (quiet === 2) end(stream);
      if (stalled === maxStalled) stream.destroy();
    }
    return Buffer.concat(this.#chunks, this.#length);
  }
}

/** Milliseconds between two checks. */
const look = 25;
/** Number of checks for which a reader may stall once `hurries` returns true. */
const maxStalled = 20;

/** Whether the promise is fulfilled within `delay` milliseconds. */
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
 * Output that a process writes to a pipe. The addon collects it, at a fraction of a stream's cost,
 * until the stream is requested.
 */
export class PipeOutput implements NativeOutput {
  readonly number: number;
  readonly key = ++lastKey;
  readonly maxSize: number;
  /** Whether the caller of run() gets the stream. */
  readonly isShown: boolean;
  readonly #tooLong: () => void;
  readonly #keep: boolean;
  #closed = false;
  #stream: Readable | undefined;
  #rest: StreamOutput | undefined;

  /**
   * Parameters as for {@link StreamOutput}, for file descriptor `number` of a process. The caller
   * must call close().
   */
  constructor(
    number: number,
    maxSize: number,
    tooLong: () => void,
    { keep = true, isShown = true } = {},
  ) {
    this.number = number;
    this.maxSize = Math.min(maxSize, Number.MAX_SAFE_INTEGER);
    this.isShown = isShown;
    this.#tooLong = tooLong;
    this.#keep = keep;
    tooLongByKey.set(this.key, tooLong);
  }

  /** A stream of the whole output, which is collected as it passes. */
  get stream(): Readable {
    if (this.#stream === undefined) {
      this.#stream = this.#take();
      this.#rest = new StreamOutput(this.maxSize, this.#tooLong, this.#keep);
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

  /**
   * Resolves with the output: `collected` by the addon or, if that is null, what passed through the
   * stream.
   */
  async all(
    collected: Buffer | undefined | null,
    hurries: () => boolean,
  ): Promise<Buffer | undefined> {
    return collected === null ? this.#rest?.all(hurries) : collected;
  }

  /** Must be called when the process has ended, or got no pipe. */
  close(): void {
    this.#closed = true;
    tooLongByKey.delete(this.key);
    binding.closeOutput(this.key);
  }

  /** Must be called if the process was not started. */
  failed(): void {
    this.close();
    this.#stream?.destroy();
  }
}
