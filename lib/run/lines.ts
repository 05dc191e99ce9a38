/** Output line by line. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** The lines of a text, without their ends. What follows the last end is a line if it is not empty. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map(withoutReturn);
}

/** A terminal writes a carriage return, too. */
const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line);

/** The lines of what a stream brings, as they come. The stream flows on when the caller leaves the loop. */
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
    // What is not read would stop the command.
    stream.resume();
  }
}
