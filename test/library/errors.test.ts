/** Each kind of error as a program sees it; a failed operation leaves nothing behind. */
import { Containers, failure, skipReason } from '../support/containers.js';
import { OrdinaryUser } from '../support/ordinary-user.js';
import type { Config, Result } from '../support/tare.js';
import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import t, { type Test } from 'tap';
import {
  Container,
  run,
  type RunOptions,
  type Spec,
  type StdioItem,
  TareError,
} from '../../lib/index.js';

const options = { skip: skipReason ?? false };

t.test('arguments', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const container = await containers.create('a', bundle);
  const calls: [string, () => Promise<unknown>, RegExp][] = [
    ['id', () => Container.create('a/b', { bundle, ...containers.options }), /a\/b/],
    ['no id', () => Container.create(7 as never), /^id: must be a string, not 7$/],
    ['root', () => Container.list({ root: 1 as never }), /^root: must be a string, not 1$/],
    ['signal', () => container.kill('SIGNONE' as never), /^signal: invalid signal "SIGNONE"/],
    ['signal number', () => container.kill(65), /^signal: invalid signal 65/],
    ...(
      [
        [['pip' as 'pipe'], /^stdio\[0\]: must be "pipe", .*, not "pip"$/],
        [[0, -1], /^stdio\[1\]: must be "pipe", .*, not -1$/],
        [[0, 1, 2, 'ignore'], /^stdio\[3\]: "ignore" is only for standard input, output and error/],
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
  const error = await failure(Container.open('absent', new Containers(t).options));
  t.ok(error instanceof TareError);
  t.ok(error instanceof Error);
  t.equal(error.name, 'TareError');
  t.equal(error.code, 'ERR_TARE_NOT_FOUND');
  t.match(error.message, /absent/);
  t.match(error.stack, /^TareError: .*absent.*\n\s+at async .*open/s, 'the stack is the caller’s');
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

/**
 * Paths through which tare opens files. The caller does not know them, so no error may contain
 * them.
 */
const descriptorPath = /\/proc\/(?:self|thread-self|\d+)\/fd/;

/**
 * Host files that provoke failures: a directory, a file, a symlink to the directory, and a missing
 * path.
 */
class Sources {
  readonly top: string;
  readonly directory: string;
  readonly file: string;
  readonly link: string;
  readonly missing: string;

  constructor(containers: Containers) {
    this.top = join(containers.sandbox.directory, 'sources');
    this.directory = join(this.top, 'directory');
    this.file = join(this.top, 'file');
    this.link = join(this.top, 'link');
    this.missing = join(this.top, 'missing');
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(this.file, '');
    symlinkSync(this.directory, this.link);
  }
}

/** All texts of an error and its causes that a program may print. */
function errorTexts(error: Error): string[] {
  const { message, path, stage, cause } = error as TareError;
  const texts = [message, path ?? '', stage ?? ''];
  return cause instanceof Error ? [...texts, ...errorTexts(cause)] : texts;
}

t.test('run() names files as the caller does', options, async (t) => {
  const containers = new Containers(t);
  const { top, directory, file, link, missing } = new Sources(containers);
  const rootfs = join(containers.bundle(['true']), 'rootfs');
  const mount = (source: string, destination = '/mnt', within?: string): RunOptions => ({
    mounts: [{ source, destination, ...(within !== undefined && { within }) }],
  });
  const cases: [what: string, RunOptions, named: string][] = [
    ['a source that is missing', mount(missing), missing],
    ['a source below a file', mount(join(file, 'x')), join(file, 'x')],
    ['a source through a symlink', mount(link), link],
    [
      'a missing source within a directory',
      mount('missing', '/mnt', top),
      'mounts[0].source: missing',
    ],
    [
      'a source within a directory that is missing',
      mount('x', '/mnt', missing),
      `mounts[0].within: ${missing}: does not exist`,
    ],
    [
      'a source within a file',
      mount('x', '/mnt', file),
      `mounts[0].within: ${file}: is not a directory`,
    ],
    ['a source that leads out', mount('link', '/mnt', top), `link leads out of ${top}`],
    ['a file on a directory', mount(file, '/tmp'), 'a file on a file'],
    [
      'a directory on a file',
      { rootfs, ...mount(directory, '/bin/busybox') },
      `${directory} /bin/busybox`,
    ],
    [
      'a destination below a file',
      { rootfs, ...mount(directory, '/bin/busybox/x') },
      `${directory} /bin/busybox/x`,
    ],
    ['a destination that cannot be made', mount(directory, '/sys/x'), '/sys/x'],
    ['a source without id-mapped mounts', mount('/dev/pts'), '/dev/pts'],
    ['a root that is missing', { rootfs: missing }, missing],
    ['a root that is a file', { rootfs: file }, file],
    ['a writable root that is missing', { rootfs: missing, readonly: false }, missing],
    ['a writable root that is a file', { rootfs: file, readonly: false }, file],
    ['a writable root that is a symlink', { rootfs: link, readonly: false }, link],
    ['a missing network namespace', { network: { path: missing } }, missing],
    ['an output in no directory', { stdout: { file: join(missing, 'out') } }, missing],
    ['an output below a file', { stdout: { file: join(file, 'out') } }, file],
    ['an output that is a directory', { stdout: { file: directory } }, directory],
    ['an output that is a symlink', { stdout: { file: link } }, link],
    ['an output through a symlink', { stderr: { file: join(link, 'out') } }, link],
    ['an input that is missing', { stdin: { file: missing } }, missing],
    ['an input that is a directory', { stdin: { file: directory } }, directory],
  ];
  for (const [what, given, named] of cases) {
    const error = await failure(run(['true'], { ...containers.options, ...given }));
    t.ok(error.message.includes(named), `${what}: ${error.message}`);
    for (const shown of errorTexts(error)) t.notMatch(shown, descriptorPath, what);
  }
});

type Edit = (config: Config) => void;
type Case = [what: string, edit: Edit, named: string | RegExp];

function expectRefusal(
  t: Test,
  caller: string,
  call: (edit: Edit) => Result,
  [what, edit, named]: Case,
): void {
  const { status, stderr } = call(edit);
  t.equal(status, 1, `${caller}: ${what}`);
  t.match(stderr, named, `${caller}: ${what}`);
  t.notMatch(stderr, descriptorPath, `${caller}: ${what}`);
}

t.test('the command line names files as the caller does', options, async (t) => {
  const containers = new Containers(t);
  const { sandbox } = containers;
  const { top, directory, file, link, missing } = new Sources(containers);
  const user = new OrdinaryUser(sandbox);
  chmodSync(top, 0o700);
  const bind = (source: string, destination = '/tmp', ...more: string[]): Edit => {
    return ({ mounts }) => mounts.push({ destination, source, options: ['bind', ...more] });
  };
  const within = (source: string): Edit => bind(source, '/tmp', `src-within=${top}`);
  const root = (path: string): Edit => {
    return (config) => (config.root.path = path);
  };
  const cases: Case[] = [
    ['a source that is missing', bind(missing), missing],
    ['a source below a file', bind(join(file, 'x')), join(file, 'x')],
    ['a source through a symlink', bind(link, '/tmp', 'src-no-symlinks'), link],
    ['a missing source within a directory', within('missing'), /missing.*ENOENT/],
    ['a source that leads out', within('link'), /link.*EXDEV/],
    [
      'a file on a directory',
      bind(file),
      new RegExp(`${file} /tmp.*; a directory can be mounted on`),
    ],
    ['a directory on a file', bind(directory, '/bin/busybox'), `${directory} /bin/busybox`],
    ['a destination below a file', bind(directory, '/bin/busybox/x'), '/bin/busybox/x'],
    ['a root that is missing', root(missing), missing],
    ['a root that is a file', root(file), file],
  ];
  const byRoot = (edit: Edit): Result =>
    sandbox.tare(['run', '--bundle', containers.bundle(['true'], edit), containers.id('refused')]);
  for (const one of cases) expectRefusal(t, 'root', byRoot, one);

  // In a user namespace the host opens what init has no permission to open.
  const inUserNamespace = (edit: Edit): Result =>
    byRoot((config) => {
      edit(config);
      config.linux.namespaces.push({ type: 'user' });
      for (const key of ['uidMappings', 'gidMappings'])
        config.linux[key] = [{ containerID: 0, hostID: 100000, size: 65536 }];
    });
  const unmapped: Case = [
    'a source without id-mapped mounts',
    bind('/dev/pts', '/tmp', 'idmap'),
    '/dev/pts',
  ];
  const notMade: Case = [
    'a destination that cannot be made',
    bind('/usr', '/not/there'),
    '/not/there',
  ];
  for (const one of [...cases, unmapped, notMade])
    expectRefusal(t, 'a user namespace', inUserNamespace, one);

  const byUser = (edit: Edit): Result =>
    user.tare('run', '--bundle', user.bundle(['true'], edit), containers.id('refused'));
  const ids = [{ containerID: 0, hostID: 1, size: 1 }];
  for (const one of [
    ['a source without permission', bind(directory), directory],
    ['a source within one without permission', within('directory'), /directory.*EACCES/],
    ['a source that is missing', bind('/nowhere'), '/nowhere'],
    ['a destination below a file', bind('/usr', '/bin/busybox/x'), '/bin/busybox/x'],
    ['a root without permission', root(directory), directory],
    [
      'an id-mapped mount',
      ({ mounts }) =>
        mounts.push({
          destination: '/tmp',
          source: '/usr',
          options: ['bind'],
          uidMappings: ids,
          gidMappings: ids,
        }),
      'mounts[7]: id-mapped mounts',
    ],
  ] satisfies Case[])
    expectRefusal(t, 'an ordinary user', byUser, one);
});
