/** Streams to and from the processes of containers. */
import { Containers, failure, openFiles, skipReason } from '../support/containers.js';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

const options = { skip: skipReason ?? false };

t.test('to a container and back', options, async (t) => {
  const containers = new Containers(t);
  await containers.run('first', containers.bundle(['true']));
  // libuv opens a descriptor of its own with its first stream.
  await once(spawn('true'), 'close');
  const before = openFiles();
  const bundle = containers.bundle(['sh', '-c', 'tr a-z A-Z; echo done >&2; exit 4']);
  const container = await containers.create('a', bundle, { stdio: 'pipe', start: true });
  const stdout = text(container.stdout!);
  const stderr = text(container.stderr!);
  container.stdin!.write('one ');
  container.stdin!.end('two');
  t.same(await container.wait(), { exitCode: 4, signal: null });
  t.same([await stdout, await stderr], ['ONE TWO', 'done\n']);
  t.equal(container.terminal, null);
  await container.delete();
  await sleep(20);
  t.same(openFiles(), before);
});

t.test('nothing is lost, and a writer waits for a slow reader', options, async (t) => {
  const containers = new Containers(t);
  const megabytes = 8;
  const bundle = containers.bundle(['dd', 'if=/dev/zero', 'bs=1048576', `count=${megabytes}`]);
  const container = await containers.create('a', bundle, { stdio: ['ignore', 'pipe'] });
  await container.start();
  await sleep(200);
  const { readableLength, readableHighWaterMark } = container.stdout!;
  t.ok(readableLength <= 4 * readableHighWaterMark, `${readableLength} bytes wait here`);
  t.equal((await container.state()).status, 'running');
  let length = 0;
  for await (const chunk of container.stdout!) length += (chunk as Buffer).length;
  t.equal(length, megabytes * 2 ** 20);
  t.same(await container.wait(), { exitCode: 0, signal: null });
  await container.delete();
});

t.test('a reader that waits is told that the input is full', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'sleep 0.2; wc -c']);
  const container = await containers.create('a', bundle, { stdio: 'pipe', start: true });
  const chunk = Buffer.alloc(2 ** 20);
  t.equal(container.stdin!.write(chunk), false);
  await once(container.stdin!, 'drain');
  container.stdin!.end();
  t.equal((await text(container.stdout!)).trim(), String(chunk.length));
  await container.delete({ force: true });
});

t.test('further descriptors are streams in both directions', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'read line <&3; echo "got $line" >&3']);
  const container = await containers.create('a', bundle, {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    start: true,
  });
  const stream = container.stdio[3] as Duplex;
  stream.write('this\n');
  t.equal(await text(stream), 'got this\n');
  t.same(
    container.stdio.map((one) => one === null),
    [true, true, true, false],
  );
  await container.wait();
  await container.delete();
});

t.test('of exec', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sleep', '1000']), {
    start: true,
  });
  const process = await container.exec({ args: ['cat'] }, { stdio: 'pipe' });
  process.stdin!.end('through');
  t.equal(await text(process.stdout!), 'through');
  t.same(await process.wait(), { exitCode: 0, signal: null });
  await container.delete({ force: true });
});

t.test('a start that fails closes them', options, async (t) => {
  const containers = new Containers(t);
  const before = openFiles();
  const bundle = containers.bundle(['absent']);
  t.equal(
    (await failure(containers.create('a', bundle, { stdio: 'pipe' }))).code,
    'ERR_TARE_COMMAND_NOT_FOUND',
  );
  await sleep(20);
  t.same(openFiles(), before);
});

/** Reads a stream until its text matches `pattern`, and returns the text. */
async function until(stream: Readable, pattern: RegExp): Promise<string> {
  let seen = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    seen += String(chunk);
    if (pattern.test(seen)) return seen;
  }
  throw new Error(`ended with ${JSON.stringify(seen)}`);
}

t.test('a terminal', options, async (t) => {
  const containers = new Containers(t);
  const before = openFiles();
  const script = 'trap "stty size" WINCH; stty size; tty; while :; do sleep 0.1; done';
  const bundle = containers.bundle(['sh', '-c', script], (config) => {
    config.process.terminal = true;
    config.process['consoleSize'] = { width: 91, height: 32 };
  });
  const container = await containers.create('a', bundle, { start: true });
  const terminal = container.terminal!;
  t.match(await until(terminal, /pts/), /^32 91\r\n\/dev\/pts\/0\r\n$/);
  terminal.resize({ columns: 120, rows: 40 });
  t.match(await until(terminal, /\d\r\n/), /^40 120\r\n$/, 'SIGWINCH comes with the new size');
  t.throws(() => terminal.resize({ columns: -1, rows: 1 }), {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    message: 'columns: must be a whole number up to 65535, not -1',
  });
  terminal.write('\x03');
  t.same(await container.wait(), { exitCode: 130, signal: null }, 'Ctrl-C');
  t.match(await text(terminal), /^\^C/, 'and it ends');
  terminal.resize({ columns: 1, rows: 1 });
  await container.delete();
  await sleep(20);
  t.same(openFiles(), before);
});

t.test('a terminal of exec', options, async (t) => {
  const containers = new Containers(t);
  const container = await containers.create('a', containers.bundle(['sleep', '1000']), {
    start: true,
  });
  const process = await container.exec({ args: ['cat'], terminal: true });
  const terminal: Writable & Readable = process.terminal!;
  terminal.write('typed\n');
  t.equal(await until(terminal, /typed\r\ntyped/), 'typed\r\ntyped\r\n', 'echoed, and answered');
  terminal.write('\x04');
  t.same(await process.wait(), { exitCode: 0, signal: null }, 'Ctrl-D');
  t.equal(await text(terminal), '');
  await container.delete({ force: true });
});
