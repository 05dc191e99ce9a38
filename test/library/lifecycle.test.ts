/** A container from create to delete. */
import { Containers, failure, skipReason } from '../support/containers.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Container } from '../../lib/index.js';

const options = { skip: skipReason ?? false };

t.test('create, start, wait, delete', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'exit 3'], (config) => {
    config.annotations = { 'org.example.key': 'value' };
  });
  const pidFile = join(containers.sandbox.directory, 'pid');
  const container = await containers.create('a', bundle, { pidFile });
  t.equal(container.id, containers.id('a'));

  const created = await container.state();
  t.match(created, {
    ociVersion: /^1\./,
    id: container.id,
    status: 'created',
    pid: Number(readFileSync(pidFile, 'utf8')),
    bundle,
    rootfs: join(bundle, 'rootfs'),
    created: /^\d{4}-\d\d-\d\dT.*Z$/,
    annotations: { 'org.example.key': 'value' },
  });

  const ended = container.wait();
  await container.start();
  t.same(await ended, { exitCode: 3, signal: null });
  t.match(await container.state(), { status: 'stopped', pid: 0 });
  await container.delete();
  t.equal((await failure(container.state())).code, 'ERR_TARE_NOT_FOUND');
});

t.test('a running one is killed, then deleted', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  const { status, pid } = await container.state();
  t.equal(status, 'running');
  t.same(await container.ps(), [pid]);
  await container.kill('SIGKILL');
  t.same(await container.wait(), { exitCode: null, signal: 'SIGKILL' });
  await container.delete();
});

t.test('delete by force kills', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  await container.delete({ force: true });
  t.same(await container.wait(), { exitCode: null, signal: 'SIGKILL' });
});

t.test('one that was never started can be deleted by force', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['true']));
  await container.delete({ force: true });
  t.same(await Container.list(containers.options), []);
});

t.test('its configuration may come from the program', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['false']);
  const spec = containers.spec(bundle);
  spec.process!.args = ['sh', '-c', 'exit $(ulimit -n)'];
  spec.process!.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 99n, hard: 99 }];
  t.same(await containers.run('a', bundle, { spec }), { exitCode: 99, signal: null });
});

t.test('list tells of all', options, async (t) => {
  const containers = new Containers(t);
  t.same(await Container.list(containers.options), [], 'where nothing was created yet');
  const bundle = containers.bundle(['sleep', '1000']);
  const b = await containers.create('b', bundle);
  const a = await containers.create('a', bundle);
  await a.start();
  const states = await Container.list(containers.options);
  t.same(
    states.map(({ id, status }) => [id, status]),
    [
      [a.id, 'running'],
      [b.id, 'created'],
    ],
  );
  t.same(states, [await a.state(), await b.state()], 'each as its own state');
  await Promise.all([a, b].map((container) => container.delete({ force: true })));
});

t.test('await using kills and deletes', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  await container[Symbol.asyncDispose]();
  t.same(await Container.list(containers.options), []);
  await t.resolves(container[Symbol.asyncDispose](), 'once more does no harm');
});

t.test('calls of one object take effect in their order', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  const started = container.start();
  const running = container.state();
  const killed = container.kill('SIGKILL');
  const ended = container.wait();
  t.equal((await running).status, 'running');
  await Promise.all([started, killed]);
  t.same(await ended, { exitCode: null, signal: 'SIGKILL' });
  await container.delete();
});

t.test('an opened one is driven like a created one', options, async (t) => {
  const containers = new Containers(t);
  const created = await containers.create('a', containers.bundle(['sleep', '1000']));
  const opened = await Container.open(created.id, containers.options);
  t.equal(opened.id, created.id);
  await opened.start();
  const ended = opened.wait();
  await opened.kill('SIGKILL');
  t.same(await ended, { exitCode: null, signal: null }, 'only the end is known');
  t.same(await created.wait(), { exitCode: null, signal: 'SIGKILL' });
  t.same(await opened.wait(), { exitCode: null, signal: null }, 'also after the end');
  await opened.delete();
  t.equal((await failure(created.state())).code, 'ERR_TARE_NOT_FOUND');
});
