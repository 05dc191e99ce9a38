import { invalidArgument } from './errors.js';

/**
 * What one of a process's file descriptors is: `ignore` /dev/null, `inherit` this program's of the
 * same number, or the open file descriptor of that number.
 */
export type StdioItem = 'ignore' | 'inherit' | number;

/**
 * The file descriptors of a process: one item for standard input, output and error each, or an
 * array with one for each of them; what follows in the array becomes its file descriptors 3, 4, ….
 */
export type Stdio = 'ignore' | 'inherit' | readonly StdioItem[];

/** The addon's form: numbers, -1 for /dev/null. */
export function stdioFds(stdio: Stdio = 'ignore'): number[] {
  const items: StdioItem[] = typeof stdio === 'string' ? [stdio, stdio, stdio] : [...stdio];
  while (items.length < 3) items.push('ignore');
  return items.map((item, index) => {
    const name = typeof stdio === 'string' ? 'stdio' : `stdio[${index}]`;
    if (item === 'inherit') return index;
    if (typeof item === 'number' && Number.isInteger(item) && item >= 0) return item;
    if (item !== 'ignore') throw invalidItem(name, item);
    if (index < 3) return -1;
    throw invalidArgument(`${name}: only standard input, output and error can be "ignore"`);
  });
}

function invalidItem(name: string, item: unknown): Error {
  return invalidArgument(
    `${name}: ${JSON.stringify(item)} is none of "ignore", "inherit", a file descriptor`,
  );
}
