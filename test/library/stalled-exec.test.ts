/** Containers whose processes stall an operation that waits for them. Nothing else may stall. */
import { Containers, failure, skipReason } from '../support/containers.js';
import { staticProgram } from '../support/tare.js';
import { once } from 'node:events';
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { Container, run, type RunOptions, type Running } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

/** The first process stops all others repeatedly, so also those that exec() adds. */
const stopper = ['/bin/sh', '-c', 'echo begun; while :; do kill -STOP -1; done 2>/dev/null'];

/** Calls exec() until some of the calls hang. */
async function hang(container: Container): Promise<Promise<unknown>[]> {
  const calls: Promise<unknown>[] = [];
  for (let round = 0; round < 20; round++) {
    let left = 0;
    for (let i = 0; i < 8; i++) {
      left++;
      const call = container.exec({ args: ['/bin/true'] }).finally(() => left--);
      calls.push(call.catch(() => undefined));
    }
    await Promise.race([Promise.all(calls), sleep(400)]);
    if (left > 0) return calls;
  }
  throw new Error('no exec() hangs');
}

/** Returns the result of `promise`, or 'nothing' after two seconds. */
async function soon<T>(promise: Promise<T>): Promise<T | 'nothing'> {
  return Promise.race([promise, sleep(2000, 'nothing' as const, { ref: false })]);
}

function begin(t: Test, more: RunOptions = {}) {
  const containers = new Containers(t);
  const running = run(stopper, { ...containers.options, reject: false, ...more });
  t.teardown(() => running.container.then((container) => container[Symbol.asyncDispose]()));
  return running;
}

t.test('a command ends, whatever its processes do with those of exec()', options, async (t) => {
  const timed = begin(t, { timeout: 1500 });
  const controller = new AbortController();
  const aborted = begin(t, { signal: controller.signal });
  const killed = begin(t);
  const deleted = begin(t);
  const all = [timed, aborted, killed, deleted];
  const calls = (await Promise.all(all.map(async (one) => hang(await one.container)))).flat();
  controller.abort();
  killed.kill();
  const gone = deleted.container.then((container) => container.delete({ force: true }));
  t.match(await soon(timed), { timedOut: true, signal: 'SIGKILL' });
  t.match(await soon(aborted), { aborted: true, signal: 'SIGKILL' });
  t.match(await soon(killed), { signal: 'SIGKILL' });
  t.not(await soon(gone), 'nothing');
  t.match(await soon(deleted), { signal: 'SIGKILL' });
  t.not(await soon(Promise.all(calls)), 'nothing', 'and so do the calls that hung');
});

t.test('other calls of the object go on', options, async (t) => {
  const running = begin(t);
  const container = await running.container;
  const calls = await hang(container);
  t.match(await soon(container.state()), { status: 'running' });
  await container.kill('SIGKILL');
  t.match(await soon(running), { signal: 'SIGKILL' });
  await Promise.all(calls);
});

t.test('as many calls as there may be threads', options, async (t) => {
  for (const end of [
    (running: Running<RunOptions>): unknown => running.kill(),
    async (running: Running<RunOptions>): Promise<void> =>
      (await running.container).delete({ force: true }),
  ]) {
    const running = begin(t);
    const container = await running.container;
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 300; i++) {
      calls.push(container.exec({ args: ['/bin/true'] }).catch(() => undefined));
    }
    await Promise.race([Promise.all(calls), sleep(3000)]);
    const ended = end(running);
    t.match(await soon(running), { signal: 'SIGKILL' });
    t.not(await soon(Promise.resolve(ended)), 'nothing');
    await Promise.all(calls);
  }
});

