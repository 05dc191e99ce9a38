/**
 * Many containers at once: all run, none makes the start of the next one slower, and all can be
 * removed. With TARE_TEST_LONG=1 there are 1,000, and times are compared.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { takeSamples, type Turn } from '../../bench/sample.js';
import { median } from '../../bench/statistics.js';
import { Sandbox, cli, program, tare, skipReason } from '../support/tare.js';
import { callAll } from './calls.js';

const long = process.env['TARE_TEST_LONG'] === '1';
const many = long ? 1000 : 100;
const rounds = long ? 160 : 5;
const warmUp = long ? 10 : 1;
/** Repetitions of the whole cycle, so that other load on the machine affects both sides. */
const repeats = long ? 3 : 1;
/** Maximum ratio of the cost of a start beside many containers to that beside one. */
const mostGrowth = 1.1;
/** Number of processes that start and end them at a time. */
const callers = 8;

const bench = (name: string): string => join(program('..'), 'bench', name);

/** Samples in ms, by operation. */
type Times = Record<string, number[]>;

/** The names of the runtime's own caches contain "@". */
const containersIn = (root: string): string[] =>
  existsSync(root) ? readdirSync(root).filter((name) => !name.includes('@')) : [];

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox();
  t.teardown(() => {
    sandbox.remove();
    for (const id of containersIn(root)) {
      tare(['--root', root, 'delete', '--force', id]);
    }
    rmSync(memory, { recursive: true });
  });
  // A tmpfs, like /run on most machines: a disk would add times of its own.
  const memory = mkdtempSync('/dev/shm/tare-test-');
  const root = join(memory, 'state');

  /** Adds to `all` the times in ms of the kernel alone (the floor) and of tare's starts. */
  const time = (bundle: string, all: Times): void => {
    const rootfs = join(bundle, 'rootfs');
    const pidFile = join(memory, 'pid');
    const floorCgroup = `/sys/fs/cgroup/${sandbox.id('floor')}`;
    const words = (...args: string[]): string[] => [cli, '--root', root, ...args];
    const [run, life] = [sandbox.id('run'), sandbox.id('life')];
    const turn = (contender: string, each: string[][]): Turn => ({
      contender,
      before: [],
      each,
      after: [],
    });
    const turns = [
      turn('floor', [['time', bench('floor'), '--cgroup', floorCgroup, rootfs, '/bin/true']]),
      turn('run', [['time', ...words('run', '--bundle', bundle, run)]]),
      turn('create + start', [
        ['time', ...words('create', '--pid-file', pidFile, '--bundle', bundle, life)],
        ['time', ...words('start', life)],
        ['reap', pidFile],
        ['run', ...words('delete', life)],
      ]),
    ];
    const { samples } = takeSamples([bench('spawn')], turns, warmUp + rounds);
    rmSync(pidFile);
    for (const { contender, ns, round } of samples) {
      if (round < warmUp) continue;
      (all[contender] ??= []).push(ns.reduce((sum, part) => sum + part, 0) / 1e6);
    }
  };

  sandbox.test(`${many} containers at once`, async (t) => {
    for (const name of ['floor', 'spawn']) t.ok(existsSync(bench(name)), `${name} is built`);
    const short = sandbox.bundle(['true']);
    const bundle = sandbox.bundle(['sleep', '100000']);
    const ids = Array.from({ length: many }, (_, number) => sandbox.id(`n${number}`));
    const [first = '', ...others] = ids;
    const start = (id: string): string[] => ['run', '--detach', '--bundle', bundle, id];
    const running = (): string[] => {
      const list = tare(['--root', root, 'list', '--format', 'json']).stdout;
      const all = JSON.parse(list) as { id: string; status: string }[];
      return all.filter(({ status }) => status === 'running').map(({ id }) => id);
    };
    const besideOne: Times = {};
    const besideMany: Times = {};
    await callAll(root, [start(first)]);
    time(short, besideOne);
    for (let i = 0; i < repeats; i++) {
      await callAll(root, others.map(start), callers);
      t.equal(running().length, many, 'all run');
      time(short, besideMany);
      for (const id of [ids[0], ids[many >> 1], ids.at(-1)]) {
        const exec = tare(['--root', root, 'exec', id ?? '', 'echo', 'here']);
        t.equal(exec.stdout, 'here\n');
      }
      await callAll(
        root,
        others.map((id) => ['delete', '--force', id]),
        callers,
      );
      t.strictSame(running(), [first], 'one is left');
      time(short, besideOne);
    }
    await callAll(root, [['delete', '--force', first]]);
    t.strictSame(containersIn(root), [], 'no state stays');

    const ratios = Object.entries(besideMany).map(([name, samples]) => {
      const [one, beside] = [median(besideOne[name] ?? []), median(samples)];
      const ratio = beside / one;
      t.comment(
        `${name}: ${one.toFixed(2)} ms beside one, ${beside.toFixed(2)} beside ${many}: ` +
          `ratio ${ratio.toFixed(3)}`,
      );
      return [name, ratio] as const;
    });
    const grown = new Map(ratios);
    // With few containers or few rounds the ratio has no meaning.
    if (long) {
      for (const name of ['run', 'create + start']) {
        const own = (grown.get(name) ?? NaN) / Math.max(1, grown.get('floor') ?? NaN);
        t.ok(own <= mostGrowth, `${name}: beyond what the kernel takes: ${own.toFixed(3)}`);
      }
    }
  });
}
