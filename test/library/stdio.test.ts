/** A container inherits only the file descriptors of this program that it is given. */
import { Containers, openFiles, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { exitOf } from '../support/tare.js';
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openStdio, type Stdio } from '../../lib/container/stdio.js';

const options = { skip: skipReason ?? false };

t.test('the forms of stdio', (t) => {
  const fds = (stdio?: Stdio): number[] => openStdio(stdio).fds;
  t.same(fds(), [-1, -1, -1]);
  t.same(fds('ignore'), [-1, -1, -1]);
  t.same(fds('inherit'), [0, 1, 2]);
  t.same(fds([]), [-1, -1, -1]);
  const fd = openSync('/dev/null', 'r');
  t.same(fds(['ignore', 'inherit', fd, 2, 'inherit', { fd }]), [-1, 1, fd, 2, 4, fd]);
  closeSync(fd);
  for (const [stdio, name] of [
    [[9999], 'stdio[0]'],
    [['pipe', { fd: 9999 }], 'stdio[1]'],
  ] as [Stdio, string][]) {
    t.throws(() => fds(stdio), { message: `${name}: 9999 is not an open file descriptor` });
  }
  const before = openFiles();
  t.throws(() => fds(['pipe', 'pipe', 'pipe', 'pipe', 'ignore']), {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    message: 'stdio[4]: "ignore" is only for standard input, output and error',
  });
  t.throws(() => fds([JSON.parse('"no"') as 'pipe']), {
    message: /^stdio\[0\]: must be "pipe", "ignore", .*, not "no"$/,
  });
  for (const number of [2 ** 32 + 1, 2 ** 31, 2 ** 53, -(2 ** 32) + 1]) {
    t.throws(() => fds([number]), { code: 'ERR_TARE_INVALID_ARGUMENT' }, `not taken for 1`);
    t.throws(() => fds([{ fd: number }]), { code: 'ERR_TARE_INVALID_ARGUMENT' });
  }
  t.throws(() => fds([{ fd: undefined as unknown as number }]), { message: /an object without/ });
  t.same(openFiles(), before, 'nothing is opened for what is refused');
  t.end();
});

t.test('files as standard streams', options, async (t) => {
  const containers = new Containers(t);
  const path = (name: string): string => join(containers.sandbox.directory, name);
  writeFileSync(path('in'), 'from outside');
  const fds = [openSync(path('in'), 'r'), openSync(path('out'), 'w'), openSync(path('err'), 'w')];
  const bundle = containers.bundle(['sh', '-c', 'cat; echo trouble >&2']);
  const status = await containers.run('a', bundle, { stdio: fds });
  t.same(status, { exitCode: 0, signal: null });
  t.equal(readFileSync(path('out'), 'utf8'), 'from outside');
  t.equal(readFileSync(path('err'), 'utf8'), 'trouble\n');
  for (const fd of fds) t.doesNotThrow(() => fstatSync(fd), 'they stay open here');
  fds.forEach((fd) => closeSync(fd));
});

t.test('ignored streams are /dev/null', options, async (t) => {
  const containers = new Containers(t);
  const files = [0, 5, 2].map((fd) => `/proc/self/fd/${fd}`).join(' ');
  const script = `exec 5>&1; exec stat -L -c %t:%T ${files} >&3`;
  const path = join(containers.sandbox.directory, 'file');
  const fd = openSync(path, 'w');
  await containers.run('a', containers.bundle(['sh', '-c', script]), {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  });
  closeSync(fd);
  t.equal(readFileSync(path, 'utf8'), '1:3\n1:3\n1:3\n');
});

// The last descriptor is ls's own, of the directory that it reads.
const listFds = ['ls', '/proc/self/fd'];

t.test('no other file descriptor gets in', options, async (t) => {
  const containers = new Containers(t);
  t.ok(openFiles().length > 3, 'though there are some');
  t.equal(await containers.output('a', listFds), '0\n1\n2\n3\n');
});

t.test('nor one that any other program would inherit', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const path = join(containers.sandbox.directory, 'secret');
  writeFileSync(path, 'secret');
  // At startup Node marks inherited descriptors close-on-exec up to the first gap, so leave a gap.
  const prefix = ['bash', '-c', 'exec 200<"$0" 201>>"$0" 900<&200; exec "$@"', path];
  const body = `
    import { readdirSync, readFileSync } from 'node:fs';
    const flags = (fd) => /flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + fd, 'utf8'))[1];
    const inherited = readdirSync('/proc/self/fd').filter((fd) => fd >= 200);
    tell(inherited.filter((fd) => !(parseInt(flags(fd), 8) & 0o2000000)).join(' '));
    const list = ['ls', '/proc/self/fd'];
    const seen = async (stream) => (await stream.toArray()).join('').trim().replaceAll('\\n', ' ');
    tell(await seen(run(list, { root: data.root, buffer: false }).stdout));
    const options = { bundle: data.bundle, root: data.root };
    const container = await Container.create(data.id, options);
    await container.start();
    tell(await seen((await container.exec({ args: list }, { stdio: 'pipe' })).stdout));
    const { pid } = await container.state();
    tell(readdirSync('/proc/' + pid + '/fd').join(' '));
    await container.delete({ force: true });
  `;
  const { child, output } = program(
    body,
    { ...containers.options, bundle, id: containers.id('a') },
    prefix,
  );
  t.match(await output.until('\n'), /^200 201 (\d+ )?900\n$/, 'these would be');
  t.equal(await output.until('\n'), '0 1 2 3\n', 'run(), with that of the directory');
  t.equal(await output.until('\n'), '0 1 2 3\n', 'exec');
  t.equal(await output.until('\n'), '0 1 2\n', 'create');
  t.equal(await exitOf(child), 0);
});

t.test('further file descriptors', options, async (t) => {
  const containers = new Containers(t);
  const path = join(containers.sandbox.directory, 'file');
  const fd = openSync(path, 'w');
  const bundle = containers.bundle([
    'sh',
    '-c',
    `echo three >&3; echo four >&4; ${listFds.join(' ')}`,
  ]);
  await containers.run('a', bundle, { stdio: ['ignore', fd, 'ignore', fd, fd] });
  closeSync(fd);
  t.equal(readFileSync(path, 'utf8'), 'three\nfour\n0\n1\n2\n3\n4\n5\n');
});

t.test('of processes of exec', options, async (t) => {
  const containers = new Containers(t);
  const path = join(containers.sandbox.directory, 'file');
  const fd = openSync(path, 'w');
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  const process = await container.exec({ args: listFds }, { stdio: ['ignore', fd, fd] });
  t.same(await process.wait(), { exitCode: 0, signal: null });
  closeSync(fd);
  t.equal(readFileSync(path, 'utf8'), '0\n1\n2\n3\n');
  await container.delete({ force: true });
});
