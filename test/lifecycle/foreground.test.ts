/** An attached run or exec: signals, orphans, exit statuses. */
import { constants } from 'node:os';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { Output, Sandbox, exitOf, state, skipReason } from '../support/tare.js';

const forwarded = [
  ...['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGABRT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'],
  ...['SIGCONT', 'SIGTSTP', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS'],
] as NodeJS.Signals[];

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  /** A script that prints "SIGNAME" for each of the signals, and exits with 9 on SIGTERM. */
  const listener = [
    ...forwarded.map((name) => `trap "echo ${name}" ${constants.signals[name]};`),
    'trap "echo SIGTERM; exit 9" TERM; echo ready; while :; do sleep 1000 & wait; done',
  ].join(' ');

  for (const kind of ['run', 'exec']) {
    sandbox.test(`${kind} forwards signals and returns the status`, async (t) => {
      const id = sandbox.id(kind);
      if (kind === 'exec') {
        const bundle = sandbox.bundle(['sleep', '1000']);
        sandbox.must(['create', '-b', bundle, id]);
        sandbox.must(['start', id]);
      }
      const args =
        kind === 'run'
          ? ['run', '-b', sandbox.bundle(['sh', '-c', listener]), id]
          : ['exec', id, 'sh', '-c', listener];
      const child = sandbox.spawn(args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const output = new Output(child.stdout);
      await output.until('ready\n');
      for (const name of forwarded) {
        child.kill(name);
        t.equal(await output.until(`${name}\n`), `${name}\n`);
      }
      child.kill('SIGTERM');
      t.equal(await output.until('SIGTERM\n'), 'SIGTERM\n');
      t.equal(await exitOf(child), 9);
      sandbox.tare(['delete', '--force', id]);
    });
  }

  sandbox.test('the program starts with default signals and an empty mask', async (t) => {
    const bundle = sandbox.bundle(['grep', '^Sig', '/proc/self/status']);
    const { stdout } = sandbox.must(['run', '-b', bundle, sandbox.id('mask')]);
    const masks = Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/:\s*/)),
    ) as Record<string, string>;
    for (const name of ['SigBlk', 'SigIgn', 'SigCgt']) {
      t.equal(masks[name], '0000000000000000', name);
    }
  });

  sandbox.test('orphans of a container without a pid namespace do not outlive it', async (t) => {
    for (const flags of [[], ['--no-subreaper']]) {
      const bundle = sandbox.bundle(
        ['sh', '-c', '(sleep 1000 & echo orphan; exec true) & wait; echo end; exit 4'],
        (config) => {
          config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
        },
      );
      const { status, stdout } = sandbox.tare([
        'run',
        ...flags,
        '-b',
        bundle,
        sandbox.id('orphan'),
      ]);
      t.equal(status, 4);
      t.equal(stdout, 'orphan\nend\n');
      t.strictSame(sandbox.leftovers(), []);
    }
  });

  sandbox.test('an attached run becomes the subreaper, unless told otherwise', async (t) => {
    const bundle = sandbox.bundle(
      ['sh', '-c', '(sh -c "echo ready; exec sleep 1000" &) ; read line'],
      (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
      },
    );
    for (const flags of [[], ['--no-subreaper']]) {
      const id = sandbox.id('reaper');
      const child = sandbox.spawn(['run', ...flags, '-b', bundle, id], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      await new Output(child.stdout).until('ready\n');
      const pids = JSON.parse(sandbox.must(['ps', '-f', 'json', id]).stdout) as number[];
      const { pid } = state(sandbox.must(['state', id]).stdout);
      const orphan = pids.find((one) => one !== pid);
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${orphan}/status`, 'utf8'))?.[1];
      t.equal(Number(parent) === child.pid, flags.length === 0);
      sandbox.must(['kill', id, 'KILL']);
      t.equal(await exitOf(child), 128 + 9);
    }
  });

  sandbox.test('run ends when the program does, though others keep its output open', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', 'sleep 1000 & exit 3']);
    t.match(sandbox.tare(['run', '-b', bundle, sandbox.id('open')]), { status: 3 });
  });
}
