/** The library and the command line list and control each other's containers. */
import { Containers, skipReason } from '../support/containers.js';
import { state } from '../support/tare.js';
import t from 'tap';
import { Container } from '../../lib/index.js';

const options = { skip: skipReason ?? false };

t.test('one of the library, driven by the command line', options, async (t) => {
  const containers = new Containers(t);
  const { sandbox } = containers;
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  t.equal(state(sandbox.must(['state', container.id]).stdout).status, 'created');
  sandbox.must(['start', container.id]);
  t.equal((await container.state()).status, 'running');
  t.match(sandbox.must(['list']).stdout, container.id);
  sandbox.must(['kill', container.id, 'KILL']);
  t.same(await container.wait(), { exitCode: null, signal: 'SIGKILL' });
  sandbox.must(['delete', container.id]);
  t.same(await Container.list(containers.options), []);
});

t.test('one of the command line, driven by the library', options, async (t) => {
  const containers = new Containers(t);
  const { sandbox } = containers;
  const id = containers.id('a');
  const bundle = containers.bundle(['sleep', '1000']);
  const create = sandbox.spawn(['create', '--bundle', bundle, id], { stdio: 'ignore' });
  await new Promise((resolve) => create.once('exit', resolve));
  const container = await Container.open(id, containers.options);
  await container.start();
  const seen = await container.state();
  t.match(state(sandbox.must(['state', id]).stdout), {
    status: 'running',
    pid: seen.pid,
    bundle: seen.bundle,
    created: seen.created,
    owner: seen.owner,
  });
  const process = await container.exec({ args: ['sh', '-c', 'exit 6'] });
  t.same(await process.wait(), { exitCode: 6, signal: null });
  const ended = container.wait();
  await container.kill('SIGKILL');
  t.same(await ended, { exitCode: null, signal: null });
  await container.delete();
  t.not(sandbox.tare(['state', id]).status, 0);
});
