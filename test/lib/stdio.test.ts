/** What a container gets of this program's file descriptors: what it is given, nothing else. */
import { Containers, openFiles, whyNot } from './containers.js';
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stdioFds } from '../../lib/stdio.js';

const options = { skip: whyNot ?? false };

t.test('the forms of stdio', (t) => {
  t.same(stdioFds(), [-1, -1, -1]);
  t.same(stdioFds('ignore'), [-1, -1, -1]);
  t.same(stdioFds('inherit'), [0, 1, 2]);
  t.same(stdioFds([]), [-1, -1, -1]);
  t.same(stdioFds(['ignore', 'inherit', 7, 8, 'inherit']), [-1, 1, 7, 8, 4]);
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
  const script =
    'for fd in 0 1 2; do test "$(stat -L -c %t:%T /proc/self/fd/$fd)" = 1:3 || exit 1; done';
  // The substitution is a pipe, so the question goes to the shell itself.
  const bundle = containers.bundle(['sh', '-c', script.replaceAll('self', '$$')]);
  t.same(await containers.run('a', bundle), { exitCode: 0, signal: null });
});

t.test('no other file descriptor gets in', options, async (t) => {
  const containers = new Containers(t);
  const before = openFiles().length;
  const output = await containers.output('a', ['sh', '-c', 'ls /proc/$$/fd']);
  t.same(output.trim().split(/\s+/), ['0', '1', '2']);
  t.ok(before > 3, 'though there are some');
});

t.test('further file descriptors', options, async (t) => {
  const containers = new Containers(t);
  const path = join(containers.sandbox.directory, 'file');
  const fd = openSync(path, 'w');
  const bundle = containers.bundle([
    'sh',
    '-c',
    'echo three >&3; echo four >&4; ls /proc/$$/fd >&3',
  ]);
  await containers.run('a', bundle, { stdio: ['ignore', 'ignore', 'ignore', fd, fd] });
  closeSync(fd);
  t.equal(readFileSync(path, 'utf8').replace(/\s+/g, ' '), 'three four 0 1 2 3 4 ');
});

t.test('of processes of exec', options, async (t) => {
  const containers = new Containers(t);
  const path = join(containers.sandbox.directory, 'file');
  const fd = openSync(path, 'w');
  const container = await containers.create('a', containers.bundle(['sleep', '1000']));
  await container.start();
  const process = await container.exec(
    { args: ['sh', '-c', 'echo hello; ls /proc/$$/fd'] },
    { stdio: ['ignore', fd, 'ignore'] },
  );
  t.same(await process.wait(), { exitCode: 0, signal: null });
  closeSync(fd);
  t.equal(readFileSync(path, 'utf8').replace(/\s+/g, ' '), 'hello 0 1 2 ');
  await container.delete({ force: true });
});
