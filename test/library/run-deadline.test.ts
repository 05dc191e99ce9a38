/**
 * `timeout`, `cpuTimeout` and `signal` of run() take effect on time, whatever run() is doing then.
 */
import { Containers, failure, skipReason } from '../support/containers.js';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Container, run, TareError, type Spec } from '../../lib/index.js';
import { CpuTimeWatch } from '../../lib/run/cpu-time.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

/** A container whose creation takes four seconds. */
const slowly = (spec: Spec): Spec => ({
  ...spec,
  hooks: { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '4'] }] },
});

/** An input that fails during the creation. */
async function* failing(): AsyncGenerator<string> {
  await new Promise((resolve) => setTimeout(resolve, 300));
  yield* [];
  throw new Error('no more');
}

t.test('while a container is being made', options, async (t) => {
  const containers = new Containers(t);
  const of = { ...containers.options, spec: slowly };
  const began = performance.now();
  const soon = (what: string): void => {
    const ms = performance.now() - began;
    t.ok(ms < 2500, `${what}: ${ms} ms`);
  };
  const late = run(['sleep', '60'], { ...of, timeout: 300, reject: false, stdin: 'pipe' });
  const thrown = failure(run(['sleep', '60'], { ...of, timeout: 300 }));
  const controller = new AbortController();
  const aborted = run(['sleep', '60'], { ...of, signal: controller.signal, reject: false });
  const killed = run(['sleep', '60'], { ...of, reject: false });
  const fed = failure(run(['sleep', '60'], { ...of, input: failing() }));
  setTimeout(() => {
    controller.abort();
    killed.kill();
  }, 300);
  t.match(await late, { timedOut: true, failed: true, exitCode: null, stdout: '' });
  soon('a timeout');
  t.match(await failure(late.container), { code: 'ERR_TARE_TIMED_OUT' });
  late.stdin.write('this goes nowhere');
  t.match(await thrown, { code: 'ERR_TARE_TIMED_OUT', result: { timedOut: true } });
  t.match(await aborted, { aborted: true, signal: 'SIGKILL' });
  t.match(await killed, { signal: 'SIGKILL', timedOut: false, failed: true });
  t.match(await fed, { code: 'ERR_TARE_STREAM_FAILED' });
  soon('all of them');
  for (let left = -1; left !== 0 && performance.now() - began < 60_000;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = (await Container.list(containers.options)).length;
  }
  t.same(await Container.list(containers.options), [], 'what is made by then is removed');
});

t.test('processor time', options, async (t) => {
  const containers = new Containers(t);
  const of = { ...containers.options, cpuTimeout: 300, timeout: 60_000 };
  const busy = 'while :; do :; done';
  const error = await failure(run(['sh', '-c', busy], of));
  t.match(error, {
    code: 'ERR_TARE_CPU_TIMED_OUT',
    message: /: used more than 300 ms of processor time$/,
    result: { cpuTimedOut: true, timedOut: false, signal: 'SIGKILL' },
  });
  const { user, system } = error.result!.usage.cpuMs;
  t.ok(user + system >= 300 && user + system < 1500, `${user + system} ms`);
  const children = await run(['sh', '-c', `for i in 1 2 3; do (${busy}) & done; wait`], {
    ...of,
    reject: false,
  });
  t.match(children, { cpuTimedOut: true }, 'that of all its processes together');
  t.match(await run(['sleep', '0.6'], of), { cpuTimedOut: false, exitCode: 0 });
});

/** A container for CpuTimeWatch, which calls only stats(). */
const withReadings = (stats: () => Promise<unknown>): Container => ({ stats }) as Container;

t.test('processor time, when a reading fails', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'while :; do :; done']);
  const container = await containers.create('busy', bundle);
  await container.start();

  let readings = 0;
  const firstFails = withReadings(() => {
    const transient = new TareError('stats: open: EMFILE', { code: 'ERR_TARE_SYSTEM' });
    return ++readings === 1 ? Promise.reject(transient) : container.stats();
  });
  let watch: CpuTimeWatch | undefined;
  const reached = new Promise<string>((resolve) => {
    watch = new CpuTimeWatch(firstFails, 300, () => resolve('reached'));
  });
  const giveUp = new AbortController();
  const late = sleep(20_000, 'not reached', { signal: giveUp.signal });
  t.equal(await Promise.race([reached, late]), 'reached');
  giveUp.abort();
  watch!.stop();
  t.ok(readings >= 2, `${readings} readings: the failed one does not count as the limit`);
  const { kernel, user } = (await container.stats()).cpu.usage;
  t.ok((kernel + user) / 1e6 >= 300, `${kernel + user} ns`);

  // After the deletion every reading fails.
  await container.delete({ force: true });
  readings = 0;
  const deleted = withReadings(() => {
    readings++;
    return container.stats();
  });
  const idle = new CpuTimeWatch(deleted, 20, () => t.fail('the limit of a deleted container'));
  await sleep(500);
  idle.stop();
  t.equal(readings, 1, 'ERR_TARE_NOT_FOUND ends the watch');
});

t.test(
  'what has ended by itself has not timed out, however late the loop hears',
  options,
  async (t) => {
    const containers = new Containers(t);
    for (let i = 0; i < 3; i++) {
      // What is known of the root is a second old at most, so the next run() is made at once.
      await run(['true'], containers.options);
      const running = run(['echo', 'hi'], { ...containers.options, timeout: 300, reject: false });
      await sleep(0);
      const until = performance.now() + 600;
      while (performance.now() < until);
      t.match(await running, { exitCode: 0, timedOut: false, stdout: 'hi\n' });
    }
  },
);
