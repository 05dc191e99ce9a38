/** pause, resume, update, stats and events. */
import { Containers, failure, skipReason } from '../support/containers.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Container, ContainerEvent } from '../../lib/index.js';

const options = { skip: skipReason ?? false };

async function started(containers: Containers): Promise<Container> {
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  return container;
}

t.test('pause and resume', options, async (t) => {
  const containers = new Containers(t);
  await using container = await started(containers);
  await container.pause();
  t.equal((await container.state()).status, 'paused');
  t.match(await failure(container.pause()), {
    code: 'ERR_TARE_BAD_STATUS',
    message: `pause ${container.id}: container not running: it is paused already`,
  });
  await container.resume();
  t.equal((await container.state()).status, 'running');
  t.equal((await failure(container.resume())).code, 'ERR_TARE_BAD_STATUS');
});

t.test('update', options, async (t) => {
  const containers = new Containers(t);
  await using container = await started(containers);
  const { pid } = await container.state();
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
  await container.update({ unified: { 'cgroup.max.depth': '3' } });
  t.equal(readFileSync(join('/sys/fs/cgroup', path, 'cgroup.max.depth'), 'utf8'), '3\n');
  t.match(await failure(container.update({ cpu: { idle: 5 } })), {
    code: 'ERR_TARE_INVALID_CONFIG',
    path: 'cpu.idle',
    message: `update ${container.id}: resources: cpu.idle: 5 is neither 0 nor 1`,
  });
});

t.test('stats', options, async (t) => {
  const containers = new Containers(t);
  await using container = await started(containers);
  const stats = await container.stats();
  t.match(stats, { cpu: { usage: { kernel: Number, user: Number } }, pids: { current: 1 } });
});

t.test('stats, again and again', options, async (t) => {
  const containers = new Containers(t);
  await using container = await started(containers);
  let samples = 0;
  const begin = Date.now();
  for await (const sample of container.stats({ interval: 20 })) {
    // After the end of the container there may be a last sample, of an empty cgroup.
    if (samples < 3) t.match(sample, { pids: { current: 1 }, cpu: { usage: { user: Number } } });
    if (++samples === 3) await container.kill('SIGKILL');
  }
  t.ok(samples >= 3 && Date.now() - begin >= 39, 'one at once, and those that are due later');
  await container.wait();
  for await (const sample of container.stats({ signal: AbortSignal.abort() })) t.fail('', sample);
  for await (const sample of container.stats({ interval: 1 })) t.ok(sample, 'what is left to tell');
  await container.delete();
  t.equal((await failure(container.stats())).code, 'ERR_TARE_NOT_FOUND');
  const lost = container.stats()[Symbol.asyncIterator]().next();
  t.equal((await failure(lost)).code, 'ERR_TARE_NOT_FOUND');
});

t.test('events end with the container', options, async (t) => {
  const containers = new Containers(t);
  await using container = await started(containers);
  let samples = 0;
  let last: ContainerEvent | undefined;
  const begin = Date.now();
  for await (const event of container.events({ interval: 20 })) {
    last = event;
    if (event.type === 'exit') continue;
    // After the end of the container there may be a last sample, of an empty cgroup.
    const data = samples < 3 ? { pids: { current: 1 } } : {};
    t.match(event, { type: 'stats', id: container.id, data });
    if (++samples === 3) await container.kill('SIGKILL');
  }
  t.ok(samples >= 3);
  t.same(last, { type: 'exit', id: container.id, exitCode: null, signal: 'SIGKILL' });
  t.ok(Date.now() - begin >= 59, 'not sooner than they are due');
  await container.wait();
  t.match(await failure(container.events().next()), {
    code: 'ERR_TARE_BAD_STATUS',
    message: `events of ${container.id}: container with id ${container.id} is not running`,
  });
});

t.test('events end when the loop is left', options, async (t) => {
  const containers = new Containers(t);
  await using container = await started(containers);
  for await (const event of container.events({ interval: 5 })) {
    t.equal(event.type, 'stats');
    break;
  }
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 30);
  for await (const event of container.events({ interval: 3_600_000, signal: controller.signal })) {
    t.fail(event.type);
  }
  for await (const event of container.events({ signal: AbortSignal.abort() })) t.fail(event.type);
  for (const interval of [0, -1, NaN]) {
    const error = await failure(container.events({ interval }).next());
    t.equal(error.code, 'ERR_TARE_INVALID_ARGUMENT');
  }
});
