/**
 * npm test [-- FILE|DIRECTORY ...]: runs the test files with tap, prints a line for each file, everything
 * about what fails and why something is skipped, and as its last line
 * `N passed, N failed, N skipped` (assertions).
 *
 * npm run test:soak [-- FILE ...]: the same with TARE_TEST_LONG=1, by which tests that are bounded for
 * everyday use take the time that they would need; without a FILE those that know of it. The figures
 * that they tell (as comments) are printed too.
 *
 * Exits non-zero if anything failed, and under CI=true also if anything was skipped: there a
 * machine that cannot run a test is a fault of the machine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Parser, type Result } from 'tap-parser';
import { stringify } from 'yaml';

const counts = { pass: 0, fail: 0, skip: 0 };
const skipped: string[] = [];
const failed: string[] = [];

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function nameOf(result: Result): string {
  return result.fullname || result.name;
}

/** The lines between two lines of assertions: what failed, with tap's diagnostics. */
function printFailure(result: Result): void {
  print(`not ok ${nameOf(result)}`);
  if (result.diag) print(stringify(result.diag).replace(/^/gm, '    ').trimEnd());
}

const parser = new Parser();
let inFile = { ...counts };
parser.on('pass', () => counts.pass++);
parser.on('skip', (result: Result) => {
  counts.skip++;
  const reason = typeof result.skip === 'string' ? result.skip : 'no reason given';
  skipped.push(`${nameOf(result)}: ${reason}`);
});
// A todo is work that is not done.
for (const event of ['fail', 'todo']) {
  parser.on(event, (result: Result) => {
    counts.fail++;
    failed.push(nameOf(result));
    printFailure(result);
  });
}
// A test file is an assertion of the outermost level. It arrives before the leaf events that it
// causes itself (a file that crashed, or was skipped as a whole), hence the microtask.
parser.on('assert', (result: Result) => {
  queueMicrotask(() => {
    const [pass, fail, skip] = (['pass', 'fail', 'skip'] as const).map(
      (k) => counts[k] - inFile[k],
    );
    inFile = { ...counts };
    const seconds = ((result.time ?? 0) / 1000).toFixed(1);
    const rest = (fail ? `, ${fail} failed` : '') + (skip ? `, ${skip} skipped` : '');
    print(`${result.ok ? 'ok' : 'NOT OK'}  ${result.name}: ${pass} passed${rest} (${seconds} s)`);
  });
});
parser.on('bailout', (reason: string) => print(`Bail out! ${reason}`));

/** The test files that an argument names; tap itself would run every file of a directory. */
function testFiles(argument: string): string[] {
  if (!statSync(argument, { throwIfNoEntry: false })?.isDirectory()) return [argument];
  return readdirSync(argument, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(argument, name));
}

/** Its files have their own, or none: what hangs is the reader's to end. */
const longOptions = ['--timeout=7200'];
const long = process.argv[2] === '--long';
const given = process.argv.slice(long ? 3 : 2);

/** The test files that have a long variant. */
function longFiles(): string[] {
  return testFiles('test').filter((file) => readFileSync(file, 'utf8').includes('TARE_TEST_LONG'));
}

/** Comments of all levels, but those of tap itself. */
function printComments(parser: Parser): void {
  parser.on('comment', (comment: string) => {
    const text = comment.replace(/^ *#? ?/, '').trimEnd();
    if (!/^(?:Subtest: |time=|test count\(|failed |skip: |todo: )/.test(text)) print(`# ${text}`);
  });
  parser.on('child', printComments);
}
if (long) printComments(parser);

const files = long && given.length === 0 ? longFiles() : given.flatMap(testFiles);
const tap = spawn(
  'node_modules/.bin/tap',
  ['--reporter=tap', ...(long ? longOptions : []), ...files],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...(long ? { TARE_TEST_LONG: '1' } : {}) },
  },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => tap.kill(signal));
}
tap.stdout.pipe(parser);
const [[status]] = (await Promise.all([once(tap, 'close'), once(parser, 'complete')])) as [
  [number | null],
  unknown,
];

if (failed.length > 0) print(`\nFailed:\n${failed.map((name) => `  ${name}`).join('\n')}`);
if (skipped.length > 0) {
  print('\nSKIPPED, so this run says nothing about:');
  for (const line of skipped) print(`  ${line}`);
}
// tap's own verdict covers what no assertion shows, such as a file that left early.
if (status !== 0 && counts.fail === 0) {
  counts.fail++;
  print(`\ntap exited with status ${status} although no assertion failed`);
}
if (counts.pass + counts.fail + counts.skip === 0) {
  counts.fail++;
  print('\nno test was found');
}
print(`\n${counts.pass} passed, ${counts.fail} failed, ${counts.skip} skipped`);
const skipFails = process.env['CI'] === 'true' && counts.skip > 0;
process.exitCode = counts.fail > 0 || skipFails ? 1 : 0;
