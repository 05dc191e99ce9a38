/**
 * The installed package under each supported Node, with the one addon that is built, and what
 * `require` reports there.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import t from 'tap';
import { Sandbox, call, skipReason } from '../support/tare.js';
import { install, pack, repository, temporary } from '../support/installed.js';
import { allowTime } from '../support/timeout.js';

allowTime(t, 300_000);
const options = { skip: skipReason ?? false };
const directory = temporary(t);
const project = join(directory, 'project');
const { arch } = process;
install(pack(directory, [arch]), project, '--ignore-scripts');

const source = readFileSync(join(import.meta.dirname, 'versions-program.ts'), 'utf8');
/** Node 24 is the first with `await using`; for older ones the compiler rewrites it. */
function program(version: number): string {
  const target = version < 24 ? 'node20' : 'esnext';
  const { code } = transformSync(source, { loader: 'ts', format: 'esm', target });
  t.equal(/await using/.test(code), version >= 24);
  const file = join(project, `program-${version}.mjs`);
  writeFileSync(file, code);
  return file;
}

const runs = {
  output: ['a b c\n', 'error\n', 0],
  failed: 'ERR_TARE_COMMAND_FAILED',
  timedOut: 'ERR_TARE_TIMED_OUT',
  aborted: 'ERR_TARE_ABORTED',
};
const containers = {
  during: {
    created: 'created',
    ready: 'ready\n',
    status: 'running',
    listed: [true],
    exec: { exitCode: 5, signal: null },
  },
  after: 'ERR_TARE_NOT_FOUND',
};

for (const version of [20, 24, 26]) {
  t.test(`Node ${version}`, options, (t) => {
    const node = execFileSync('sh', [join(repository, 'scripts/node-binary'), `${version}`], {
      encoding: 'utf8',
    }).trim();
    t.match(call(node, ['--version']).stdout, new RegExp(`^v${version}\\.`));
    const sandbox = new Sandbox(t);
    const bundle = sandbox.bundle(['sh', '-c', 'echo ready; exec sleep 1000']);
    const { status, stdout, stderr } = call(node, [program(version), sandbox.root, bundle], {
      cwd: project,
      timeout: 60_000,
    });
    t.strictSame([status, stderr], [0, '']);
    t.strictSame(JSON.parse(stdout || 'null'), {
      runs,
      streams: 64 << 16,
      terminal: '22 111\r\nterminal\r\n',
      containers,
      killed: { exitCode: null, signal: 'SIGKILL' },
      worker: { runs, containers },
      sameByRequire: true,
      warnings: [],
    });
    t.strictSame(sandbox.leftovers(), []);

    const script = join(project, 'script.cjs');
    writeFileSync(
      script,
      `const { run } = require('tare');
      run(['sh', '-c', 'echo required'], { root: ${JSON.stringify(sandbox.root)} })
        .then(({ stdout }) => process.stdout.write(stdout));`,
    );
    const required = call(node, [script], { cwd: project, timeout: 60_000 });
    t.strictSame(
      [required.status, required.stdout, required.stderr],
      [0, 'required\n', ''],
      'require() works, and nothing is warned of',
    );
    t.end();
  });
}
