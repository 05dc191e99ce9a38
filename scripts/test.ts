/**
 * npm test [-- FILE|DIRECTORY ...]: runs the test files with tap. Prints a line for each file, all
 * details of failures, the reasons of skips and, as its last line, `N passed, N failed, N skipped`
 * (assertions). Tests in virtual and emulated machines come last, two files in parallel.
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
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Parser, type Result } from 'tap-parser';
import { stringify } from 'yaml';
import { isBuildable } from '../test/support/installed.js';

const counts = { pass: 0, fail: 0, skip: 0 };
const skipped: string[] = [];
const failed: string[] = [];

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function nameOf(result: Result): string {
  return result.fullname || result.name;
}

/** Prints a failed assertion with tap's diagnostics, between the lines of the files. */
function printFailure(result: Result): void {
  print(`not ok ${nameOf(result)}`);
  if (result.diag) print(stringify(result.diag).replace(/^/gm, '    ').trimEnd());
}

/**
 * Returns the test files that an argument names; tap itself would run every file of a directory.
 */
function testFiles(argument: string): string[] {
  if (!statSync(argument, { throwIfNoEntry: false })?.isDirectory()) return [argument];
  return readdirSync(argument, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(argument, name))
    .sort();
}

/** Long tests have their own timeouts, or none: a hanging test is the user's to end. */
const longOptions = ['--timeout=7200'];
const long = process.argv[2] === '--long';
const given = process.argv.slice(long ? 3 : 2);

/** Returns the test files that have a long variant. */
function longFiles(): string[] {
  return testFiles('test').filter((file) => readFileSync(file, 'utf8').includes('TARE_TEST_LONG'));
}

/** Prints comments of all levels, except those of tap itself. */
function printComments(parser: Parser): void {
  parser.on('comment', (comment: string) => {
    const text = comment.replace(/^ *#? ?/, '').trimEnd();
    if (!/^(?:Subtest: |time=|test count\(|failed |skip: |todo: )/.test(text)) print(`# ${text}`);
  });
  parser.on('child', printComments);
}

/** Returns a parser that counts and prints what a tap process reports. */
function newParser(): Parser {
  const parser = new Parser();
  const own = { pass: 0, fail: 0, skip: 0 };
  let inFile = { ...own };
  const count = (what: keyof typeof counts): void => {
    counts[what]++;
    own[what]++;
  };
  parser.on('pass', () => count('pass'));
  parser.on('skip', (result: Result) => {
    count('skip');
    const reason = typeof result.skip === 'string' ? result.skip : 'no reason given';
    skipped.push(`${nameOf(result)}: ${reason}`);
  });
  // A todo counts as a failure: its work is not done.
  for (const event of ['fail', 'todo']) {
    parser.on(event, (result: Result) => {
      count('fail');
      failed.push(nameOf(result));
      printFailure(result);
    });
  }
  // A test file is an assertion of the outermost level. It arrives before the leaf events that it
  // causes itself (a file that crashed, or was skipped as a whole), hence the microtask.
  parser.on('assert', (result: Result) => {
    queueMicrotask(() => {
      const [pass, fail, skip] = (['pass', 'fail', 'skip'] as const).map((k) => own[k] - inFile[k]);
      inFile = { ...own };
      const seconds = ((result.time ?? 0) / 1000).toFixed(1);
      const rest = (fail ? `, ${fail} failed` : '') + (skip ? `, ${skip} skipped` : '');
      print(`${result.ok ? 'ok' : 'NOT OK'}  ${result.name}: ${pass} passed${rest} (${seconds} s)`);
    });
  });
  parser.on('bailout', (reason: string) => print(`Bail out! ${reason}`));
  if (long) printComments(parser);
  return parser;
}

const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => running.forEach((tap) => tap.kill(signal)));
}

/** Runs the files one after the other. Returns tap's exit status. */
async function runFiles(files: string[]): Promise<number | null> {
  const tap = spawn(
    'node_modules/.bin/tap',
    ['--reporter=tap', ...(long ? longOptions : []), ...files],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...(long ? { TARE_TEST_LONG: '1' } : {}) },
    },
  );
  running.add(tap);
  const parser = newParser();
  tap.stdout.pipe(parser);
  const [[status]] = (await Promise.all([once(tap, 'close'), once(parser, 'complete')])) as [
    [number | null],
    unknown,
  ];
  running.delete(tap);
  return status;
}

// tap's own options are mixed with the files.
const isOption = (word: string): boolean => word.startsWith('-');
const options = given.filter(isOption);
const asked = given.filter((word) => !isOption(word));
const files =
  long && asked.length === 0
    ? longFiles()
    : (asked.length > 0 ? asked : ['test']).flatMap(testFiles);
// The build takes minutes, which must not count towards the first file that needs it.
const foreign = process.arch === 'x64' ? 'arm64' : 'x64';
if (!long && asked.length === 0 && isBuildable(foreign)) {
  execFileSync('sh', ['scripts/build', `--arch=${foreign}`, 'tare', 'tare_node'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
const inMachine = (file: string): boolean =>
  /^(?:\.\/)?test\/(?:machine|engines|arm64)\//.test(file);
const withEngines = (file: string): boolean => file.endsWith('test/engines/engines.test.ts');
const run = async (isIn: (file: string) => boolean): Promise<number | null> => {
  const group = files.filter(isIn);
  return group.length > 0 ? runFiles([...options, ...group]) : 0;
};
const here = await run((file) => !inMachine(file));
const machines = [(file: string) => inMachine(file) && !withEngines(file), withEngines];
const statuses = [here, ...(await Promise.all(machines.map(run)))];
const status = statuses.find((one) => one !== 0) ?? 0;

if (failed.length > 0) print(`\nFailed:\n${failed.map((name) => `  ${name}`).join('\n')}`);
if (skipped.length > 0) {
  print('\nSKIPPED, so this run says nothing about:');
  for (const line of skipped) print(`  ${line}`);
}
// tap's exit status also covers what no assertion shows, such as a file that exited early.
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
