/**
 * npm test [-- FILE|DIRECTORY ...]: runs the named test files, or all except those of the pages,
 * which `npm run lint` runs. Prints a line for each file, all details of failures, the reasons of
 * skips and, as its last line, `N passed, N failed, N skipped` (assertions). As many
 * files run at the same time as there are processors, except those that measure time; tests in
 * virtual and emulated machines come last. `--jobs=N` sets the number, `--test-arg=WORD` passes a
 * word to the files.
 *
 * npm run test:quick: the same for files that take seconds and start neither a container nor a
 * virtual machine.
 *
 * npm run test:soak [-- FILE ...]: the same with TARE_TEST_LONG=1, with which tests that are
 * shortened for everyday use take their full time; without a FILE it runs the files that have such
 * a variant. The figures that they report (as comments) are printed, too.
 *
 * Exits non-zero if anything failed and, under CI=true, also if anything was skipped: a CI machine
 * must be able to run every test.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import type { FinalResults } from 'tap-parser';
import { bundleFiles, repository } from '../test/support/bundle.js';
import { isBuildable } from '../test/support/installed.js';
import { allFiles, filesOf, longFiles, quickFiles, schedule } from './test-files.js';
import { Report, print } from './test-report.js';

const words = process.argv.slice(2);
const isOption = (word: string): boolean => word.startsWith('-');
const asked = words.filter((word) => !isOption(word));
const options = new Map<string, string>();
for (const word of words.filter(isOption)) {
  const [name = '', value = ''] = word.split(/=(.*)/s, 2);
  options.set(name, value);
}
for (const name of options.keys()) {
  if (['--jobs', '--test-arg', '--long', '--quick'].includes(name)) continue;
  print(`test: unknown option ${name}; --jobs=N and --test-arg=WORD exist`);
  process.exit(2);
}
const long = options.has('--long');
const quick = options.has('--quick');
const jobs = Number(options.get('--jobs') ?? (long ? 1 : availableParallelism()));
if (!Number.isInteger(jobs) || jobs < 1) {
  print(`test: invalid --jobs=${options.get('--jobs')}; give a number from 1`);
  process.exit(2);
}

/** Seconds after which a file is ended that asks for no other timeout. */
const timeout = Number(process.env['TAP_TIMEOUT'] ?? (long ? 7200 : 120));
/** tap's own timer in the file comes first, since it tells which test was running. */
const grace = 20;

const env = {
  ...process.env,
  TAP_TIMEOUT: String(timeout),
  ...(long ? { TARE_TEST_LONG: '1' } : {}),
};
const report = new Report(long);
const running = new Set<ChildProcess>();
/** The first signal that asked for the end: no other file begins after it. */
let stoppedBy: NodeJS.Signals | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stoppedBy ??= signal;
    running.forEach((child) => child.kill(signal));
  });
}

/** Runs a program that writes TAP, as the test file `name`. */
async function runFile(name: string, program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  running.add(child);
  let limit: NodeJS.Timeout | undefined;
  let timedOut: NodeJS.Timeout | undefined;
  const allow = (milliseconds: number): void => {
    clearTimeout(limit);
    limit = setTimeout(
      () => {
        child.kill('SIGTERM');
        timedOut = setTimeout(() => child.kill('SIGKILL'), 10_000);
      },
      milliseconds + grace * 1000,
    );
  };
  allow(timeout * 1000);
  const file = report.file(name, allow);
  child.stdout.pipe(file.parser);
  const [[results], [status, signal]] = (await Promise.all([
    once(file.parser, 'complete'),
    once(child, 'exit'),
  ])) as [[FinalResults], [number | null, NodeJS.Signals | null]];
  clearTimeout(limit);
  clearTimeout(timedOut);
  running.delete(child);
  const ended = signal === null ? `exited with status ${status}` : `was ended by ${signal}`;
  file.end(results, timedOut ? 'timed out' : status === 0 ? undefined : ended);
}

/** Runs lanes of files, `count` lanes at a time. */
async function runLanes(
  lanes: readonly string[][],
  count: number,
  programs: ReadonlyMap<string, string>,
): Promise<void> {
  const waiting = [...lanes];
  const testArgument = options.get('--test-arg');
  const work = async (): Promise<void> => {
    for (let lane = waiting.shift(); lane !== undefined; lane = waiting.shift()) {
      for (const file of lane) {
        if (stoppedBy !== undefined) return;
        const args = ['--enable-source-maps', programs.get(file)!];
        await runFile(file, process.execPath, testArgument ? [...args, testArgument] : args);
      }
    }
  };
  await Promise.all(Array.from({ length: count }, work));
}

/** Builds for the other architecture: it takes minutes, which must not count for one file. */
function buildForeign(): void {
  const foreign = process.arch === 'x64' ? 'arm64' : 'x64';
  if (!isBuildable(foreign)) return;
  execFileSync('sh', ['scripts/build', `--arch=${foreign}`, 'tare', 'tare_node'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

const files =
  asked.length > 0
    ? asked.flatMap(filesOf)
    : long
      ? longFiles()
      : quick
        ? quickFiles()
        : allFiles();
if (!long && !quick && asked.length === 0) buildForeign();

mkdirSync('build/tests', { recursive: true });
const directory = mkdtempSync(join(repository, 'build/tests/'));
try {
  const programs = await bundleFiles(files, directory);
  for (const { lanes, jobs: count } of schedule(files, jobs)) {
    await runLanes(lanes, count, programs);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

const { counts } = report;
if (stoppedBy === undefined && counts.pass + counts.fail + counts.skip === 0) {
  report.fail('no test was found');
}
if (stoppedBy !== undefined) print(`\nstopped by ${stoppedBy}: other files did not run`);
report.end();
const skipFails = process.env['CI'] === 'true' && counts.skip > 0;
process.exitCode = counts.fail > 0 || skipFails ? 1 : 0;
if (stoppedBy !== undefined) process.exitCode = 128 + constants.signals[stoppedBy];
