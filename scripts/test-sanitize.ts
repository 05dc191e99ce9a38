/**
 * npm run test:sanitize [-- FILE|DIRECTORY ...]: runs the tests with a command line, an addon and
 * test programs that are built with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
 * (build/sanitize). A finding ends the program, and so fails the test.
 *
 * The sanitizers do not cover init and the vfork child between clone and exec, which have no C
 * library; `npm run fuzz -- init` builds init's sources with one. Left out are the tests of the
 * virtual machines, which run build/tare, of the repository, which run nothing, and of the package,
 * which build it, and the crash matrix: LeakSanitizer cannot be traced, and the calls that are made
 * to fail would include those of the sanitizers.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = join(root, 'build/sanitize');

/** Makes a directory in which the package's loader finds build/Release/tare.node. */
function prepareAddon(): string {
  const directory = join(build, 'addon');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  symlinkSync('..', join(directory, 'build'));
  return directory;
}

/**
 * Returns the sanitizers' runtimes for LD_PRELOAD: Node is not built with them, and they must come
 * before all other libraries.
 */
function runtimes(): string {
  return ['libasan.so', 'libubsan.so']
    .map((name) => execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim())
    .join(':');
}

/**
 * Writes a suppression for Node, which does not free everything at exit. A leak without a frame of
 * Node is the addon's.
 */
function leaksOfNode(): string {
  const file = join(build, 'leaks');
  writeFileSync(file, `leak:${process.execPath}\n`);
  return `suppressions=${file}:print_suppressions=0`;
}

function run(files: string[], env: NodeJS.ProcessEnv): boolean {
  if (files.length === 0) return true;
  const { status } = spawnSync('node_modules/.bin/tsx', ['scripts/test.ts', ...files], {
    cwd: root,
    stdio: 'inherit',
    // Sanitized programs are several times slower than the tests' timeouts assume.
    env: { ...process.env, TARE_TEST_BUILD: build, TAP_TIMEOUT: '1200', ...env },
  });
  return status === 0;
}

const chosen = process.argv.slice(2);
const all = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter(
    (name) =>
      name.endsWith('.test.ts') && !/^test\/(machine|engines|arm64|pages|repository)\//.test(name),
  )
  .filter(
    (name) =>
      !/^test\/(security\/crash-matrix|install\/package|install\/versions)\.test/.test(name),
  )
  .filter((name) => chosen.length === 0 || chosen.some((one) => name.startsWith(one)))
  .sort();
const byLibrary = (name: string): boolean => /^test\/(library|install)\//.test(name);

const commandLine = run(
  all.filter((name) => !byLibrary(name)),
  {},
);
const library = run(all.filter(byLibrary), {
  LD_PRELOAD: runtimes(),
  LSAN_OPTIONS: leaksOfNode(),
  TARE_PREBUILD: prepareAddon(),
});
process.exitCode = commandLine && library ? 0 : 1;
