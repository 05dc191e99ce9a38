import { Duplex } from 'node:stream';
import { ReadStream } from 'node:tty';
import { binding, type NativeConsole } from '../native/binding.js';
import { errorFrom, invalidArgument } from '../errors.js';

/** A terminal's size in characters. */
export interface TerminalSize {
  /** From 0 to 65535. */
  columns: number;
  /** From 0 to 65535. */
  rows: number;
}

/**
 * The master of a process's pseudo-terminal. The process reads what is written here as if it were
 * typed; what is read here is what the process displays. The stream ends when the last process that
 * has the terminal open closes it. `destroy()` hangs the terminal up: its processes get SIGHUP.
 */
export class Terminal extends Duplex {
  readonly #fd: number;
  readonly #tty: ReadStream;
  readonly #hangUp: () => void;
  #ended = false;

  /**
   * Takes ownership of the master of a pseudo-terminal. `hangUp` closes the addon's duplicate.
   *
   * @internal
   */
  constructor(fd: number, hangUp: () => void) {
    super({ allowHalfOpen: false });
    this.#fd = fd;
    this.#hangUp = hangUp;
    this.#tty = new ReadStream(fd);
    this.#tty.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) this.#tty.pause();
    });
    this.#tty.on('end', () => this.#end());
    this.#tty.on('error', (error: NodeJS.ErrnoException) => {
      // EIO: no process has the other side open any more.
      if (error.code === 'EIO') this.#end();
      else this.destroy(error);
    });
    this.#tty.pause();
  }

  /**
   * Changes the size; the foreground process group gets SIGWINCH. Does nothing if the terminal is
   * already closed.
   *
   * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for an invalid size.
   */
  resize({ columns, rows }: TerminalSize): void {
    for (const [name, value] of Object.entries({ columns, rows })) {
      if (!Number.isInteger(value) || value < 0 || value > 65535) {
        throw invalidArgument(`${name}: must be a whole number up to 65535, not ${value}`);
      }
    }
    if (this.#tty.destroyed) return;
    try {
      binding.resize(this.#fd, rows, columns);
    } catch (failure) {
      throw errorFrom(failure);
    }
  }

  #end(): void {
    this.#ended = true;
    this.push(null);
  }

  /** @internal */
  override _read(): void {
    this.#tty.resume();
  }

  /** @internal */
  override _write(chunk: Buffer, encoding: BufferEncoding, callback: () => void): void {
    this.#tty.write(chunk, encoding, () => callback());
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#tty.destroy();
    // The process that closed the terminal may still be exiting, and SIGHUP would end it instead.
    if (!this.#ended) this.#hangUp();
    callback(error);
  }
}

/** Returns the terminal of a process that the addon has started, or null if it has none. */
export function terminalOf(process: NativeConsole): Terminal | null {
  const fd = process.takeConsole();
  return fd < 0 ? null : new Terminal(fd, () => process.hangUp());
}
