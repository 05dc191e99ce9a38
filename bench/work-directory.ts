/**
 * Prepares the work directory, which all command lines see under the same path, with the build in
 * it.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPeers, findTare, type Contender } from './contenders.js';
import { rootPrefix } from './private-view.js';

const repository = fileURLToPath(new URL('..', import.meta.url));
export const work = '/run/bench';
export const spawnProgram = join(work, 'build/bench/spawn');

const installedTare = join(work, 'build/bench/installed/tare');

/**
 * Copies the command line, if it is built, as an installation does. A linker writes its output page
 * by page, so the page cache holds it in single pages, and a page fault maps fewer of them than of
 * a file that was written or read in large pieces, like the peers'. This costs 45 µs of a start.
 */
function installTare(): void {
  rmSync(installedTare, { force: true });
  const built = join(work, 'build/tare');
  if (!existsSync(built)) return;
  mkdirSync(dirname(installedTare), { recursive: true });
  copyFileSync(built, installedTare);
}

/** Makes the work directory. Throws Error if one of `programs` is not built. */
export function prepareWork(programs: string[]): void {
  mkdirSync(join(work, 'build'), { recursive: true });
  // A bind mount instead of a copy: the executables stay on their own file system, as the peers'
  // do.
  const build = join(repository, 'build');
  const { status } = spawnSync('mount', ['--bind', build, join(work, 'build')], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`could not bind ${build}`);
  installTare();
  mkdirSync(join(work, 'state'));
  for (const program of programs) {
    if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`);
  }
}

/** Returns tare, if it is built, and its peers, with the prefix of their command lines. */
export function findContenders(
  peer: string[],
  peersRoot: string,
): { contenders: Contender[]; prefix: string[] } {
  const prefix = peersRoot === '/' ? [] : rootPrefix(peersRoot, work);
  const contenders = findPeers(peer, peersRoot, prefix);
  const tare = findTare(installedTare);
  if (tare === undefined) console.log('build/tare is absent: tare is not timed');
  else contenders.unshift(tare);
  return { contenders, prefix };
}

/** The head of raw results. */
export interface Machine {
  date: string;
  kernel: string;
  cpu: string;
  node: string;
}

export function machine(): Machine {
  return {
    date: new Date().toISOString(),
    kernel: release(),
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    node: process.version,
  };
}

/** Writes raw results to `out`, or to bench/runs under their date and the benchmark's name. */
export function writeRaw(results: { date: string }, question: string, out?: string): void {
  const day = results.date.slice(0, 10);
  const file = out ?? join(repository, 'bench/runs', `${day}-${question}.json`);
  mkdirSync(join(file, '..'), { recursive: true });
  // One line per contender, which keeps the file readable.
  const text = JSON.stringify(results, null, 1).replace(/\n\s+(?=[\d[\]])/g, '');
  writeFileSync(file, `${text}\n`);
  console.log(`\nraw results: ${relative(process.cwd(), file)}`);
}
