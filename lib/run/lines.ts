/** Splits output into lines. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/**
 * Returns the lines of a text, without line ends. Text after the last newline is a line if it is
 * not empty.
 */
export function linesOf(text: string): string[] {
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
  let rest = '';
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) yield withoutReturn(line);
    }
    rest += decoder.end();
    if (rest !== '') yield withoutReturn(rest);
  } finally {
    // An unread pipe would block the command.
    stream.resume();
  }
}
