/** Writes the `input` option of a command. */
import { finished, type Readable, type Writable } from 'node:stream';
import { mustBe } from '../options/option-values.js';
import type { Input } from './options.js';

type Sequence = Exclude<Input, string | Uint8Array>;
type Chunks = AsyncIterator<unknown> | Iterator<unknown>;

/**
 * Ctrl-D: a terminal takes it as end of file at the beginning of a line. Elsewhere it must be sent
 * twice.
 */
const endOfTransmission = '\x04';

/**
 * Reads the caller's input no faster than the command does, and closes it when the command needs no
 * more. Error listeners are attached at once: a stream may fail before it is read.
 */
export class InputFeed {
  readonly #input: Input;
  readonly #failed: (error: unknown) => void;
  #chunks: Chunks | undefined;
  #closed = false;

  /** Calls `failed`, at most once, if `input` fails while it is still needed. */
  constructor(input: Input, failed: (error: unknown) => void) {
    this.#input = input;
    this.#failed = failed;
    if (isNodeStream(input)) {
      finished(input, { writable: false }, (error) => {
        if (error) this.#fail(error);
      });
      // The stream may emit another error, even after it is destroyed.
      input.on('error', () => undefined);
    }
  }

  /** Writes the whole input, then end of file. */
  to(target: Writable, isTerminal: boolean): void {
    const input = this.#input;
    // The command may exit without reading all of it.
    target.on('error', () => undefined);
    target.once('close', () => this.close());
    if (typeof input === 'string' || input instanceof Uint8Array) {
      target.write(input);
      this.#end(target, isTerminal, input);
      return;
    }
    this.#copy(input, target, isTerminal).catch((error: unknown) => this.#fail(error));
  }

  /** Must be called when the input is no longer read. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const input = this.#input;
    if (typeof input === 'string' || input instanceof Uint8Array) return;
    if (isNodeStream(input)) input.destroy();
    else if (this.#chunks !== undefined) closeIterator(this.#chunks);
    else if (isWebReadable(input)) input.cancel().catch(() => undefined);
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#failed(error);
  }

  async #copy(input: Sequence, target: Writable, isTerminal: boolean): Promise<void> {
    const chunks: Chunks = (this.#chunks = chunksOf(input));
    let last: string | Uint8Array = '';
    let written = 0;
    while (!this.#closed) {
      const next: IteratorResult<unknown, unknown> = await chunks.next();
      const { done, value } = next;
      if (this.#closed) return;
      if (done === true) {
        this.#closed = true;
        this.#end(target, isTerminal, last);
        return;
      }
      if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
        throw mustBe('input', 'a sequence of strings and Uint8Arrays', value);
      }
      if (value.length > 0) last = value;
      const hasRoom = target.write(value);
      // Its 'close' comes with the next turn of the event loop, which this loop might never allow.
      if (target.destroyed) return this.close();
      if (!hasRoom) await drained(target);
      // A source that always has data ready would starve the event loop.
      if (++written % 64 === 0) await new Promise(setImmediate);
    }
  }

  #end(target: Writable, isTerminal: boolean, last: string | Uint8Array): void {
    if (!isTerminal) {
      target.end();
      return;
    }
    const end = last.at(-1);
    const isLineEnd = last.length === 0 || end === '\n' || end === 10;
    target.write(isLineEnd ? endOfTransmission : endOfTransmission.repeat(2));
  }
}

/**
 * Closes the input of refused options, which may be any value: it will not be read. An accessor is
 * not called again.
 */
export function closeInput(options: unknown): void {
  try {
    const input = Object.getOwnPropertyDescriptor(options, 'input')?.value as Input | undefined;
    if (input === undefined) return;
    if (isNodeStream(input)) {
      input.on('error', () => undefined);
      input.destroy();
    } else if (typeof input === 'object' && isWebReadable(input)) {
      input.cancel().catch(() => undefined);
    }
  } catch {
    // Options that throw when read have no input to close.
  }
}

/** Resolves when the stream has drained or is closed. */
async function drained(target: Writable): Promise<void> {
  if (target.destroyed) return;
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      target.off('drain', settle);
      target.off('close', settle);
      resolve();
    };
    target.on('drain', settle);
    target.on('close', settle);
  });
}

/**
 * Returns an iterator of a sequence. That of a web stream is its reader: cancel() ends a pending
 * read, after which the stream's own iterator would wait.
 */
function chunksOf(input: Sequence): Chunks {
  if (isWebReadable(input)) {
    const reader = input.getReader();
    return {
      next: () => reader.read() as Promise<IteratorResult<unknown, unknown>>,
      return: async () => {
        await reader.cancel();
        return { done: true, value: undefined };
      },
    };
  }
  return Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
}

/** Closes an iterator. A generator that awaits its next value handles return() after that. */
function closeIterator(chunks: Chunks): void {
  try {
    Promise.resolve(chunks.return?.()).catch(() => undefined);
  } catch {
    // An error of return() is ignored: the iterator is no longer used.
  }
}

function isNodeStream(input: Input): input is Readable {
  if (typeof input !== 'object' || input === null) return false;
  return typeof (input as Readable).pipe === 'function' && 'destroy' in input;
}

function isWebReadable(input: object): input is ReadableStream {
  return typeof (input as ReadableStream).getReader === 'function' && 'cancel' in input;
}
