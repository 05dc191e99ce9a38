/** Containers in worker threads: several environments of one process. */
import { Containers, openFiles, skipReason } from '../support/containers.js';
import { once } from 'node:events';
import { mkdirSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Container, run } from '../../lib/index.js';

const options = { skip: skipReason ?? false };

/** Starts a worker that runs `body`, in which Container, run, data and report() are defined. */
function start(body: string, data: unknown): Worker {
  const library = JSON.stringify(new URL('../../dist/index.js', import.meta.url).href);
  const program = `
    import { parentPort, workerData as data } from 'node:worker_threads';
    const { Container, run } = await import(${library});
    const report = (value) => parentPort.postMessage(value);
    ${body}
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  return new Worker(url, { workerData: data, execArgv: [] });
}

const cycle = `
  const container = await Container.create(data.id, { bundle: data.bundle, root: data.root });
  await container.start();
  const status = await container.wait();
  await container.delete();
  report(status);
`;

t.test('workers and the main thread at the same time', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'exit 4']);
  const status = { exitCode: 4, signal: null };
  const workers = ['a', 'b', 'c'].map((name) =>
    start(cycle, { id: containers.id(name), bundle, ...containers.options }),
  );
  const messages = workers.map((worker) => once(worker, 'message'));
  const exits = workers.map((worker) => once(worker, 'exit'));
  t.same(await containers.run('main', bundle), status);
  t.same(await Promise.all(messages), [[status], [status], [status]]);
  t.same(await Promise.all(exits), [[0], [0], [0]], 'nothing keeps them from ending');
});

t.test('a worker that ends leaves its containers', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const id = containers.id('a');
  const body = `
    const container = await Container.create(data.id, { bundle: data.bundle, root: data.root });
    await container.start();
    container.wait();
    report('started');
  `;
  const worker = start(body, { id, bundle, ...containers.options });
  await once(worker, 'message');
  await worker.terminate();
  const container = await Container.open(id, containers.options);
  t.equal((await container.state()).status, 'running');
  const ended = container.wait();
  await container.kill('SIGKILL');
  await ended;
  await container.delete();
});

/** Resolves when a directory contains `count` files. */
function filesIn(directory: string, count: number): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (readdirSync(directory).length < count) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(directory, check);
    check();
  });
}

t.test('what a terminated worker has begun is carried through', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const pids = join(containers.sandbox.directory, 'pids');
  mkdirSync(pids);
  const body = `
    for (const id of data.ids) {
      const pidFile = data.pids + '/' + id;
      Container.create(id, { bundle: data.bundle, root: data.root, pidFile });
    }
    report('under way');
  `;
  const rounds = ['a', 'b', 'c', 'd'].map((round) =>
    Array.from({ length: 8 }, (_, i) => containers.id(`${round}${i}`)),
  );
  for (const ids of rounds) {
    const worker = start(body, { ids, bundle, pids, ...containers.options });
    await once(worker, 'message');
    await worker.terminate();
  }
  await filesIn(pids, rounds.flat().length);
  for (const id of rounds.flat()) {
    const container = await Container.open(id, containers.options);
    await container.delete({ force: true });
  }
  t.same(await Container.list(containers.options), []);
});

t.test('run() in several workers at once', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    const outputs = await Promise.all(
      Array.from({ length: 5 }, (_, i) => run(['sh', '-c', 'echo ' + (data.first + i)], data.options)),
    );
    report(outputs.map(({ stdout }) => Number(stdout)));
  `;
  const workers = [10, 20, 30, 40].map((first) =>
    start(body, { first, options: containers.options }),
  );
  const exits = Promise.all(workers.map((worker) => once(worker, 'exit')));
  const told = (await Promise.all(
    workers.map((worker) => once(worker, 'message')),
  )) as number[][][];
  t.same(
    told.map(([numbers]) => numbers),
    [10, 20, 30, 40].map((first) => [0, 1, 2, 3, 4].map((i) => first + i)),
  );
  t.same(await exits, [[0], [0], [0], [0]]);
});

t.test('commands of run() end with their worker, those of others go on', options, async (t) => {
  const containers = new Containers(t);
  const ids = ['a', 'b', 'c'].map((name) => containers.id(name));
  const body = `
    const commands = data.ids.map((id) => run(['sleep', '1000'], { ...data.options, id }));
    for (const command of commands) command.catch(() => undefined);
    if (data.await) await Promise.all(commands.map((command) => command.container));
    report('under way');
  `;
  const mine = containers.id('mine');
  const running = run(['sh', '-c', 'read line; echo "$line"'], {
    ...containers.options,
    id: mine,
    stdin: 'pipe',
  });
  await running.container;
  let before: string[] = [];
  for (const [round, awaited] of [true, false, false, true, false, false].entries()) {
    const worker = start(body, { ids, options: containers.options, await: awaited });
    await once(worker, 'message');
    await worker.terminate();
    const left = await Container.list(containers.options);
    t.same(
      left.map(({ id }) => id),
      [mine],
      'removed when the worker is gone',
    );
    if (round === 2) before = openFiles();
  }
  // A thread of the pool closes the pipes, and may still be closing them.
  for (let i = 0; i < 100 && openFiles().length > before.length; i++) await sleep(20);
  const after = openFiles();
  t.ok(after.length <= before.length, 'no pipe of those that were cut off stays', {
    stays: after.filter((file) => !before.includes(file)),
  });
  running.stdin.end('goes on\n');
  t.equal((await running).stdout, 'goes on\n');
});
