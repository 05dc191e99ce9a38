/** What containers do not change in the program that makes them. */
import { Containers, openFiles, skipReason } from '../support/containers.js';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import t from 'tap';
import { Container, run } from '../../lib/index.js';

const options = { skip: skipReason ?? false };

/** Children of this process that have ended and have not been waited for. */
function zombies(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return state === 'Z' && Number(parent) === process.pid;
      } catch {
        return false;
      }
    });
}

t.test('200 cycles leave no file descriptor and no zombie', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  await containers.run('first', bundle);
  const before = openFiles();
  for (let i = 0; i < 200; i++) await containers.run('a', bundle);
  t.same(openFiles(), before);
  t.same(zombies(), []);
});

t.test('failed creates leave no file descriptor and no zombie', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['absent']);
  await t.rejects(containers.create('a', bundle));
  const before = openFiles();
  for (let i = 0; i < 20; i++) await t.rejects(containers.create('a', bundle));
  t.same(openFiles(), before);
  t.same(zombies(), []);
});

t.test('the helpers of mounts leave no file descriptor and no zombie', options, async (t) => {
  const containers = new Containers(t);
  const ids = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  // Each mount needs a user namespace of its own, and sources that are opened inside.
  const bundle = containers.bundle(['true'], (config) => {
    config.root.readonly = false;
    config.linux.namespaces.push({ type: 'user' });
    Object.assign(config.linux, { uidMappings: ids, gidMappings: ids });
    for (const size of [1, 2, 3]) {
      const [uidMappings, gidMappings] = [ids, [{ ...ids[0]!, size }]];
      const mount = { options: ['bind'], uidMappings, gidMappings };
      config.mounts.push({ ...mount, destination: '/tmp', source: '/tmp' });
      config.mounts.push({ ...mount, destination: '/run', source: 'rootfs/etc' });
    }
  });
  const before = openFiles();
  await Promise.all(Array.from({ length: 8 }, (_, i) => containers.run(`m${i}`, bundle)));
  for (let i = 0; i < 10; i++) await containers.run('m', bundle);
  t.same(openFiles(), before);
  t.same(zombies(), []);
});

t.test('containers without a wait() are reaped', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  const container = await containers.create('a', bundle);
  const other = await Container.open(container.id, containers.options);
  await container.start();
  await other.wait();
  await container.delete();
  // The end of the second container arrives after the reaper has seen that of the first.
  await containers.run('b', bundle);
  t.same(zombies(), []);
});

t.test('32 at once', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  const names = Array.from({ length: 32 }, (_, i) => `c${i}`);
  const statuses = await Promise.all(names.map((name) => containers.run(name, bundle)));
  t.same(
    statuses,
    names.map(() => ({ exitCode: 0, signal: null })),
  );
});

t.test('of 32 creates of one id one succeeds', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  const creates = await Promise.allSettled(
    Array.from({ length: 32 }, () => containers.create('a', bundle)),
  );
  const created = creates.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const codes = creates.flatMap((one) =>
    one.status === 'rejected' ? [(one.reason as { code: string }).code] : [],
  );
  t.equal(created.length, 1);
  t.same(
    codes,
    Array.from({ length: 31 }, () => 'ERR_TARE_ALREADY_EXISTS'),
  );
  await created[0]!.delete({ force: true });
});

t.test('slow hooks do not keep others from running', options, async (t) => {
  const containers = new Containers(t);
  const slow = containers.bundle(['true'], (config) => {
    config.hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '1000'], timeout: 3 }] };
  });
  const began = performance.now();
  const hanging = Array.from({ length: 40 }, (_, i) => containers.create(`slow${i}`, slow));
  const outcomes = Promise.allSettled(hanging);
  await containers.run('a', containers.bundle(['true']));
  t.ok(performance.now() - began < 3000, 'the timeouts were not waited for');
  for (const { status } of await outcomes) t.equal(status, 'rejected');
});

