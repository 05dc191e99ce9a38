/** Which test files there are, and which can run at the same time. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Returns the test files that an argument names: itself, or those of a directory. */
export function filesOf(argument: string): string[] {
  if (!statSync(argument).isDirectory()) return [argument.replace(/^\.\//, '')];
  return readdirSync(argument, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(argument, name))
    .sort();
}

/** Returns all test files, except those of the pages, which scripts/lint runs. */
export function allFiles(): string[] {
  return filesOf('test').filter((file) => !file.startsWith('test/pages/'));
}

/** Returns the test files that have a long variant. */
export function longFiles(): string[] {
  return allFiles().filter((file) => readFileSync(file, 'utf8').includes('TARE_TEST_LONG'));
}

/** Files that take seconds and start neither a container nor a virtual machine. */
export function quickFiles(): string[] {
  return [
    ...filesOf('test/unit'),
    ...filesOf('test/repository'),
    'test/cgroup/change.test.ts',
    'test/container/config-accepted.test.ts',
    'test/fuzz/replay.test.ts',
    'test/install/engines.test.ts',
    'test/install/install.test.ts',
  ];
}

/**
 * Files that measure time, or use up what all processes of the machine share. Each runs alone, with
 * nothing else.
 */
const alone =
  /^test\/(?:soak\/|library\/(?:event-loop|host|run-deadline|stalled-exec)\.|cgroup\/update\.|security\/(?:full-disk|own-ids)\.)/;
/** Files whose tests run in a guest or in the engines' root file system, one at a time of each. */
const inMachine = /^test\/(?:machine|arm64)\//;
const withEngines = /^test\/engines\//;

/** Groups of files: what is in one group may run at the same time. `jobs` is how many of them do. */
export interface Group {
  jobs: number;
  lanes: string[][];
}

/** Returns the groups in the order in which they run. */
export function schedule(files: readonly string[], jobs: number): Group[] {
  const machines = files.filter((file) => inMachine.test(file));
  const engines = files.filter((file) => withEngines.test(file));
  const single = files.filter((file) => alone.test(file));
  const apart = new Set([...machines, ...engines, ...single]);
  const others = files.filter((file) => !apart.has(file));
  return [
    { jobs, lanes: others.map((file) => [file]) },
    { jobs: 1, lanes: [single] },
    { jobs: Math.min(jobs, 2), lanes: [machines, engines] },
  ];
}
