/**
 * tidy: runs clang-tidy on what the compiler compiles (build/compile_commands.json): a source, or
 * the sources of a folder that are compiled together. Leaves out what has not changed since it was
 * found clean. Exits with 1 if there is a warning.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

interface Command {
  directory: string;
  file: string;
  command: string;
}

/** What clang-tidy reads at once. */
interface Unit {
  file: string;
  sources: string[];
  /** Is made when the unit was found clean. */
  stamp: string;
}

const output = 'build/lint';

function sourcesOf(file: string): string[] {
  if (!file.endsWith('.cxx')) return [file];
  const text = readFileSync(file, 'utf8');
  return Array.from(text.matchAll(/^#include "(.*)"$/gm), ([, path]) => path!);
}

/**
 * Returns the units, the largest first. Several programs may contain the same one. Writes the
 * commands that clang-tidy shall use.
 */
function prepareUnits(): Unit[] {
  const all = JSON.parse(readFileSync('build/compile_commands.json', 'utf8')) as Command[];
  const commands = new Map<string, Command>();
  const units: Unit[] = [];
  for (const command of all.filter(({ file }) => /\.(cc|cxx)$/.test(file))) {
    const sources = sourcesOf(command.file);
    const key = sources.join();
    if (commands.has(key)) continue;
    // clang reads gcc's options, without the one that it does not accept.
    const accepted = command.command.replaceAll(' -fno-tree-loop-distribute-patterns', '');
    commands.set(key, { ...command, command: accepted });
    const name = createHash('sha256').update(key).digest('hex').slice(0, 16);
    units.push({ file: command.file, sources, stamp: join(output, `${name}.clean`) });
  }
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, 'compile_commands.json'), JSON.stringify([...commands.values()]));
  return units.sort((one, other) => other.sources.length - one.sources.length);
}

const changed = (path: string): number => statSync(path).mtimeMs;

function newestHeader(): number {
  const headers = ['include', 'addon', 'test', 'bench'].flatMap((directory) =>
    readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.h'))
      .map((name) => changed(join(directory, name))),
  );
  return Math.max(changed('.clang-tidy'), ...headers);
}

async function isClean({ file, stamp }: Unit): Promise<boolean> {
  const options = ['-p', output, '--quiet', '--extra-arg=-Wno-unknown-warning-option'];
  options.push('--extra-arg=-Wno-ignored-optimization-argument', file);
  // clang-tidy counts on stderr the warnings that it does not show.
  const child = spawn('clang-tidy', options, { stdio: ['ignore', 'inherit', 'ignore'] });
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status === 0) writeFileSync(stamp, '');
  return status === 0;
}

const newest = newestHeader();
const waiting = prepareUnits().filter(
  ({ sources, stamp }) =>
    !existsSync(stamp) || changed(stamp) < Math.max(newest, ...sources.map(changed)),
);

async function work(): Promise<void> {
  for (let unit = waiting.shift(); unit !== undefined; unit = waiting.shift()) {
    if (!(await isClean(unit))) process.exitCode = 1;
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, work));
