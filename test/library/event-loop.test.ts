/**
 * How late the event loop serves its timers while 100 containers are created at once. Most of the
 * delay is due to the processors, which the containers' inits and the kernel's workers use too. So
 * another program creates the same containers in alternating rounds, while this program's loop is
 * idle: the difference is what the library itself blocks.
 */
import { Containers, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { median, quantile } from '../../bench/statistics.js';
import { closeSync, openSync, readSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Container, run } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const long = process.env['TARE_TEST_LONG'] === '1';
const many = 100;
const rounds = long ? 30 : 3;
allowTime(t, long ? 600_000 : 90_000);

/** Maximum time that a call may occupy the event loop's thread, ms. */
const mostHeld = 1;

/** How long the main thread has waited for a processor so far, ms: schedstat of proc(5). */
class RunQueue {
  readonly #fd = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  readonly #text = Buffer.alloc(128);

  get waited(): number {
    const size = readSync(this.#fd, this.#text, 0, this.#text.length, 0);
    return Number(this.#text.toString('latin1', 0, size).split(' ')[1]) / 1e6;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Measures by how many ms a repeated timer of 1 ms is late, until `work` is done. */
async function lateness(work: () => Promise<unknown>): Promise<number[]> {
  const late: number[] = [];
  let last = performance.now();
  let done = false;
  const tick = (): void => {
    const now = performance.now();
    late.push(Math.max(0, now - last - 1));
    last = now;
    if (!done) setTimeout(tick, 1);
  };
  setTimeout(tick, 1);
  await work();
  done = true;
  await sleep(5);
  return late;
}

interface Work {
  /** Creates the containers in this program; each call goes through `timed`. */
  here: (timed: <T>(call: () => Promise<T>) => Promise<T>) => Promise<() => Promise<unknown>>;
  /** The same as source text for the other program, which executes it once for each input line. */
  there: string;
  data: unknown;
}

const leastOf = (values: number[]): number => Math.min(...values);

async function compare(t: Test, { here, there, data }: Work): Promise<void> {
  const queue = new RunQueue();
  const other = program(
    `const { createInterface } = await import('node:readline');
     for await (const line of createInterface({ input: process.stdin })) { ${there} }`,
    data,
  );
  const idle: number[] = [];
  const control: number[] = [];
  const late: number[] = [];
  const longest: number[] = [];
  const calls: number[] = [];
  // Other load on the machine affects only some rounds; the inherent cost of a call is in each.
  for (let round = 0; round < rounds || (leastOf(longest) > mostHeld && round < 20); round++) {
    idle.push(...(await lateness(() => sleep(100))));
    control.push(
      ...(await lateness(async () => {
        other.child.stdin!.write('go\n');
        await other.output.until('made\n');
      })),
    );
    await other.output.until('removed\n');
    await sleep(100);
    const held: number[] = [];
    const timed = <T>(call: () => Promise<T>): Promise<T> => {
      const waited = queue.waited;
      const began = performance.now();
      const promise = call();
      held.push(performance.now() - began - (queue.waited - waited));
      return promise;
    };
    let remove: () => Promise<unknown> = () => Promise.resolve();
    late.push(...(await lateness(async () => void (remove = await here(timed)))));
    await remove();
    await sleep(100);
    longest.push(Math.max(...held));
    calls.push(...held);
  }
  other.child.stdin!.end();
  queue.close();
  const shown = (values: number[]): string =>
    [0.5, 0.99, 1].map((part) => quantile(values, part).toFixed(2)).join(', ');
  t.comment(`late in ms (median, 99 %, most): idle ${shown(idle)}`);
  t.comment(`another program makes ${many}: ${shown(control)}; this one: ${shown(late)}`);
  t.comment(`a call takes of the loop's thread: ${shown(calls)}`);
  const least = leastOf(longest);
  t.ok(least <= mostHeld, `no call takes longer than ${mostHeld} ms: ${least.toFixed(2)}`);
  t.ok(median(calls) <= mostHeld / 4, `nor nearly that: ${median(calls).toFixed(2)}`);
  const [ours, theirs] = [quantile(late, 0.99), quantile(control, 0.99)];
  // Other load on the machine may affect only one of the two programs.
  t.ok(ours <= 4 * theirs + 10 * mostHeld, `${ours.toFixed(2)} beside ${theirs.toFixed(2)} ms`);
}

const skip = { skip: skipReason ?? false };

/** One call in each iteration of the event loop, as a server receives requests. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test(`${many} containers`, skip, async (t) => {
  const containers = new Containers(t);
  const options = { ...containers.options, bundle: containers.bundle(['true']) };
  await (await Container.create(containers.id('warm'), options)).delete({ force: true });
  await compare(t, {
    async here(timed) {
      const creates: Promise<Container>[] = [];
      for (let i = 0; i < many; i++) {
        creates.push(timed(() => Container.create(containers.id(`here${i}`), options)));
        await turn();
      }
      const made = await Promise.all(creates);
      return () => Promise.all(made.map((container) => container.delete({ force: true })));
    },
    there: `
      const made = await Promise.all(
        Array.from({ length: ${many} }, (_, i) => Container.create(data.id + i, data.options)),
      );
      tell('made');
      await Promise.all(made.map((container) => container.delete({ force: true })));
      tell('removed');`,
    data: { id: containers.id('there'), options },
  });
});

t.test(`${many} commands`, skip, async (t) => {
  const containers = new Containers(t);
  const options = containers.options;
  await run(['true'], options);
  await compare(t, {
    async here(timed) {
      const commands: Promise<unknown>[] = [];
      for (let i = 0; i < many; i++) {
        commands.push(timed(() => run(['true'], options)));
        await turn();
      }
      await Promise.all(commands);
      return () => Promise.resolve();
    },
    there: `
      await Promise.all(Array.from({ length: ${many} }, () => run(['true'], data.options)));
      tell('made');
      tell('removed');`,
    data: { options },
  });
});
