/**
 * npm run fuzz [-- TARGET ...] [--seconds=N]: lets libFuzzer search for inputs that break a parser
 * of untrusted bytes. Runs the targets (test/fuzz/TARGET.cc) one after the other, each for N
 * seconds, 60 by default.
 *
 * It starts from test/fuzz/corpus/TARGET and from what earlier runs have found
 * (build/libfuzzer/corpus/TARGET). An input that breaks something is written to
 * build/libfuzzer/found/TARGET: add it, with the fix, to test/fuzz/corpus/TARGET, which `npm test`
 * replays.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = join(root, 'build/libfuzzer');
const corpora = join(root, 'test/fuzz/corpus');
const known = readdirSync(corpora).sort();

/** libFuzzer's statistics, from its progress lines and the end of a run. */
interface Figures {
  executions: number;
  edges: number;
  inputs: number;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes the words that the sources compare with, which byte mutations would not find. */
function writeDictionary(file: string): void {
  const words = new Set<string>();
  for (const directory of ['addon/core', 'addon/cli']) {
    for (const name of readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.cc')) continue;
      const text = readFileSync(join(root, directory, name), 'utf8');
      for (const [, word] of text.matchAll(/"([\w.:=@/-]{2,40})"/g)) words.add(word ?? '');
    }
  }
  writeFileSync(file, [...words].map((word) => `"${word}"\n`).join(''));
}

/** Runs one target. Returns undefined if it found something. */
async function run(target: string, seconds: number): Promise<Figures | undefined> {
  const grown = join(build, 'corpus', target);
  const found = join(build, 'found', target);
  for (const directory of [grown, found]) mkdirSync(directory, { recursive: true });
  const dictionary = join(build, 'dictionary');
  writeDictionary(dictionary);
  const args = [
    ...[grown, join(corpora, target)],
    ...[`-max_total_time=${seconds}`, `-dict=${dictionary}`, `-artifact_prefix=${found}/`],
    // No input of this size may take that long, on a busy machine, or that much memory.
    ...['-max_len=65536', '-timeout=60', '-rss_limit_mb=2048', '-print_final_stats=1'],
  ];
  const child = spawn(join(build, 'fuzz', target), args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = once(child, 'close') as Promise<[number | null]>;
  const figures = { executions: 0, edges: 0, inputs: 0 };
  const last: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    if (last.push(line) > 60) last.shift();
    const progress = /^#(\d+)\s.*cov: (\d+).* corp: (\d+)/.exec(line);
    if (progress === null) continue;
    [figures.executions, figures.edges, figures.inputs] = progress.slice(1).map(Number) as [
      number,
      number,
      number,
    ];
  }
  const [status] = await closed;
  if (status === 0) return figures;
  print(last.join('\n'));
  return undefined;
}

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' } },
  allowPositionals: true,
});
const seconds = Number(values.seconds);
const unknown = positionals.filter((target) => !known.includes(target));
if (!Number.isInteger(seconds) || seconds < 1 || unknown.length > 0) {
  print(`usage: npm run fuzz [-- TARGET ...] [--seconds=N]; targets: ${known.join(', ')}`);
  process.exit(2);
}
for (const target of positionals.length > 0 ? positionals : known) {
  const figures = await run(target, seconds);
  if (figures === undefined) process.exitCode = 1;
  print(
    figures === undefined
      ? `${target}: FOUND something, see above and build/libfuzzer/found/${target}`
      : `${target}: clean, ${figures.executions} executions in ${seconds} s, ` +
          `${figures.edges} edges covered, ${figures.inputs} inputs in the corpus`,
  );
}
