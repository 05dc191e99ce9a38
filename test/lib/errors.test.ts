/** Each kind of error as a program sees it, and that nothing stays of what failed. */
import { Containers, failure, whyNot } from './containers.js';
import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import t from 'tap';
import { Container, type Spec, type StdioItem, TareError } from '../../lib/index.js';

const options = { skip: whyNot ?? false };

t.test('arguments', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const container = await containers.create('a', bundle);
  const calls: [string, () => Promise<unknown>, RegExp][] = [
    ['id', () => Container.create('a/b', { bundle, ...containers.options }), /a\/b/],
    ['no id', () => Container.create(7 as never), /^id: must be a string, not 7$/],
    ['root', () => Container.list({ root: 1 as never }), /^root: must be a string, not 1$/],
    ['signal', () => container.kill('SIGNONE' as never), /^signal: "SIGNONE" is none/],
    ['signal number', () => container.kill(65), /^signal: 65 is none/],
    ...(
      [
        [['pip' as 'pipe'], /^stdio\[0\]: "pip" is none of/],
        [[0, -1], /^stdio\[1\]: -1 is none of/],
        [[0, 1, 2, 'ignore'], /^stdio\[3\]: only standard input, output and error/],
      ] as [StdioItem[], RegExp][]
    ).map(([stdio, message]): [string, () => Promise<unknown>, RegExp] => [
      `stdio ${JSON.stringify(stdio)}`,
      () => containers.create('b', bundle, { stdio }),
      message,
    ]),
  ];
  for (const [name, call, message] of calls) {
    const error = await failure(call());
    t.match(error, { code: 'ERR_TARE_INVALID_ARGUMENT', message }, name);
  }
  await container.delete({ force: true });
});

t.test('a class of its own', options, async (t) => {
  const error = await failure(Container.open('nobody', new Containers(t).options));
  t.ok(error instanceof TareError);
  t.ok(error instanceof Error);
  t.equal(error.name, 'TareError');
  t.equal(error.code, 'ERR_TARE_NOT_FOUND');
  t.match(error.message, /nobody/);
  t.match(error.stack, /^TareError: .*nobody.*\n\s+at async .*open/s, 'the stack is the caller’s');
  t.notOk('errno' in error || 'syscall' in error || 'stage' in error, 'what is not so is absent');
});

t.test('configurations', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true']);
  const specs: [string, (spec: Spec) => void, string][] = [
    ['ERR_TARE_INVALID_CONFIG', (spec) => (spec.process!.cwd = 'relative'), 'process.cwd'],
    [
      'ERR_TARE_INVALID_CONFIG',
      (spec) => (spec.linux!.namespaces![1]!.type = 'nonsense' as never),
      'linux.namespaces[1].type',
    ],
    [
      'ERR_TARE_UNSUPPORTED',
      (spec) => (spec.annotations = { 'run.oci.handler': 'krun' }),
      'annotations["run.oci.handler"]',
    ],
  ];
  for (const [code, edit, path] of specs) {
    const spec = containers.spec(bundle);
    edit(spec);
    const error = await failure(containers.create('a', bundle, { spec }));
    t.match(error, { code, path });
    t.match(error.message, path, 'the message names the place');
  }
});

t.test('statuses', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const container = await containers.create('a', bundle);
  const code = 'ERR_TARE_BAD_STATUS';
  t.match(await failure(containers.create('a', bundle)), { code: 'ERR_TARE_ALREADY_EXISTS' });
  await container.start();
  t.match(await failure(container.start()), { code }, 'started twice');
  t.match(await failure(container.delete()), { code }, 'deleted while it runs');
  await container.kill('SIGKILL');
  await container.wait();
  t.match(await failure(container.kill('SIGKILL')), { code }, 'killed when it has ended');
  t.match(await failure(container.start()), { code }, 'started when it has ended');
  t.match(await failure(container.exec({ args: ['true'] })), { code }, 'exec when it has ended');
  await container.delete();
  for (const call of [
    () => container.start(),
    () => container.state(),
    () => container.kill('SIGKILL'),
    () => container.delete(),
    () => container.exec({ args: ['true'] }),
    () => container.ps(),
    () => Container.open(container.id, containers.options),
  ]) {
    t.match(await failure(call()), { code: 'ERR_TARE_NOT_FOUND' }, String(call));
  }
});

t.test('programs', options, async (t) => {
  const containers = new Containers(t);
  const absent = containers.bundle(['absent']);
  const plain = containers.bundle(['/plain']);
  writeFileSync(join(plain, 'rootfs/plain'), 'text');
  chmodSync(join(plain, 'rootfs/plain'), 0o644);
  const created = await failure(containers.create('a', absent));
  t.match(created, { code: 'ERR_TARE_COMMAND_NOT_FOUND', message: /absent/ });
  const denied = await failure(containers.create('a', plain));
  t.match(denied, { code: 'ERR_TARE_COMMAND_NOT_EXECUTABLE', message: /\/plain/ });

  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  const executed = await failure(container.exec({ args: ['absent'] }));
  t.match(executed, { code: 'ERR_TARE_COMMAND_NOT_FOUND', message: /absent/ });
  await container.delete({ force: true });
});

t.test('hooks', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true'], (config) => {
    config.hooks = {
      createRuntime: [{ path: '/bin/sh', args: ['sh', '-c', 'echo no luck >&2; exit 9'] }],
    };
  });
  const error = await failure(containers.create('a', bundle));
  t.match(error, { code: 'ERR_TARE_HOOK_FAILED', message: /no luck/ });
});

t.test('system calls', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['true'], (config) => {
    config.mounts.push({ destination: '/data', source: '/nowhere', options: ['bind'] });
  });
  const error = await failure(containers.create('a', bundle));
  t.equal(error.code, 'ERR_TARE_SYSTEM');
  t.equal(getSystemErrorName(error.errno!), 'ENOENT', 'errno is negative, as in Node’s errors');
  t.type(error.syscall, 'string');
  t.match(error.message, /\/nowhere.*ENOENT/);

  rmSync(join(bundle, 'config.json'));
  const unread = await failure(containers.create('a', bundle));
  t.match(unread.message, /config\.json/);
  mkdirSync(join(bundle, 'config.json'));
  t.match((await failure(containers.create('a', bundle))).message, /config\.json/);
});

t.test('warnings', options, async (t) => {
  const containers = new Containers(t);
  const warned = once(process, 'warning') as Promise<[Error]>;
  const bundle = containers.bundle(['true'], (config) => {
    config.process.capabilities!['bounding']!.push('CAP_NONSENSE');
  });
  t.same(await containers.run('a', bundle), { exitCode: 0, signal: null });
  const [warning] = await warned;
  t.equal(warning.name, 'TareWarning');
  t.match(warning.message, /CAP_NONSENSE/);
});
