/**
 * create, start, state, kill, delete, list, ps, run: what each does, and that nothing is left
 * behind.
 */
import { recvtty } from '../support/recvtty.js';
import { Output, Sandbox, errorIn, exitOf, state, tare, skipReason } from '../support/tare.js';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  const waiting = 'echo started; trap "exit 9" TERM; while :; do sleep 1000 & wait; done';

  sandbox.test('the whole life of a container, each step by a call of its own', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', 'echo hello; exec sleep 1000'], (config) => {
      config.annotations = { 'org.example.key': 'value' };
    });
    const id = sandbox.id('life');
    const log = join(sandbox.directory, 'life.log');
    const pidFile = join(sandbox.directory, 'life.pid');
    const output = join(sandbox.directory, 'life.out');
    writeFileSync(output, '');

    const created = sandbox.tare(['create', '--bundle', bundle, '--pid-file', pidFile, id], {
      global: ['--log', log, '--log-format', 'json'],
    });
    t.strictSame([created.status, created.stdout, created.stderr], [0, '', '']);
    t.equal(readFileSync(log, 'utf8'), '', 'a log without errors');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    t.equal(statSync(join(sandbox.root, id)).mode & 0o777, 0o700);

    const { stdout } = sandbox.must(['state', id]);
    t.match(stdout, /^\{\n {2}"ociVersion": /, 'indented');
    const { created: time, ...rest } = state(stdout);
    t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    t.match(rest, {
      id,
      pid,
      status: 'created',
      bundle,
      rootfs: join(bundle, 'rootfs'),
      annotations: { 'org.example.key': 'value' },
    });
    t.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /tare/, 'init waits');

    const started = sandbox.tare(['start', id]);
    t.strictSame([started.status, started.stdout, started.stderr], [0, '', '']);
    t.equal(state(sandbox.must(['state', id]).stdout).status, 'running');
    t.match(
      readFileSync(`/proc/${pid}/cmdline`, 'utf8'),
      /^sleep\0|^sh\0/,
      'executed when start returns',
    );

    const killed = sandbox.tare(['kill', id, 'KILL']);
    t.strictSame([killed.status, killed.stdout, killed.stderr], [0, '', '']);
    const deleted = sandbox.tare(['delete', '--force', id]);
    t.strictSame([deleted.status, deleted.stdout, deleted.stderr], [0, '', '']);
    t.notOk(existsSync(`/proc/${pid}/root/`), 'its process has gone');
  });

  sandbox.test('a pid file that cannot be written is named', async (t) => {
    const id = sandbox.id('life');
    const pidFile = join(sandbox.directory, 'no/such.pid');
    const created = sandbox.tare([
      'create',
      '-b',
      sandbox.bundle(['true']),
      '--pid-file',
      pidFile,
      id,
    ]);
    t.equal(created.status, 1);
    t.match(errorIn(created.stderr), `${pidFile}: open: ENOENT`);
    t.equal(sandbox.tare(['state', id]).status, 1, 'nothing is left of it');
  });

  sandbox.test('the output of a created container appears with start', async (t) => {
    const bundle = sandbox.bundle(['echo', 'hello']);
    const id = sandbox.id('output');
    const create = sandbox.spawn(['create', '-b', bundle, id], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = new Output(create.stdout);
    t.equal(await exitOf(create), 0);
    t.equal(output.text, '', 'nothing before');
    sandbox.must(['start', id]);
    t.equal(await output.all(), 'hello\n');
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('run returns the status of the program, and deletes the container', async (t) => {
    for (const status of [0, 1, 42, 255]) {
      const bundle = sandbox.bundle(['sh', '-c', `echo out; echo err >&2; exit ${status}`]);
      const result = sandbox.tare(['run', '-b', bundle, sandbox.id('run')]);
      t.match(result, { status, stdout: 'out\n', stderr: 'err\n' });
    }
    const killed = sandbox.bundle(['sh', '-c', 'kill -KILL $$; sleep 1000'], (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    });
    t.equal(sandbox.tare(['run', '-b', killed, sandbox.id('run')]).status, 128 + 9);
  });

  sandbox.test(
    'run takes the bundle from the working directory, and stdin from the caller',
    async (t) => {
      const bundle = sandbox.bundle(['cat']);
      const input = 'x'.repeat(300_000);
      const result = sandbox.tare(['run', sandbox.id('cat')], { cwd: bundle, input });
      t.equal(result.status, 0);
      t.ok(result.stdout === input, 'all of it');
    },
  );

  sandbox.test('run --keep leaves the container, stopped, until it is deleted', async (t) => {
    const bundle = sandbox.bundle(['true']);
    const id = sandbox.id('keep');
    sandbox.must(['run', '--keep', '-b', bundle, id]);
    t.match(state(sandbox.must(['state', id]).stdout), { status: 'stopped', pid: 0 });
    sandbox.must(['delete', id]);
    t.equal(sandbox.tare(['state', id]).status, 1);
  });

  sandbox.test('run --detach returns when the program runs', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const id = sandbox.id('detach');
    const pidFile = join(sandbox.directory, 'detach.pid');
    const run = sandbox.spawn(['run', '-d', '--pid-file', pidFile, '-b', bundle, id], {
      stdio: 'ignore',
    });
    t.equal(await exitOf(run), 0);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    t.match(state(sandbox.must(['state', id]).stdout), { status: 'running', pid });
    t.equal(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), 'sleep\x001000\0');
    sandbox.must(['delete', '-f', id]);
  });

  sandbox.test('kill: names and numbers', async (t) => {
    const script = ['HUP', 'USR1', 'USR2', 'TERM', '34', '36', '63']
      .map((name) => `trap "echo ${name}" ${name};`)
      .join(' ');
    const bundle = sandbox.bundle([
      'sh',
      '-c',
      `${script} echo ready; while :; do sleep 1000 & wait; done`,
    ]);
    const id = sandbox.id('kill');
    const run = sandbox.spawn(['run', '-b', bundle, id], { stdio: ['ignore', 'pipe', 'inherit'] });
    const output = new Output(run.stdout);
    await output.until('ready\n');
    for (const [signal, name] of [
      ['HUP', 'HUP'],
      ['SIGHUP', 'HUP'],
      ['sigusr1', 'USR1'],
      ['usr2', 'USR2'],
      ['1', 'HUP'],
      ['RTMIN', '34'],
      ['SIGRTMIN+2', '36'],
      ['rtmax-1', '63'],
      [undefined, 'TERM'],
    ]) {
      sandbox.must(['kill', id, ...(signal === undefined ? [] : [signal])]);
      t.equal(await output.until(`${name}\n`), `${name}\n`, `kill ${signal ?? ''}`);
    }
    sandbox.must(['kill', id, '0']);
    sandbox.must(['kill', '--all', id, 'KILL']);
    t.equal(await exitOf(run), 128 + 9);
  });

  sandbox.test('kill of one that has stopped is an error, with --all it is none', async (t) => {
    const bundle = sandbox.bundle(['true']);
    const id = sandbox.id('stopped');
    sandbox.must(['run', '--keep', '-b', bundle, id]);
    const killed = sandbox.tare(['kill', id]);
    t.equal(killed.status, 1);
    t.match(killed.error, 'container not running');
    t.equal(sandbox.tare(['kill', '--all', id, '9']).status, 0);
    t.equal(sandbox.tare(['kill', '-a', id]).status, 0);
    sandbox.must(['delete', id]);
  });

  sandbox.test('a container without a process: all but start', async (t) => {
    const bundle = sandbox.bundle([], (config) => {
      delete (config as { process?: unknown }).process;
    });
    const id = sandbox.id('empty');
    const needs = /config\.json: process: is missing, so no program can be started; add it/;
    const run = sandbox.tare(['run', '--bundle', bundle, id]);
    t.equal(run.status, 1);
    t.match(run.stderr, needs);
    sandbox.must(['create', '--bundle', bundle, id]);
    const start = sandbox.tare(['start', id]);
    t.equal(start.status, 1);
    t.match(start.stderr, needs);
    t.equal(
      state(sandbox.must(['state', id]).stdout).status,
      'created',
      'as if start were not asked',
    );
    const exec = sandbox.tare(['exec', id, '/bin/sh', '-c', 'pwd; grep CapEff /proc/self/status']);
    t.strictSame([exec.status, exec.stderr], [0, '']);
    t.match(exec.stdout, /^\/\nCapEff:\t0+\n$/);
    sandbox.must(['kill', id, 'KILL']);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('delete removes a created container that was never started', async () => {
    const bundle = sandbox.bundle(['true']);
    const id = sandbox.id('created');
    sandbox.must(['create', '-b', bundle, id]);
    sandbox.must(['delete', id]);
  });

  sandbox.test('the signals that ask a program to end also end a created container', async (t) => {
    const bundle = sandbox.bundle(['true']);
    for (const signal of ['HUP', 'INT', 'QUIT', 'TERM']) {
      const id = sandbox.id(`asked-${signal}`);
      sandbox.must(['create', '-b', bundle, id]);
      sandbox.must(['kill', id, signal]);
      const status = () => state(sandbox.must(['state', id]).stdout).status;
      for (let tries = 0; status() !== 'stopped' && tries < 100; tries++) await sleep(20);
      t.equal(status(), 'stopped', signal);
      t.match(sandbox.tare(['start', id]).error, 'cannot start a container that has stopped');
      sandbox.must(['delete', id]);
    }
  });

  sandbox.test('list of a state directory that was named and does not exist', async (t) => {
    const missing = join(sandbox.directory, 'missing');
    const refused = tare(['--root', missing, 'list']);
    t.equal(refused.status, 1);
    t.equal(
      refused.error,
      `--root ${missing}: ENOENT (No such file or directory); name a directory with the state of containers`,
    );
    // The default state root may be missing: the first container creates it.
    const env = { XDG_RUNTIME_DIR: missing };
    t.equal(tare(['--rootless=true', 'list', '-q'], { env }).status, 0);
  });

  sandbox.test('delete --force: nothing there is no error; all processes are killed', async (t) => {
    t.equal(sandbox.tare(['delete', '--force', sandbox.id('unknown')]).status, 0);
    const bundle = sandbox.bundle(
      ['sh', '-c', 'sleep 1000 & sleep 1001 & echo ready; wait'],
      (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
      },
    );
    const id = sandbox.id('force');
    const run = sandbox.spawn(['run', '-b', bundle, '--keep', id], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Output(run.stdout).until('ready\n');
    sandbox.must(['delete', '--force', id]);
    t.equal(await exitOf(run), 128 + 9);
  });

  sandbox.test('list: table, JSON and ids', async (t) => {
    t.equal(sandbox.must(['list', '-q']).stdout, '');
    t.strictSame(JSON.parse(sandbox.must(['list', '--format', 'json']).stdout), []);
    const title = 'ID          PID         STATUS      BUNDLE      CREATED     OWNER\n';
    t.equal(sandbox.must(['list']).stdout, title);

    const bundle = sandbox.bundle(['sleep', '1000']);
    const [a, b] = [sandbox.id('a'), sandbox.id('b')];
    sandbox.must(['run', '--keep', '-b', sandbox.bundle(['true']), b]);
    sandbox.must(['create', '-b', bundle, a]);
    t.equal(sandbox.must(['list', '-q']).stdout, `${a}\n${b}\n`);
    const json = JSON.parse(sandbox.must(['list', '-f', 'json']).stdout) as { id: string }[];
    t.match(json, [
      { id: a, status: 'created', bundle },
      { id: b, status: 'stopped', pid: 0 },
    ]);
    t.strictSame(json[0], JSON.parse(sandbox.must(['state', a]).stdout), 'the same as state');
    const [heading, first] = sandbox.must(['list']).stdout.split('\n');
    const { pid, created } = state(sandbox.must(['state', a]).stdout);
    t.strictSame(heading?.split(/ +/), ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER']);
    t.strictSame(first?.split(/ +/), [a, `${pid}`, 'created', bundle, created, 'root']);
    t.equal(
      heading?.indexOf('OWNER'),
      first?.lastIndexOf('root'),
      'columns stand below each other',
    );
    sandbox.must(['delete', a]);
    sandbox.must(['delete', b]);
  });

  sandbox.test('the state root shows containers alone to tools that list it', async (t) => {
    const id = sandbox.id('filtered');
    const bundle = sandbox.bundle(['true'], (config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }],
      };
    });
    sandbox.must(['run', '--keep', '-b', bundle, id]);
    const entries = readdirSync(sandbox.root);
    t.strictSame(
      entries.filter((name) => !name.startsWith('.')),
      [id],
    );
    t.ok(
      entries.some((name) => name.startsWith('.')),
      'the cache of compiled filters is there',
    );
    t.equal(sandbox.must(['list', '-q']).stdout, `${id}\n`);
    sandbox.must(['delete', id]);
  });

  sandbox.test('ps: by ps(1), with its options, and as JSON', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', 'sleep 1234 & echo ready; wait']);
    const id = sandbox.id('ps');
    const run = sandbox.spawn(['run', '-b', bundle, id], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Output(run.stdout).until('ready\n');
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const pids = JSON.parse(sandbox.must(['ps', '--format', 'json', id]).stdout) as number[];
    t.equal(pids.length, 2);
    t.ok(pids.includes(pid));
    const table = sandbox.must(['ps', id]).stdout.trimEnd().split('\n');
    t.match(table[0], /^UID +PID +PPID /);
    t.equal(table.length, 3);
    t.match(table.slice(1).sort().join('\n'), /sleep 1234/);
    const short = sandbox.must(['ps', id, '-o', 'pid,args']).stdout.trimEnd().split('\n');
    t.match(short[0], /^ +PID COMMAND$/);
    t.equal(short.length, 3);
    const none = sandbox.tare(['ps', id, '-o', 'args']);
    t.equal(
      none.error,
      "ps: couldn't find PID field in ps output: choose options with a column PID",
    );
    t.match(sandbox.tare(['ps', id, '--bogus']).error, /^ps: ps\(1\) failed: /);
    t.match(
      sandbox.tare(['ps', id], { env: { PATH: '/nowhere' } }).error,
      'ps: cannot execute ps(1): ENOENT (No such file or directory)',
    );
    sandbox.must(['kill', id, 'KILL']);
    t.equal(await exitOf(run), 137);
  });

  sandbox.test('a container whose init died by itself is stopped, and may be deleted', async () => {
    const bundle = sandbox.bundle(['sh', '-c', waiting]);
    const id = sandbox.id('died');
    sandbox.must(['create', '-b', bundle, id]);
    const { pid } = state(sandbox.must(['state', id]).stdout);
    process.kill(pid, 'SIGKILL');
    sandbox.must(['kill', '--all', id, '0']);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('a pidfd of the first process goes to --pidfd-socket', async (t) => {
    const receiver = await recvtty(join(sandbox.directory, 'pidfd.sock'), '--pidfd');
    const id = sandbox.id('pidfd');
    sandbox.must([
      ...['create', '-b', sandbox.bundle(['true'])],
      ...['--pidfd-socket', receiver.socket, id],
    ]);
    const { pid } = state(sandbox.must(['state', id]).stdout);
    t.equal(await receiver.output.all(), `${pid}\n`);
    sandbox.must(['delete', id]);
  });

  sandbox.test('features', async (t) => {
    const features = JSON.parse(sandbox.must(['features']).stdout) as Record<string, unknown>;
    t.match(features, { ociVersionMin: '1.0.0', hooks: Array, mountOptions: Array, linux: Object });
  });
}
