/**
 * Many containers at once: all live, none costs the next one more time, and all go. With
 * TARE_TEST_LONG=1 there are 1,000, and times are compared.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { takeSamples, type Turn } from '../../bench/sample.js';
import { median } from '../../bench/statistics.js';
import { Sandbox, cli, program, tare, whyNot } from '../cli/tare.js';
import { callAll } from './calls.js';

const long = process.env['TARE_TEST_LONG'] === '1';
const many = long ? 1000 : 100;
const rounds = long ? 150 : 5;
const warmUp = long ? 20 : 1;
/** What a start may cost beside them, of what it costs beside one. */
const mostGrowth = 1.1;
/** That many at a time start and end them. */
const callers = 8;

const bench = (name: string): string => join(program('..'), 'bench', name);

/** The names of the runtime's own caches begin with "@". */
const containersIn = (root: string): string[] =>
  existsSync(root) ? readdirSync(root).filter((name) => !name.startsWith('@')) : [];

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const sandbox = new Sandbox();
  t.teardown(() => {
    sandbox.remove();
    for (const id of containersIn(root)) {
      tare(['--root', root, 'delete', '--force', id]);
    }
    rmSync(memory, { recursive: true });
  });
  // As /run is on most machines: a disk would have its own times.
  const memory = mkdtempSync('/dev/shm/tare-test-');
  const root = join(memory, 'state');

  /** The kernel's own part, and tare's starts: medians in ms. */
  const times = (bundle: string): Record<string, number> => {
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
    return Object.fromEntries(
      turns.map(({ contender }) => {
        const own = samples.filter((one) => one.contender === contender && one.round >= warmUp);
        const ms = own.map(({ ns }) => ns.reduce((sum, part) => sum + part, 0) / 1e6);
        return [contender, median(ms)];
      }),
    );
  };

  sandbox.test(`${many} containers at once`, async (t) => {
    for (const name of ['floor', 'spawn']) t.ok(existsSync(bench(name)), `${name} is built`);
    const short = sandbox.bundle(['true']);
    const bundle = sandbox.bundle(['sleep', '100000']);
    const ids = Array.from({ length: many }, (_, number) => sandbox.id(`n${number}`));
    const [first = '', ...others] = ids;
    const start = (id: string): string[] => ['run', '--detach', '--bundle', bundle, id];
    await callAll(root, [start(first)]);
    const before = times(short);
    await callAll(root, others.map(start), callers);
    const running = (): string[] =>
      (
        JSON.parse(tare(['--root', root, 'list', '--format', 'json']).stdout) as {
          id: string;
          status: string;
        }[]
      )
        .filter(({ status }) => status === 'running')
        .map(({ id }) => id);
    t.equal(running().length, many, 'all run');
    const beside = times(short);
    for (const id of [ids[0], ids[many >> 1], ids.at(-1)]) {
      t.equal(tare(['--root', root, 'exec', id ?? '', 'echo', 'here']).stdout, 'here\n');
    }
    await callAll(
      root,
      others.map((id) => ['delete', '--force', id]),
      callers,
    );
    t.strictSame(running(), [first], 'one is left');
    const after = times(short);
    await callAll(root, [['delete', '--force', first]]);
    t.strictSame(containersIn(root), [], 'no state stays');

    const grown = (name: string): number =>
      (beside[name] ?? NaN) / (((before[name] ?? NaN) + (after[name] ?? NaN)) / 2);
    for (const name of Object.keys(beside)) {
      const [a, b, c] = [before, beside, after].map((one) => (one[name] ?? NaN).toFixed(2));
      t.comment(
        `${name}: ${a} ms beside one, ${b} beside ${many}, ${c} beside one again: ` +
          `ratio ${grown(name).toFixed(3)}`,
      );
    }
    // Beside few of them, or where there is no time for many rounds, it would tell nothing.
    if (long) {
      for (const name of ['run', 'create + start']) {
        const own = grown(name) / Math.max(1, grown('floor'));
        t.ok(own <= mostGrowth, `${name}: beyond what the kernel takes: ${own.toFixed(3)}`);
      }
    }
  });
}
