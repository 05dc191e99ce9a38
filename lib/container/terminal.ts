import { Duplex } from 'node:stream';
import { ReadStream } from 'node:tty';
import { binding } from '../native/binding.js';
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
 * has the terminal open closes it.
 */
export class Terminal extends Duplex {
  readonly #fd: number;
  readonly #tty: ReadStream;

  /**
   * Takes ownership of the master of a pseudo-terminal.
   *
   * @internal
   */
  constructor(fd: number) {
    super({ allowHalfOpen: false });
    this.#fd = fd;
    this.#tty = new ReadStream(fd);
    this.#tty.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) this.#tty.pause();
    });
    this.#tty.on('end', () => this.push(null));
    this.#tty.on('error', (error: NodeJS.ErrnoException) => {
      // EIO: no process has the other side open any more.
      if (error.code === 'EIO') this.push(null);
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
    callback(error);
  }
}

/** Returns the terminal for a result of the addon's takeConsole(). */
export function terminalOf(fd: number): Terminal | null {
  return fd < 0 ? null : new Terminal(fd);
}
