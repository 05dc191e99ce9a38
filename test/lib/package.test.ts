/** The package as npm has it: what is in it, and that it works without a compiler and without its sources. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Sandbox, call, whyNot } from '../cli/tare.js';

const repository = join(import.meta.dirname, '../..');
const directory = mkdtempSync(join(tmpdir(), 'tare-package-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

/** What `npm pack` would pack, in a directory of its own. */
const source = join(directory, 'source');
mkdirSync(source);
for (const name of ['package.json', 'README.md', 'LICENSE', 'dist', 'docs', 'lib']) {
  cpSync(join(repository, name), join(source, name), { recursive: true });
}
execFileSync('sh', [join(repository, 'scripts/prebuild'), source]);
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
    cwd: source,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }),
) as [{ filename: string; size: number; files: { path: string }[] }];
const project = join(directory, 'project');
const installed = join(project, 'node_modules/tare');
mkdirSync(installed, { recursive: true });
execFileSync('tar', [
  ...['-xzf', join(directory, packed.filename), '-C', installed, '--strip-components=1'],
]);
cpSync(
  join(repository, 'node_modules/node-gyp-build'),
  join(project, 'node_modules/node-gyp-build'),
  {
    recursive: true,
  },
);

t.test('what is in it', (t) => {
  const allowed =
    /^(dist\/[a-z-]+\.(js|d\.ts)|docs\/(library|isolation)\.md|prebuilds\/linux-\w+\/tare(\.node)?|package\.json|README\.md|LICENSE)$/;
  t.strictSame(
    packed.files.map(({ path }) => path).filter((path) => !allowed.test(path)),
    [],
    'nothing that a user does not need',
  );
  t.ok(packed.size < 3 * 2 ** 20, `${packed.size} bytes`);
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  t.strictSame(Object.keys(dependencies), ['node-gyp-build']);
  const sources = readdirSync(join(repository, 'lib')).map((name) => name.replace(/\.ts$/, '.js'));
  t.strictSame(
    readdirSync(join(installed, 'dist'))
      .filter((name) => name.endsWith('.js'))
      .sort(),
    sources.sort(),
    'each module, and none that is no more',
  );
  for (const name of readdirSync(join(installed, 'prebuilds'))) {
    t.ok(statSync(join(installed, 'prebuilds', name, 'tare')).mode & 0o111, 'can be executed');
  }
  t.end();
});

t.test('publint and attw have no complaint', (t) => {
  const bin = (name: string): string => join(repository, 'node_modules/.bin', name);
  const lint = spawnSync(bin('publint'), ['--strict', '--pack', 'npm', source], {
    encoding: 'utf8',
  });
  t.equal(lint.status, 0, lint.stdout + lint.stderr);
  // CommonJS gets the same modules by require(esm), which attw does not know of.
  const attw = spawnSync(
    bin('attw'),
    [join(directory, packed.filename), '--profile', 'esm-only', '--format', 'ascii'],
    { encoding: 'utf8' },
  );
  t.equal(attw.status, 0, attw.stdout + attw.stderr);
  t.end();
});

t.test('a program that installed it', { skip: whyNot ?? false }, (t) => {
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
  const use = `(run) => run(['/bin/sh', '-c', 'echo $0 works'], { root: '${sandbox.root}' }).then(({ stdout }) => console.log(stdout))`;
  const programs = {
    'program.mjs': `import { run } from 'tare';\n(${use})(run);`,
    'program.cjs': `const { run } = require('tare');\n(${use})(run);`,
  };
  for (const [name, code] of Object.entries(programs)) {
    writeFileSync(join(project, name), code);
    const { status, stdout, stderr } = call(process.execPath, ['--no-warnings', name], {
      cwd: project,
    });
    t.strictSame([status, stdout, stderr], [0, '/bin/sh works\n\n', ''], name);
  }
  const launcher = join(installed, 'dist/command-line.js');
  const version = call(process.execPath, [launcher, '--version']);
  t.strictSame([version.status, version.stderr], [0, '']);
  t.match(version.stdout, /^tare version 0\./);
  const wrong = call(process.execPath, [launcher, '--root', sandbox.root, 'state', 'absent']);
  t.equal(wrong.status, 1);
  t.match(wrong.stderr, /container absent does not exist/);
  t.end();
});
