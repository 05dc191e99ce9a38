/** The flags of checkpoint and restore, by Debian's criu. */
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Counter, comes, counting, loadModules } from './counter.js';
import { Sandbox, exitOf, state } from './tare.js';

t.setTimeout(290_000);
const sandbox = new Sandbox();
t.teardown(() => sandbox.remove());
loadModules();

sandbox.test('--leave-running', async (t) => {
  const one = await Counter.run(sandbox, 'leave');
  const from = one.checkpoint(t, '--leave-running');
  t.equal(state(sandbox.must(['state', one.id]).stdout).status, 'running');
  await one.goesOn(t, from);
  const later = one.count();
  one.remove();
  await one.restore(t);
  // It goes on from where it was saved, whatever it has come to since.
  t.ok(await comes(() => one.count() > from));
  t.ok(later > from);
  one.remove();
});

sandbox.test('--pre-dump, and dumps that are differences', async (t) => {
  const script = `busybox dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null; x=$(busybox base64 /tmp/x); ${counting}`;
  const one = await Counter.run(sandbox, 'pre', {
    script,
    edit: (config) => config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }),
  });
  const images = (name: string): string => join(one.directory, name);
  const take = (name: string, ...flags: string[]): void =>
    void sandbox.must(['checkpoint', '--image-path', images(name), ...flags, one.id]);
  take('first', '--pre-dump');
  take('second', '--pre-dump', '--parent-path', '../first');
  t.equal(state(sandbox.must(['state', one.id]).stdout).status, 'running');
  const from = one.count();
  take('images', '--parent-path', '../second', '--auto-dedup');
  t.equal(readlinkSync(join(one.images, 'parent')), '../second');
  const pages = (name: string): number =>
    readdirSync(images(name))
      .filter((file) => file.startsWith('pages-'))
      .reduce((size, file) => size + statSync(join(images(name), file)).size, 0);
  t.ok(pages('images') < pages('first') / 2, `${pages('images')} of ${pages('first')} bytes`);
  await one.restore(t, '--auto-dedup');
  await one.goesOn(t, from);
  one.remove();
  const alone = sandbox.tare([
    'restore',
    '-d',
    '-b',
    one.bundle,
    '--image-path',
    images('first'),
    one.id,
  ]);
  t.match(alone.error, 'that of a --pre-dump alone cannot be restored');
});

sandbox.test('--page-server', async (t) => {
  const one = await Counter.run(sandbox, 'server');
  mkdirSync(one.images);
  const server = spawn(
    'criu',
    ['page-server', '-D', one.images, '--port', '27300', '--address', '127.0.0.1'],
    {
      stdio: 'ignore',
    },
  );
  t.ok(
    await comes(() => /:6AA4 .* 0A /.test(readFileSync('/proc/net/tcp', 'utf8'))),
    'the server listens',
  );
  const from = one.checkpoint(t, '--page-server', '127.0.0.1:27300');
  t.equal(await exitOf(server), 0);
  t.ok(
    readdirSync(one.images).some((file) => file.startsWith('pages-')),
    'it has the memory',
  );
  await one.restore(t);
  await one.goesOn(t, from);
  one.remove();
});

sandbox.test('--lazy-pages', async (t) => {
  const one = await Counter.run(sandbox, 'lazy');
  const fifo = join(one.directory, 'status');
  execFileSync('mkfifo', [fifo]);
  const both = openSync(fifo, 'r+');
  const save = sandbox.spawn(
    [
      ...['checkpoint', '--lazy-pages', '--page-server', '127.0.0.1:27301', '--status-fd', '3'],
      ...['--image-path', one.images, one.id],
    ],
    { stdio: ['ignore', 'ignore', 'inherit', both] },
  );
  const byte = Buffer.from('x');
  const waiting = new Promise<void>((ready) => {
    const poll = setInterval(() => {
      if (!existsSync(join(one.images, 'inventory.img'))) return;
      clearInterval(poll);
      ready();
    }, 20);
  });
  await waiting;
  t.equal(readSync(both, byte, 0, 1, null), 1);
  t.same(byte, Buffer.from([0]), 'it tells that pages can be fetched');
  closeSync(both);
  const from = one.count();
  const daemon = spawn(
    'criu',
    [
      ...['lazy-pages', '--page-server', '--address', '127.0.0.1', '--port', '27301'],
      ...['-D', one.images],
    ],
    { stdio: 'ignore' },
  );
  t.ok(await comes(() => existsSync(join(one.images, 'lazy-pages.socket'))), 'the daemon listens');
  const other = sandbox.id('lazy-other');
  await one.restoreAs(t, other, ['--lazy-pages']);
  await one.goesOn(t, from);
  t.equal(await exitOf(daemon), 0);
  t.equal(await exitOf(save), 0);
  t.equal(sandbox.tare(['state', one.id]).status, 1, 'the first one is gone');
  one.remove(other);
});
