/**
 * The crash matrix of create, start, exec, update, kill and delete. By default each system call of
 * each process fails once with an errno and once by a kill; with TARE_TEST_LONG=1 at every
 * occurrence and with every errno.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { recvtty } from '../support/recvtty.js';
import { Sandbox, state, skipReason } from '../support/tare.js';
import { richBundle } from './crash-matrix-bundle.js';
import { Matrix, everything, pidOf, selection, until, type Use } from './crash-matrix.js';
import { fingerprint } from './fingerprint.js';
import { allowTime } from '../support/timeout.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const full = process.env['TARE_TEST_LONG'] === '1';
  allowTime(t, full ? 3_600_000 : 300_000);
  const sandbox = new Sandbox();
  const beside = new Sandbox();
  t.teardown(() => {
    sandbox.remove();
    beside.remove();
  });
  const pids = join(sandbox.directory, 'pids');
  const pidFile = join(pids, 'pid');
  mkdirSync(pids);
  const bundle = sandbox.bundle(['sleep', '100000']);
  const withTerminal = sandbox.bundle(['sleep', '100000'], (config) => {
    config.process.terminal = true;
  });
  const terminals = await recvtty(join(sandbox.directory, 'tty.sock'), '--all');
  t.teardown(() => terminals.process.kill());
  const console = ['--console-socket', terminals.socket];
  const consoleOf = (from: string): string[] => (from === withTerminal ? console : []);

  let count = 0;
  const fresh = (): string => sandbox.id(`c${count++}`);
  const statusOf = (id: string): string => state(sandbox.must(['state', id]).stdout).status;
  const cgroupOf = (id: string): string => join('/sys/fs/cgroup', id);

  function processesOf(id: string): number[] {
    const pids = readFileSync(join(cgroupOf(id), 'cgroup.procs'), 'utf8');
    return pids
      .split('\n')
      .filter((pid) => pid !== '')
      .map(Number);
  }

  function created(from = bundle): string {
    const id = fresh();
    sandbox.must(['create', '-b', from, ...consoleOf(from), id]);
    return id;
  }
  function running(from = bundle): string {
    const id = created(from);
    sandbox.must(['start', id]);
    return id;
  }
  function ended(from = bundle): string {
    const id = running(from);
    sandbox.must(['kill', id, 'KILL']);
    while (statusOf(id) !== 'stopped');
    return id;
  }
  async function stopped(id: string): Promise<void> {
    await until(
      () => statusOf(id) === 'stopped',
      () => {
        throw new Error(`it is ${statusOf(id)}`);
      },
    );
  }
  function equal(found: unknown, wanted: unknown, what: string): void {
    if (!isDeepStrictEqual(found, wanted)) {
      throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
    }
  }
  type Marks = Record<string, unknown>;
  function same(found: Marks, wanted: Marks): void {
    for (const [name, value] of Object.entries(wanted)) {
      const lines = (one: unknown): unknown[] => (Array.isArray(one) ? one : [one]) as unknown[];
      const more = lines(found[name]).filter((line) => !lines(value).includes(line));
      const less = lines(value).filter((line) => !lines(found[name]).includes(line));
      equal(more, less, name);
    }
  }

  /** The expected fingerprint of a running container, by bundle. */
  const usual = new Map<string, Marks>();
  function usualOf(from: string): Marks {
    let marks = usual.get(from);
    if (marks === undefined) {
      const id = running(from);
      marks = fingerprint(pidOf(sandbox, id), id);
      usual.set(from, marks);
      sandbox.must(['delete', '--force', id]);
    }
    return marks;
  }
  const model = running();
  const usualExec = (flags: string[]): Marks => {
    sandbox.must(['exec', '-d', ...flags, '--pid-file', pidFile, model, 'sleep', '1000']);
    return fingerprint(Number(readFileSync(pidFile, 'utf8')), model);
  };
  const execModel = usualExec([]);
  const execTerminalModel = usualExec(['-t', ...console]);
  sandbox.must(['delete', '--force', model]);

  const isRunning = (id: string, from = bundle): void => {
    equal(statusOf(id), 'running', 'status');
    same(fingerprint(pidOf(sandbox, id), id), usualOf(from));
  };

  const create = (name: string, from = bundle): Use => ({
    name,
    prepare: () => {
      rmSync(pidFile, { force: true });
      return fresh();
    },
    args: (id) => ['create', '-b', from, ...consoleOf(from), '--pid-file', pidFile, id],
    died: (id) => statusOf(id) === 'stopped',
    failsLater: (id, fault) =>
      sandbox.tare(['start', id]).error.includes(`hold until start: write: ${fault} (`),
    works: (id) => {
      equal(statusOf(id), 'created', 'status');
      equal(readFileSync(pidFile, 'utf8'), String(pidOf(sandbox, id)), 'pid file');
      sandbox.must(['start', id]);
      isRunning(id, from);
    },
    spared: () => {
      equal(sandbox.leftovers(), [], 'leftovers');
    },
  });

  const start = (name: string, from = bundle): Use => ({
    name,
    prepare: () => created(from),
    args: (id) => ['start', id],
    init: (id) => pidOf(sandbox, id),
    seesTheEnd:
      /^cannot start a container that has stopped$|^init has left the start gate$|^container \S+ is not running$/,
    works: (id) => {
      isRunning(id, from);
    },
    died: (id) => statusOf(id) === 'stopped',
  });

  // The following verbs must leave their container unharmed, so all cells use the same one.
  let kept = '';
  const lasting = (): string =>
    existsSync(join(sandbox.root, kept)) && kept !== '' ? kept : (kept = running());

  async function alone(id: string): Promise<void> {
    isRunning(id);
    const pid = pidOf(sandbox, id);
    await until(
      () => isDeepStrictEqual(processesOf(id), [pid]),
      () => {
        throw new Error('there are other processes in its cgroup');
      },
    );
  }
  const exec = (name: string, flags: string[], model: Marks): Use => ({
    name,
    prepare: () => {
      rmSync(pidFile, { force: true });
      const id = lasting();
      // A process that a killed exec had already released continues to run.
      for (const pid of processesOf(id))
        if (pid !== pidOf(sandbox, id)) process.kill(pid, 'SIGKILL');
      return id;
    },
    args: (id) => ['exec', '-d', ...flags, '--pid-file', pidFile, id, 'sleep', '1000'],
    works: async (id) => {
      const pid = Number(readFileSync(pidFile, 'utf8'));
      same(fingerprint(pid, id), model);
      process.kill(pid, 'SIGKILL');
      await alone(id);
    },
    died: async (id) => {
      // The killed process may be another one, which was no longer needed.
      let stays = false;
      await until(
        () => !existsSync(`/proc/${readFileSync(pidFile, 'utf8')}/root/`),
        () => {
          stays = true;
        },
      );
      if (!stays) await alone(id);
      return !stays;
    },
    spared: alone,
    keeps: true,
  });

  const limits = ['cgroup.max.depth', 'cgroup.max.descendants'] as const;
  const limitsOf = (id: string): string[] =>
    limits.map((file) => readFileSync(join(cgroupOf(id), file), 'utf8').trim());
  const resources = join(sandbox.directory, 'resources.json');
  let wanted = 10;
  const update: Use = {
    name: 'update',
    prepare: () => {
      const id = lasting();
      const before = String(wanted);
      wanted++;
      const unified = (value: string): string =>
        JSON.stringify({ unified: Object.fromEntries(limits.map((file) => [file, value])) });
      sandbox.must(['update', '-r', '-', id], { input: unified(before) });
      writeFileSync(resources, unified(String(wanted)));
      return id;
    },
    args: (id) => ['update', '--resources', resources, id],
    works: (id) => {
      equal(limitsOf(id), [String(wanted), String(wanted)], 'limits');
    },
    spared: (id) => {
      equal(limitsOf(id), [String(wanted - 1), String(wanted - 1)], 'limits');
      isRunning(id);
    },
    keeps: true,
  };

  const kill: Use = {
    name: 'kill',
    prepare: () => running(),
    args: (id) => ['kill', id, 'KILL'],
    works: stopped,
    spared: isRunning,
  };

  const remove = (name: string, from = bundle): Use => ({
    name,
    prepare: () => ended(from),
    args: (id) => ['delete', id],
    works: () => {
      equal(sandbox.leftovers(), [], 'leftovers');
    },
  });

  const force: Use = {
    ...remove('delete --force'),
    prepare: () => running(),
    args: (id) => ['delete', '--force', id],
  };

  const waits = new Set(['read', 'recvfrom', 'recvmsg', 'sendto', 'write']);
  const rich = richBundle(sandbox);
  const failing = richBundle(sandbox, (config) => {
    config.mounts.push({
      destination: '/mnt',
      type: 'bind',
      source: '/nowhere',
      options: ['bind'],
    });
  });
  const uses: Use[] = [
    create('create'),
    start('start'),
    exec('exec', [], execModel),
    update,
    kill,
    remove('delete'),
    force,
    create('create with a terminal', withTerminal),
    exec('exec with a terminal', ['-t', ...console], execTerminalModel),
    create('create with much', rich),
    start('start with much', rich),
    remove('delete with much', rich),
    { ...create('create that fails', failing), fails: true, spared: undefined },
  ];

  t.test('the matrix', async (t) => {
    const matrix = new Matrix(sandbox, t);
    const done = new Set<string>();
    const other = beside.id('beside');
    beside.must(['run', '-d', '-b', beside.bundle(['sleep', '100000']), other]);
    for (const use of uses) {
      const begin = Date.now();
      // The first run starts with empty caches, and calls that depend on init's speed are not in
      // each run.
      const before = await matrix.points(use);
      const points = (await matrix.points(use)).filter((point) =>
        before.some((one) => isDeepStrictEqual(one, point)),
      );
      const cells = full ? everything(points) : selection(use, points, done);
      for (const [point, fault] of cells) {
        // Which calls init makes at its waits depends on the host's speed.
        for (let i = 0; i < 3 && (await matrix.cell(use, point, fault)) === 'not met'; i++);
        equal(
          readdirSync(pids).filter((name) => name !== 'pid'),
          [],
          'temporary files',
        );
      }
      if (use.keeps) {
        if (kept !== '') sandbox.must(['delete', '--force', kept]);
        kept = '';
      }
      t.comment(`${use.name}: ${matrix.cells} cells, ${Date.now() - begin} ms`);
      const missed = cells.filter(
        ([point]) =>
          !matrix.wasMet(use, point) && !(point.role === 'init' && waits.has(point.call)),
      );
      t.strictSame(missed, [], `${use.name}: something was done to each call`);
      t.equal(state(beside.must(['state', other]).stdout).status, 'running');
      t.equal(beside.must(['exec', other, 'echo', 'unharmed']).stdout, 'unharmed\n', use.name);
    }
    for (const line of matrix.table()) t.comment(line);
    t.comment(`${matrix.cells} cells: ${JSON.stringify(matrix.totals())}`);
    beside.must(['delete', '--force', other]);
  });
}
