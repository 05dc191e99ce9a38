/**
 * Properties of the built programs, read from the ELF files in build/ or in another build's
 * directory.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = resolve(root, process.env['TARE_TEST_BUILD'] ?? 'build');
/** Files of another architecture need that architecture's nm, such as aarch64-linux-gnu-nm. */
const nm = process.env['TARE_TEST_NM'] ?? 'nm';

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' });
}

function segments(file: string): string[] {
  return [...run('readelf', '--wide', '--program-headers', file).matchAll(/^ {2}([A-Z_]+) +0x/gm)]
    .map((match) => match[1] ?? '')
    .filter((type) => type !== '');
}

function undefinedSymbols(file: string): string[] {
  return run(nm, '--undefined-only', '--format=just-symbols', file)
    .split('\n')
    .filter((name) => name !== '');
}

/** The objects of a part of addon/, each of one source or of several of a folder. */
function objectsOf(part: 'core' | 'node'): string[] {
  const directory = join(build, `CMakeFiles/tare_${part}.dir`);
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.o'))
    .map((name) => join(directory, name));
}

for (const [name, limit] of [
  ['tare-init', undefined],
  ['tare-init.image', 64 * 1024],
] as const) {
  t.test(`${name} needs nothing but the kernel`, (t) => {
    const file = join(build, name);
    const types = segments(file);
    t.ok(types.includes('LOAD'));
    t.notOk(types.includes('INTERP'), 'it has no program interpreter');
    t.notOk(types.includes('DYNAMIC'), 'it is not dynamically linked');
    t.notOk(types.includes('TLS'), 'it has no thread-local storage, which a libc would set up');
    if (limit === undefined) {
      t.same(undefinedSymbols(file), []);
    } else {
      const { size } = statSync(file);
      t.ok(size < limit, `its ${size} bytes are below ${limit}`);
    }
    t.end();
  });
}

t.test('the embedded init is the built one', (t) => {
  const image = readFileSync(join(build, 'tare-init.image'));
  t.ok(readFileSync(join(build, 'tare')).includes(image), 'build/tare holds it');
  t.ok(readFileSync(join(build, 'Release/tare.node')).includes(image), 'tare.node holds it');
  t.end();
});

t.test('build/tare is static', (t) => {
  const types = segments(join(build, 'tare'));
  t.ok(types.includes('LOAD'));
  t.notOk(types.includes('INTERP'), 'it has no program interpreter');
  t.notOk(types.includes('DYNAMIC'), 'it has no dynamic section');
  t.notOk(types.includes('GNU_RELRO'), 'it has nothing to relocate at start-up');
  t.ok(types.includes('GNU_EH_FRAME'), 'a throw finds its handlers in a sorted table');
  t.end();
});

t.test('the addon exports its registration and nothing else', (t) => {
  const names = run(
    nm,
    '--dynamic',
    '--defined-only',
    '--format=just-symbols',
    join(build, 'Release/tare.node'),
  );
  const exported = names.split('\n').filter((name) => name !== '');
  t.ok(exported.length > 0);
  t.same(
    exported.filter(
      (name) => !/^(napi_register_module|node_api_module_get_api_version)/.test(name),
    ),
    [],
  );
  t.end();
});

t.test('the child between clone and exec calls nothing', (t) => {
  const object = join(build, 'CMakeFiles/tare_core.dir/addon/core/spawn/vfork_child.cc.o');
  const allowed = readFileSync(join(root, 'test/repository/vfork_child_symbols.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  t.same(
    undefinedSymbols(object).filter((name) => !allowed.includes(name)),
    [],
  );
  t.match(run(nm, '--defined-only', object), / T /, 'it defines a function');
  t.end();
});

t.test('making a plan makes no system call', (t) => {
  const objects = objectsOf('core').filter((path) => /addon.core.plan./.test(path));
  t.ok(objects.length > 0, 'there are objects to check');
  // Symbols without a mangled C++ name must be run-time support of C++, or work on memory.
  const pure = /^(_Z|__cxa_|__gxx_personality|_Unwind_Resume|mem|str)|^_GLOBAL_OFFSET_TABLE_$/;
  const hardening = /^__(stack_chk_(fail|guard)|\w+_chk)$/;
  // makedev(3) and similar functions, if the compiler does not inline them.
  const arithmetic = /^gnu_dev_/;
  const impure = objects.flatMap((path) =>
    undefinedSymbols(path)
      .filter((symbol) => !pure.test(symbol) && !hardening.test(symbol) && !arithmetic.test(symbol))
      .map((symbol) => `${path}: ${symbol}`),
  );
  t.same(impure, []);
  t.end();
});

t.test('nothing is destroyed before the process ends', (t) => {
  // A host program calls exit(3) while threads of the addon still run.
  for (const part of ['core', 'node'] as const) {
    const objects = objectsOf(part);
    t.ok(objects.length > 0, 'there are objects to check');
    const destroying = objects.filter((path) =>
      undefinedSymbols(path).some((symbol) => symbol.startsWith('__cxa_atexit')),
    );
    t.same(destroying, [], part);
  }
  t.end();
});
