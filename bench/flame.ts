/** Prints the samples of clinic flame as text. */
import { formatTable } from './statistics.js';

interface Frame {
  name: string;
  type: string;
}

const waiting = /epoll_p?wait/;
const rows = 20;

/** Returns `function file:line` or, if the frame is not JavaScript, its name and type. */
function nameOf({ name, type }: Frame): string {
  const words = name.replace(/file:\/\/\S*\/(?=[^/]+$)/, '').replace(/:\d+$/, '');
  return type === 'JS' ? words.trim() || '(anonymous)' : `${words} [${type}]`;
}

function count(names: Iterable<string>, into: Map<string, number>): void {
  for (const name of names) into.set(name, (into.get(name) ?? 0) + 1);
}

/**
 * Prints the functions in which the event loop's thread was sampled most often, without the time in
 * which it waited.
 * @param text the `samples` of clinic flame: stacks, the outermost function first
 */
export function printFlame(text: string): void {
  const stacks = (JSON.parse(text) as Frame[][]).filter((stack) => {
    const last = stack.at(-1);
    return last !== undefined && !waiting.test(last.name);
  });
  const self = new Map<string, number>();
  const total = new Map<string, number>();
  for (const stack of stacks) {
    count([nameOf(stack.at(-1)!)], self);
    count(new Set(stack.map(nameOf)), total);
  }
  const part = (samples: number): string => `${((100 * samples) / stacks.length).toFixed(1)} %`;
  for (const [title, counts] of [
    ['on the event loop, by function', self],
    ['with what it calls', total],
  ] as const) {
    const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, rows);
    console.log(`\n${formatTable([[title, ''], ...most.map(([n, c]) => [n, part(c)])])}`);
  }
}
