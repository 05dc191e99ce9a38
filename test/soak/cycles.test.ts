/**
 * Complete life cycles of containers by the command line, the library and run(): no resource grows
 * with their number. Without TARE_TEST_LONG=1, which makes 10,000 of each, there are only a few.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t, { type Test } from 'tap';
import { Container, run, TareError, type RunOptions } from '../../lib/index.js';
import { Sandbox, skipReason } from '../support/tare.js';
import { callAll } from './calls.js';
import {
  figuresOfMachine,
  figuresOfProcess,
  growth,
  growthAsText,
  type Figures,
} from './figures.js';

const long = process.env['TARE_TEST_LONG'] === '1';
const cycles = long ? 10_000 : 200;
const samples = 20;
const inSample = cycles / samples;

/**
 * Maximum growth. Figures that are absent may not grow at all; these have noise: pages and objects
 * of a process, in KiB.
 */
const mostGrowth: Record<string, number> = {
  // The pool adds a thread if all that it has are busy for a moment.
  threads: 4,
  'resident KiB': 8192,
  'heap KiB': 2048,
  // Other processes use kernel memory, too. The kernel frees cgroups gradually and later, so that a
  // few cycles show nothing.
  'kernel KiB': 65_536 + 10 * cycles,
  'dying cgroups': long ? cycles / 10 : Infinity,
};

async function sample(t: Test, measure: () => Figures, work: () => Promise<void>): Promise<void> {
  // The first part fills caches.
  await work();
  const figures = [measure()];
  const begin = process.hrtime.bigint();
  for (let i = 0; i < samples; i++) {
    await work();
    figures.push(measure());
  }
  const ms = Number(process.hrtime.bigint() - begin) / 1e6;
  const grown = growth(figures);
  t.comment(`${cycles} cycles, ${(ms / cycles).toFixed(2)} ms each\n${growthAsText(grown)}`);
  for (const [name, { total }] of Object.entries(grown)) {
    t.ok(total <= (mostGrowth[name] ?? 0), `${name} do not grow: ${total.toFixed(1)}`);
  }
}

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const ofMachine = (): Figures => figuresOfMachine(sandbox.tag, sandbox.root);

  const ofAll = (): Figures => ({ ...ofMachine(), ...figuresOfProcess(collect) });
  const absent = (error: unknown): void => {
    if (!(error instanceof TareError) || error.code !== 'ERR_TARE_COMMAND_NOT_FOUND') throw error;
  };

  sandbox.test(`${cycles} cycles of the command line`, async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const id = sandbox.id('a');
    const cycle = [
      ['create', '--bundle', bundle, id],
      ['start', id],
      ['exec', id, 'true'],
      ['kill', id, 'KILL'],
      ['delete', '--force', id],
    ];
    const calls = Array.from({ length: inSample }, () => cycle).flat();
    await sample(t, ofMachine, () => callAll(sandbox.root, calls));
  });

  sandbox.test(`${cycles} cycles of the library`, async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const id = sandbox.id('b');
    const options = { root: sandbox.root, bundle, stdio: ['ignore', 'ignore', 'ignore'] as const };
    const cycle = async (): Promise<void> => {
      const container = await Container.create(id, { ...options, stdio: [...options.stdio] });
      await container.start();
      const process = await container.exec({ args: ['true'] });
      await process.wait();
      const ended = container.wait();
      await container.kill('SIGKILL');
      await ended;
      await container.delete();
    };
    await sample(t, ofAll, async () => {
      for (let i = 0; i < inSample; i++) await cycle();
    });
  });

  sandbox.test(`${cycles} calls of run()`, async (t) => {
    const { root } = sandbox;
    let calls = 0;
    // The id also names the cgroup.
    const command = async (words: string[], options: RunOptions = {}): Promise<void> => {
      const id = sandbox.id(`run${calls++}`);
      const { failed } = await run(words, { root, id, reject: false, ...options });
      if (failed !== (words[0] === 'false')) throw new Error(`${words.join(' ')}: ${failed}`);
    };
    await sample(t, ofAll, async () => {
      for (let i = 0; i < inSample; i++) {
        if (i % 10 < 6) await command(['true']);
        else if (i % 10 < 8) await command(['cat'], { input: 'some text' });
        else if (i % 10 < 9) await command(['false']);
        else await command(['absent']).catch((error: unknown) => absent(error));
      }
    });
  });
}
