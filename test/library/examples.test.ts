/** The TypeScript examples of README and docs/library.md compile in a user's project, and run. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { call, skipReason } from '../support/tare.js';

const repository = join(import.meta.dirname, '../..');
// Inside the package, so that the examples resolve it by its name.
const directory = join(repository, 'build/examples');

interface Example {
  name: string;
  code: string;
}

function examplesOf(page: string): Example[] {
  const text = readFileSync(join(repository, page), 'utf8');
  const name = page.replace(/^.*\//, '').replace(/\.md$/, '');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ''], index) => ({
    name: `${name}-${index}.mts`,
    code,
  }));
}

rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
const examples = ['README.md', 'docs/library.md'].flatMap(examplesOf);
for (const { name, code } of examples) writeFileSync(join(directory, name), code);
const files = temporaryDirectory(t, 'examples');
chmodSync(files, 0o755); // for the containers' users

/**
 * Removes the memory limit, and has the example make its directories in `files` instead of /tmp.
 * test/library/run.guest.ts runs the README's example with the limit, where limits work.
 */
const adapted = (code: string): string =>
  code.replace(/memory: '\w+', /, '').replaceAll("mkdtemp('/tmp/", `mkdtemp('${files}/`);

t.test('they compile, strictly', (t) => {
  t.ok(examples.length > 5, 'there are some');
  const options = {
    compilerOptions: {
      ...{ target: 'ES2022', lib: ['ES2022', 'ESNext.Disposable'], module: 'NodeNext' },
      ...{ types: ['node'], strict: true, noEmit: true, skipLibCheck: false },
      typeRoots: ['../../node_modules/@types'],
    },
    include: ['*.mts'],
  };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(options));
  const tsc = join(repository, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', directory], {
    encoding: 'utf8',
  });
  t.equal(stdout, '');
  t.equal(status, 0);
  t.end();
});

/** Expected output of the examples that this test runs. */
const printed: Record<string, RegExp> = {
  'README-0.mts': /^100000 false false\n\d+(\.\d+)? ms \{\s+cpuMs: \{/,
  'library-0.mts': /^42 \d/,
  'library-1.mts': /^argument safe$/m,
  'library-2.mts': /^ERR_TARE_COMMAND_FAILED\n3 no such luck\n\ntrue SIGKILL\ntrue\n$/,
  'library-3.mts':
    /^apple\npear\napple\npear\n\nline 1\nline 2\nline 3\n\[building\]\n\/dev\/pts\/0\r\n(24 80|40 120)\r\n/,
  'library-5.mts': /^[12]\n(\d+\n){2,}$/,
  'library-4.mts': /^\[\]\ncreated\n\d+\n(heard a word\n)?\{ exitCode: 0, signal: null \}\n/,
};

t.test('they run', { skip: skipReason ?? false }, (t) => {
  const tsx = join(repository, 'node_modules/tsx/dist/cli.mjs');
  for (const { name } of examples) {
    // The others need a bundle that the reader has made.
    if (!(name in printed)) continue;
    writeFileSync(join(directory, name), adapted(readFileSync(join(directory, name), 'utf8')));
    const result = call(process.execPath, [tsx, join(directory, name)], { cwd: repository });
    t.equal(result.stderr, '', name);
    t.equal(result.status, 0, name);
    t.match(result.stdout, printed[name]!, name);
  }
  t.strictSame(
    Object.keys(printed).filter((name) => !readdirSync(directory).includes(name)),
    [],
  );
  t.end();
});
