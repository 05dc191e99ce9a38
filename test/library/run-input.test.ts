/**
 * The input of run(): its accepted forms, its failures, and that its source leaves nothing open.
 */
import { Containers, failure, openFiles, runInside, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { exitOf } from '../support/tare.js';
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { run, type Input } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

t.test('its forms', options, async (t) => {
  const containers = new Containers(t);
  const bytes = Buffer.from('bytes ');
  async function* generator(): AsyncGenerator<string | Uint8Array> {
    yield 'text ';
    await sleep(1);
    yield bytes;
  }
  const web = new ReadableStream<string>({
    start(controller) {
      controller.enqueue('web');
      controller.close();
    },
  });
  const forms: [Input, string][] = [
    ['text', 'text'],
    ['', ''],
    [new Uint8Array(bytes), 'bytes '],
    [generator(), 'text bytes '],
    [['an ', 'array'], 'an array'],
    [new Set(['a', 'set']), 'aset'],
    [web as Input, 'web'],
    [Readable.from(['a ', 'stream']), 'a stream'],
  ];
  for (const [input, expected] of forms) {
    const { stdout } = await run(['cat'], { ...containers.options, input });
    t.equal(stdout, expected);
  }
  const file = join(containers.sandbox.directory, 'file');
  writeFileSync(file, 'of a file');
  const { stdout } = await run(['cat'], { ...containers.options, stdin: { file } });
  t.equal(stdout, 'of a file');
  const shown = await run(['cat'], { ...containers.options, tty: true, input: ['typed\n'] });
  t.equal(shown.stdout, 'typed\r\ntyped\r\n', 'a terminal has an end, too');
});

t.test('its failure ends the command and rejects', options, async (t) => {
  const containers = new Containers(t);
  const cause = new Error('no more');
  const late = (): Readable =>
    new Readable({
      read() {
        this.push('some');
        setTimeout(() => this.destroy(cause), 300);
      },
    });
  async function* generator(): AsyncGenerator<string> {
    yield 'some';
    throw cause;
  }
  const web = new ReadableStream({ pull: (controller) => controller.error(cause) });
  for (const input of [late(), generator(), web as Input]) {
    const error = await failure(
      run(['sh', '-c', 'cat; sleep 1000'], { ...containers.options, input, reject: false }),
    );
    t.match(error, {
      code: 'ERR_TARE_STREAM_FAILED',
      message: /input failed: no more$/,
      result: { signal: 'SIGKILL' },
    });
    t.equal(error.cause, cause);
  }
  const absent = createReadStream('/nowhere');
  const error = await failure(run(['cat'], { ...containers.options, input: absent }));
  t.match(error, { code: 'ERR_TARE_STREAM_FAILED', cause: { code: 'ENOENT' } });
  const wrong = await failure(run(['cat'], { ...containers.options, input: [5] as never }));
  t.match(wrong, {
    code: 'ERR_TARE_STREAM_FAILED',
    cause: { message: 'input: must be a sequence of strings and Uint8Arrays, not 5' },
  });
  // A failure of the input after the command's end is not reported.
  const fails = new PassThrough();
  t.match(await run(['true'], { ...containers.options, input: fails }), { exitCode: 0 });
  fails.destroy(cause);
  await sleep(10);
});

t.test('the source is closed when the command ends', options, async (t) => {
  const containers = new Containers(t);
  const count = 20;
  await run(['true'], { ...containers.options, input: createReadStream('/dev/zero') });
  await sleep(100);
  const before = openFiles().length;
  await Promise.all(
    Array.from({ length: count }, async () => {
      const input = createReadStream('/dev/zero');
      t.match(await run(['true'], { ...containers.options, input }), { exitCode: 0 });
      t.ok(input.destroyed);
    }),
  );
  for (let i = 0; i < 100 && openFiles().length > before; i++) await sleep(20);
  t.ok(openFiles().length <= before, 'no descriptor stays');

  let closed = 0;
  function* endless(): Generator<string> {
    try {
      for (;;) yield 'y\n'.repeat(1000);
    } finally {
      closed++;
    }
  }
  async function* endlessAsync(): AsyncGenerator<string> {
    yield* endless();
  }
  const head = await run(['head', '-c', '4'], { ...containers.options, input: endless() });
  t.equal(head.stdout, 'y\ny\n');
  await run(['head', '-c', '4'], { ...containers.options, input: endlessAsync() });
  let isCancelled = false;
  const web = new ReadableStream({
    pull: (controller) => controller.enqueue('y'),
    cancel: () => void (isCancelled = true),
  });
  await run(['true'], { ...containers.options, input: web as Input });
  for (let i = 0; i < 100 && (closed < 2 || !isCancelled); i++) await sleep(10);
  t.equal(closed, 2);
  t.ok(isCancelled);

  const refused = createReadStream('/dev/zero');
  await t.rejects(run(['absent'], { ...containers.options, input: refused }));
  t.ok(refused.destroyed, 'also where nothing runs');
  const unused = createReadStream('/dev/zero');
  await t.rejects(run(['cat'], { ...containers.options, input: unused, cpus: -1 }), /^cpus: /);
  t.ok(unused.destroyed, 'and where an option is refused');
});

t.test('it is read no faster than the command does', options, async (t) => {
  const containers = new Containers(t);
  let given = 0;
  function* chunks(): Generator<Uint8Array> {
    for (let i = 0; i < 64; i++) {
      given++;
      yield Buffer.alloc(2 ** 16);
    }
  }
  const running = run(['sh', '-c', 'sleep 0.5; wc -c'], {
    ...containers.options,
    input: chunks(),
  });
  await running.container;
  await sleep(200);
  t.ok(given < 10, `${given} chunks`);
  t.equal((await running).stdout.trim(), String(2 ** 22));
});

t.test('a program that fails to read does not end this one', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    const running = run(['true'], { ...data.options, stdin: 'pipe' });
    const timer = setInterval(() => running.stdin.write('x'.repeat(100_000)), 1);
    await running;
    setTimeout(() => { clearInterval(timer); tell('alive'); }, 100);
  `;
  const { child, output } = program(body, { options: containers.options });
  const ended = exitOf(child);
  await output.until('alive\n');
  t.equal(await ended, 0);
});

t.test('a command that stops reading does not stop the event loop', options, async (t) => {
  const containers = new Containers(t);
  function* endless(): Generator<string> {
    for (;;) yield 'x'.repeat(4000);
  }
  const given = { ...containers.options, timeout: 20_000 };
  const closes = ['sh', '-c', 'head -c 300000 >/dev/null; exec <&-; sleep 0.1'];
  t.match(await run(closes, { ...given, input: endless() }), { exitCode: 0, timedOut: false });
  t.match(await failure(run(['absent'], { ...given, input: endless() })), {
    code: 'ERR_TARE_COMMAND_NOT_FOUND',
  });
  const running = run(['sleep', '0.3'], { ...given, input: endless() });
  running.stdin.destroy();
  t.match(await running, { exitCode: 0, timedOut: false });
});

t.test('a web stream is cancelled while a read is pending', options, async (t) => {
  const containers = new Containers(t);
  const pending = (): { input: Input; cancelled: Promise<unknown> } => {
    let cancel: (reason: unknown) => void;
    const cancelled = new Promise<unknown>((resolve) => (cancel = resolve));
    const web = new ReadableStream({
      pull: () => new Promise<void>(() => undefined),
      cancel: (reason) => cancel(reason),
    });
    return { input: web as Input, cancelled };
  };
  const ended = pending();
  await run(['true'], { ...containers.options, input: ended.input });
  await ended.cancelled;
  const refused = pending();
  await failure(run(['true'], { ...containers.options, input: refused.input, bogus: 1 } as never));
  await refused.cancelled;
  t.pass('at the end of the command, and with refused options');
  const locked = new ReadableStream();
  locked.getReader();
  t.match(await failure(run(['absent'], { ...containers.options, input: locked as Input })), {
    code: /^ERR_TARE_(COMMAND_NOT_FOUND|STREAM_FAILED)$/,
  });
});

t.test('a stream at another descriptor that the command does not read', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    const stdio = ['ignore', 'pipe', 'pipe', 'pipe'];
    const command = run(['sleep', '0.2'], { ...data.options, stdio });
    const [, , , other] = command.stdio;
    const closed = new Promise((resolve) => other.once('close', resolve));
    other.write(Buffer.alloc(2 ** 24));
    await closed;
    await command;
    tell('went on');
  `;
  const { child, output } = program(body, { options: containers.options });
  const ended = exitOf(child);
  t.equal(await output.all(), 'went on\n');
  t.equal(await ended, 0);
});

t.test('input', options, async (t) => {
  const inside = runInside(t);
  t.equal((await inside(['cat'], { input: 'text' })).stdout, 'text');
  t.equal((await inside(['cat'], { input: Buffer.from('bytes') })).stdout, 'bytes');
  const stream = Readable.from(['a', 'stream']);
  t.equal((await inside(['cat'], { input: stream })).stdout, 'astream');
  const large = Buffer.alloc(2 ** 20);
  t.equal((await inside(['true'], { input: large })).exitCode, 0, 'the program does not read it');
  const running = inside(['cat'], { stdin: 'pipe' });
  running.stdin.end('at once');
  t.equal((await running).stdout, 'at once');
});