t.test('another container is not held up', options, async (t) => {
  const running = begin(t);
  const container = await running.container;
  const calls: Promise<'made' | 'failed'>[] = [];
  let stalled = 0;
  // More than the thread pool has threads.
  while (stalled < 160 && calls.length < 2000) {
    for (let i = 0; i < 40; i++) {
      stalled++;
      const call = container.exec({ args: ['/bin/true'] }).finally(() => stalled--);
      calls.push(
        call.then(
          () => 'made',
          () => 'failed',
        ),
      );
    }
    await sleep(100);
  }
  t.ok(stalled >= 160, `${stalled} of ${calls.length} calls hang`);
  const { root } = new Containers(t).options;
  const other = await soon(run(['echo', 'here'], { root, timeout: 5000, reject: false }));
  t.match(other, { exitCode: 0, stdout: 'here\n' });
  const { length } = readdirSync('/proc/self/task');
  t.ok(length < 64, `${length} threads`);
  const begun = performance.now();
  await container.kill('SIGKILL');
  t.match(await soon(running), { signal: 'SIGKILL' });
  const outcomes = await soon(Promise.all(calls));
  t.not(outcomes, 'nothing', 'the calls that hung have ended');
  t.ok((outcomes as string[]).filter((outcome) => outcome === 'failed').length >= 160);
  t.ok(performance.now() - begun < 4000);
});

t.test('a worker thread takes it along', options, async (t) => {
  const containers = new Containers(t);
  const library = new URL('../../dist/index.js', import.meta.url).href;
  const program = `
    import { parentPort, workerData as data } from 'node:worker_threads';
    const { run } = await import(${JSON.stringify(library)});
    const running = run(data.stopper, { ...data.options, reject: false });
    const container = await running.container;
    for (let i = 0; i < 60; i++) container.exec({ args: ['/bin/true'] }).catch(() => undefined);
    setTimeout(() => parentPort.postMessage('under way'), 800);
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), {
    workerData: { stopper, options: containers.options },
    execArgv: [],
  });
  await once(worker, 'message');
  await worker.terminate();
  t.same(await Container.list(containers.options), []);
});

t.test('calls wait for earlier ones, but a kill not for long', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000'], (config) => {
    config.hooks = { startContainer: [{ path: '/bin/sleep', args: ['sleep', '1000'] }] };
  });
  for (const end of [
    (container: Container): Promise<unknown> => container.kill('SIGKILL'),
    (container: Container): Promise<unknown> => container.delete({ force: true }),
    (container: Container): Promise<unknown> => container.end(),
  ]) {
    const container = await containers.create('a', bundle);
    const started = failure(container.start());
    await sleep(50);
    const ended = end(container);
    t.not(await soon(started), 'nothing');
    t.not(await soon(ended), 'nothing');
    await container[Symbol.asyncDispose]();
  }
});

t.test('an object has to do with its own container alone', options, async (t) => {
  const containers = new Containers(t);
  const id = containers.id('same');
  const of = { ...containers.options, id, reject: false };
  const first = run(['true'], of);
  const old = await first.container;
  t.match(await first, { exitCode: 0 });
  const second = run(['sleep', '1000'], of);
  const container = await second.container;
  first.kill();
  for (const call of [
    () => old.kill('SIGKILL'),
    () => old.delete({ force: true }),
    () => old.end(),
    () => old.state(),
    () => old.exec({ args: ['true'] }),
  ]) {
    t.match(await failure(call()), { code: 'ERR_TARE_NOT_FOUND' });
  }
  await old[Symbol.asyncDispose]();
  t.equal((await container.state()).status, 'running');
  second.kill();
  t.match(await second, { signal: 'SIGKILL' });
});

t.test('a process that is traced from inside', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['/bin/seize'], (config) => {
    config.root.readonly = false;
  });
  copyFileSync(staticProgram('seize'), join(bundle, 'rootfs/bin/seize'));
  const container = await containers.create('a', bundle, {
    stdio: ['ignore', 'pipe'],
    start: true,
  });
  let seized = 0;
  container.stdout!.on('data', (chunk: Buffer) => (seized += chunk.length));
  const count = 12;
  const made = await Promise.all(
    Array.from({ length: count }, () => container.exec({ args: ['sleep', '1000'] })),
  );
  for (let i = 0; i < 500 && seized < count; i++) await sleep(10);
  t.ok(seized >= count, `${seized} are traced`);
  const ends = made.map((process) => process.wait());
  for (const process of made) t.equal(process.kill('SIGKILL'), true);
  const status = { exitCode: null, signal: null };
  t.same(
    await soon(Promise.all(ends)),
    made.map(() => status),
    'only the end is known',
  );
  t.equal(made[0]!.kill('SIGKILL'), false);
  const other = await run(['true'], containers.options);
  t.equal(other.exitCode, 0);
  await container.delete({ force: true });
  t.same(await container.wait(), { exitCode: null, signal: 'SIGKILL' });
});
