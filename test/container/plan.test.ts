/**
 * `tare plan` against goldens, as an ordinary user: no privilege, no side effect, the same output
 * on every host. TARE_TEST_UPDATE=1 rewrites the goldens; review what changed in them.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { cli, errorIn } from '../support/build.js';
import { temporaryDirectory } from '../support/directory.js';

const nobody = 65534;
const goldens = fileURLToPath(new URL('plans', import.meta.url));
const directory = temporaryDirectory(t, 'plan');
chmodSync(directory, 0o755);
/** A copy, because the ordinary user may not be able to enter the repository. */
const program = join(directory, 'tare');
copyFileSync(cli, program);

interface Answer {
  status: number | null;
  stdout: string;
  stderr: string;
}

function plan(args: string[], cwd = directory): Answer {
  const user = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};
  return spawnSync(program, ['plan', ...args], { encoding: 'utf8', cwd, env: {}, ...user });
}

/** Creates a bundle that contains only config.json. */
function bundle(name: string, write: (bundle: string) => void): string {
  const path = join(directory, name);
  mkdirSync(path);
  write(path);
  return path;
}

const configs: Record<string, (bundle: string) => void> = {
  default: (path) => void spawnSync(cli, ['spec', '-b', path]),
  rootless: (path) => void spawnSync(cli, ['spec', '--rootless', '-b', path]),
  docker: (path) => copyFileSync(join(goldens, 'docker.json'), join(path, 'config.json')),
  podman: (path) => copyFileSync(join(goldens, 'podman.json'), join(path, 'config.json')),
};

for (const [name, write] of Object.entries(configs)) {
  t.test(`the plan of the ${name} config`, async (t) => {
    const path = bundle(name, write);
    const text = plan(['--bundle', path]);
    t.equal(text.stderr, '');
    t.equal(text.status, 0);
    const shown = text.stdout.replaceAll(path, 'BUNDLE');
    const golden = join(goldens, `${name}.golden`);
    if (process.env['TARE_TEST_UPDATE'] === '1') writeFileSync(golden, shown);
    t.equal(shown, readFileSync(golden, 'utf8'));
    t.equal(plan([], path).stdout, text.stdout, 'the bundle is the working directory');
    t.strictSame(readdirSync(path), ['config.json'], 'no side effect');

    const json = JSON.parse(plan(['-b', path, '--format', 'json']).stdout) as {
      clone: string;
      joins: unknown[];
      ops: { op: string; text: string; origin?: string }[];
    };
    const lines = shown.trimEnd().split('\n');
    t.ok(lines.includes(`clone ${json.clone}`));
    t.equal(lines.filter((line) => line.startsWith('nsenter ')).length, json.joins.length);
    const numbered = lines.filter((line) => /^ *\d+ {2}/.test(line));
    t.equal(numbered.length, json.ops.length);
    const different = json.ops.filter(({ text, origin }, index) => {
      const line = numbered[index] ?? '';
      const words = text.replaceAll(path, 'BUNDLE');
      return !line.includes(`  ${words}`) || !line.endsWith(origin ?? words);
    });
    t.strictSame(different, [], 'JSON has the same words');
  });
}

t.test('options of create that change the plan', async (t) => {
  const path = bundle('options', (path) => void spawnSync(cli, ['spec', '-b', path]));
  const normal = plan(['-b', path]).stdout;
  t.match(normal, 'pivot_root');
  t.match(normal, 'keyring');
  t.notMatch(plan(['--no-pivot', '-b', path]).stdout, 'pivot_root');
  t.notMatch(plan(['--no-new-keyring', '-b', path]).stdout, 'keyring');
});

t.test('a bundle that cannot be planned', async (t) => {
  const answer = plan(['-b', '/nowhere']);
  t.equal(answer.status, 1);
  t.match(errorIn(answer.stderr), 'config.json not found in /nowhere');
  const path = bundle('bad', (path) => writeFileSync(join(path, 'config.json'), '{}'));
  t.equal(errorIn(plan(['-b', path]).stderr), 'config.json: ociVersion: is missing; add it');
});