/** How often the main thread has blocked so far (voluntary context switches). */
function waits(): number {
  const status = readFileSync(`/proc/self/task/${process.pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)![1]);
}

t.test('calls return at once', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  await containers.run('first', bundle);
  let waited = 0;
  const durations: number[] = [];
  const timed = <T>(call: () => Promise<T>): Promise<T> => {
    const before = waits();
    const began = performance.now();
    const promise = call();
    durations.push(performance.now() - began);
    waited += waits() - before;
    return promise;
  };
  for (let i = 0; i < 50; i++) {
    const container = await timed(() => containers.create('a', bundle));
    await timed(() => container.start());
    await timed(() => container.wait());
    await timed(() => container.delete());
  }
  durations.sort((a, b) => a - b);
  const median = durations[durations.length / 2]!;
  t.ok(median < 0.2, `a call takes the event loop's thread ${median} ms`);
  // The tolerated few wait for the queue's lock.
  t.ok(waited <= durations.length / 10, `${waited} of ${durations.length} calls waited`);
});

t.test('the event loop goes on during 100 creates at once', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  const names = Array.from({ length: 100 }, (_, i) => `c${i}`);
  const creates = names.map((name) => containers.create(name, bundle));
  let turns = 0;
  let done = false;
  const turn = (): void => {
    turns++;
    if (!done) setImmediate(turn);
  };
  setImmediate(turn);
  const created = await Promise.all(creates);
  done = true;
  t.ok(turns > 200, `${turns} turns`);
  await Promise.all(created.map((container) => container.delete({ force: true })));
});

t.test('the children of the host program', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  // The end of a container raises SIGCHLD too, because execve(2) sets the exit signal of any
  // process to SIGCHLD. The program must not mistake it for the end of a child, and must not lose a
  // child's status.
  const children = Array.from({ length: 8 }, (_, i) => spawn('sh', ['-c', `read x; exit ${i}`]));
  const exits = children.map((child) => once(child, 'exit'));
  await Promise.all(['a', 'b', 'c'].map((name) => containers.run(name, bundle)));
  for (const child of children) t.equal(child.exitCode, null, 'still running');
  for (const child of children) child.stdin.end('\n');
  await Promise.all(['a', 'b', 'c'].map((name) => containers.run(name, bundle)));
  t.same(
    (await Promise.all(exits)).map(([code]) => code as number),
    [0, 1, 2, 3, 4, 5, 6, 7],
    'each status arrives',
  );
});

t.test('children and commands alternately, with a SIGCHLD listener', options, async (t) => {
  const containers = new Containers(t);
  let heard = 0;
  const listener = (): void => void heard++;
  process.on('SIGCHLD', listener);
  const codes = Array.from({ length: 24 }, (_, i) => i);
  const child = (code: number): Promise<unknown> =>
    promisify(execFile)('sh', ['-c', `exit ${code}`]).then(
      () => 0,
      (error: unknown) => (error as { code: number }).code,
    );
  const command = async (code: number): Promise<unknown> => {
    const script = ['sh', '-c', `exit ${code}`];
    return (await run(script, { ...containers.options, reject: false })).exitCode;
  };
  const ended = await Promise.all(
    codes.map((code) => Promise.all([child(code), command(100 + code)])),
  );
  t.same(
    ended,
    codes.map((code) => [code, 100 + code]),
    'each status arrives where it belongs',
  );
  t.same(spawnSync('sh', ['-c', 'exit 9']).status, 9);
  process.off('SIGCHLD', listener);
  t.ok(heard > 0, 'as without containers');
  t.same(zombies(), []);
});

t.test('signal masks and handlers do not get into the container', options, async (t) => {
  const containers = new Containers(t);
  const status = await containers.output('a', ['cat', '/proc/self/status']);
  for (const mask of ['SigBlk', 'SigIgn', 'SigCgt']) {
    t.match(status, new RegExp(`^${mask}:\\s*0+$`, 'm'));
  }
});

t.test('a program with a heap of 500 MB', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'exit 7']);
  const program = `
    import { Container } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)};
    const heap = Array.from({ length: 500 }, () => Buffer.alloc(1 << 20, 1));
    const container = await Container.create(${JSON.stringify(containers.id('a'))}, {
      bundle: ${JSON.stringify(bundle)},
      root: ${JSON.stringify(containers.sandbox.root)},
    });
    await container.start();
    const { exitCode } = await container.wait();
    await container.delete();
    console.log(JSON.stringify({ exitCode, rss: process.memoryUsage().rss, heap: heap.length }));
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '-e', program],
    { cwd: new URL('../..', import.meta.url) },
  );
  const result = JSON.parse(stdout) as { exitCode: number; rss: number };
  t.equal(result.exitCode, 7);
  t.ok(result.rss > 500 << 20, 'the heap was there');
});
