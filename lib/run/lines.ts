/** Converts output to text, and splits it into lines. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { TareError } from '../errors.js';

/** Max number of lines in an array. V8 ends the process where an array gets too large. */
const maxLines = 2 ** 24;

/**
 * Returns an output as a string. `name` is that of the option.
 *
 * @throws {@link TareError} `ERR_TARE_OUTPUT_TOO_LONG` if V8 has no strings of that length.
 */
export function textOf(name: string, bytes: Buffer, encoding: BufferEncoding): string {
  try {
    return bytes.toString(encoding);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STRING_TOO_LONG') throw error;
    throw new TareError(
      `${name}: ${bytes.length} bytes are too many for a string; collect them as bytes ` +
        `(encoding: 'buffer'), write them to a file (${name}: { file }), or lower maxBuffer`,
      { code: 'ERR_TARE_OUTPUT_TOO_LONG', cause: error },
    );
  }
}

/**
 * Returns the lines of a text, without line ends. Text after the last newline is a line if it is
 * not empty.
 *
 * @throws {@link TareError} `ERR_TARE_OUTPUT_TOO_LONG` if there are more than 2^24.
 */
export function linesOf(text: string): string[] {
  if (text.length > maxLines) {
    let count = 0;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
      if (++count > maxLines) {
        throw new TareError(
          `lines: more than ${maxLines} lines of output; iterate over the command instead`,
          { code: 'ERR_TARE_OUTPUT_TOO_LONG' },
        );
      }
    }
  }
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map(withoutReturn);
}

/** A terminal ends lines with a carriage return and a newline. */
const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line);

/**
 * Yields the lines of a stream as they arrive. The stream keeps flowing when the caller leaves the
 * loop.
 */
export async function* streamLines(
  stream: Readable,
  encoding: BufferEncoding,
): AsyncGenerator<string, void> {
  const decoder = new StringDecoder(encoding);
  // The parts of a line that has no end yet: joined once, as a long line comes in many chunks.
  let parts: string[] = [];
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const lines = decoder.write(chunk as Buffer).split('\n');
      const rest = lines.pop()!;
      for (const end of lines) {
        const line = parts.length === 0 ? end : [...parts, end].join('');
        parts = [];
        yield withoutReturn(line);
      }
      if (rest !== '') parts.push(rest);
    }
    const rest = parts.join('') + decoder.end();
    if (rest !== '') yield withoutReturn(rest);
  } finally {
    // An unread pipe would block the command.
    stream.resume();
  }
}
