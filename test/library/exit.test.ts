/** How the end of a process is reported. */
import { Containers, skipReason } from '../support/containers.js';
import t from 'tap';

const options = { skip: skipReason ?? false };

t.test('exit codes', options, async (t) => {
  const containers = new Containers(t);
  for (const exitCode of [0, 1, 127, 128 + 9, 255]) {
    const bundle = containers.bundle(['sh', '-c', `exit ${exitCode}`]);
    t.same(await containers.run(`exit${exitCode}`, bundle), { exitCode, signal: null });
  }
});

t.test('signals', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  // From outside its pid namespace, pid 1 receives only SIGKILL and SIGSTOP unless it handles the
  // signal (pid_namespaces(7)). So the other signals go to a process that is not pid 1.
  const container = await containers.create('a', bundle);
  await container.start();
  for (const [sent, signal] of [
    ['SIGTERM', 'SIGTERM'],
    ['SIGUSR1', 'SIGUSR1'],
    [6, 'SIGABRT'],
    [34, 'SIGRTMIN+0'],
    [64, 'SIGRTMIN+30'],
  ] as const) {
    const process = await container.exec({ args: ['sleep', '1000'] });
    t.equal(process.kill(sent), true);
    t.same(await process.wait(), { exitCode: null, signal }, `by ${sent}`);
    t.equal(process.kill(sent), false, 'it has ended');
  }
  await container.delete({ force: true });
});

t.test('wait, before, after and more than once', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sh', '-c', 'exit 5']));
  const early = [container.wait(), container.wait()];
  await container.start();
  const status = { exitCode: 5, signal: null };
  t.same(await Promise.all(early), [status, status]);
  t.same(await container.wait(), status);
  await container.delete();
  t.same(await container.wait(), status, 'even of a deleted one');
});

t.test('processes of exec', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000'], (config) => {
    config.process.env.push('FROM_CONTAINER=1');
    config.process.cwd = '/tmp';
  });
  const container = await containers.create('a', bundle);
  await container.start();
  const script = 'test $PWD = /tmp && exit $FROM_CONTAINER$MORE';
  const inherited = await container.exec({ args: ['sh', '-c', script] });
  t.ok(inherited.pid > 0);
  t.same(await inherited.wait(), { exitCode: 1, signal: null }, 'cwd and env of the container');
  const leftOpen = { cwd: undefined, env: undefined, user: undefined } as object;
  const open = await container.exec({ args: ['sh', '-c', script], ...leftOpen });
  t.same(await open.wait(), { exitCode: 1, signal: null }, 'what is undefined is not given');
  const given = await container.exec({
    args: ['sh', '-c', 'test $PWD = /bin && exit $MORE'],
    env: ['PATH=/bin', 'MORE=42'],
    cwd: '/bin',
  });
  t.same(await given.wait(), { exitCode: 42, signal: null }, 'cwd and env as given');
  const user = await container.exec({
    args: ['sh', '-c', 'exit $(id -u)'],
    user: { uid: 11, gid: 12 },
  });
  t.same(await user.wait(), { exitCode: 11, signal: null }, 'the user as given');

  const left = await container.exec({ args: ['sleep', '1000'] });
  t.ok((await container.ps()).includes(left.pid));
  await container.delete({ force: true });
  t.same(await left.wait(), { exitCode: null, signal: 'SIGKILL' }, 'ends with the container');
});

t.test('await using ends a process of exec', options, async (t) => {
  const containers = new Containers(t);
  await using container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  let ended;
  {
    await using process = await container.exec({ args: ['sleep', '1000'] });
    t.ok((await container.ps()).includes(process.pid));
    ended = process.wait();
  }
  t.same(await ended, { exitCode: null, signal: 'SIGKILL' });
  const brief = await container.exec({ args: ['true'] });
  await brief.wait();
  await t.resolves(brief[Symbol.asyncDispose](), 'also one that has ended');
});
