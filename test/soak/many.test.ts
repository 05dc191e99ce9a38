/**
 * Many containers at once: all live, none costs the next one more time, and all go. With
 * TARE_TEST_LONG=1 there are 1,000, and times are compared.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { takeSamples, type Turn } from '../../bench/sample.js';
import { median } from '../../bench/statistics.js';
import { Sandbox, cli, program, whyNot } from '../cli/tare.js';
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

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
  const root = sandbox.root;

  /** The kernel's own part, and tare's starts: medians in ms. */
  const times = (bundle: string): Record<string, number> => {
    const rootfs = join(bundle, 'rootfs');
    const pidFile = join(sandbox.directory, 'pid');
    const floorCgroup = `/sys/fs/cgroup/${sandbox.id('floor')}`;
    const tare = (...args: string[]): string[] => [cli, '--root', root, ...args];
    const [run, life] = [sandbox.id('run'), sandbox.id('life')];
    const turn = (contender: string, each: string[][]): Turn => ({
      contender,
      before: [],
      each,
      after: [],
    });
    const turns = [
      turn('floor', [['time', bench('floor'), '--cgroup', floorCgroup, rootfs, '/bin/true']]),
      turn('run', [['time', ...tare('run', '--bundle', bundle, run)]]),
      turn('create + start', [
        ['time', ...tare('create', '--pid-file', pidFile, '--bundle', bundle, life)],
        ['time', ...tare('start', life)],
        ['reap', pidFile],
        ['run', ...tare('delete', life)],
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
        JSON.parse(sandbox.must(['list', '--format', 'json']).stdout) as {
          id: string;
          status: string;
        }[]
      )
        .filter(({ status }) => status === 'running')
        .map(({ id }) => id);
    t.equal(running().length, many, 'all run');
    const beside = times(short);
    for (const id of [ids[0], ids[many >> 1], ids.at(-1)]) {
      t.equal(sandbox.must(['exec', id ?? '', 'echo', 'here']).stdout, 'here\n');
    }
    await callAll(
      root,
      others.map((id) => ['delete', '--force', id]),
      callers,
    );
    t.strictSame(running(), [first], 'one is left');
    const after = times(short);
    await callAll(root, [['delete', '--force', first]]);

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
