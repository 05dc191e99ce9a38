/**
 * The destinations of run()'s output: lines, stdout and stderr together, files, streams, several at
 * once.
 */
import {
  Containers,
  failure,
  openFiles,
  runInside,
  sh,
  skipReason,
} from '../support/containers.js';
import { Sandbox } from '../support/tare.js';
import { constants } from 'node:buffer';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { run } from '../../lib/index.js';
import { linesOf } from '../../lib/run/lines.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

t.test('lines', options, async (t) => {
  const of = new Containers(t).options;
  const { stdout, stderr } = await run(sh('printf "a\\n\\nb\\r\\nc"; echo d >&2'), {
    ...of,
    lines: true,
  });
  t.same(stdout, ['a', '', 'b', 'c']);
  t.same(stderr, ['d']);
  t.same((await run(['true'], { ...of, lines: true })).stdout, []);

  const seen: string[] = [];
  const slow = run(sh('printf "é one\\ntw"; sleep 0.1; printf "o\\nthree"; echo no >&2'), of);
  for await (const line of slow) seen.push(line);
  t.same(seen, ['é one', 'two', 'three']);
  t.equal((await slow).stdout, 'é one\ntwo\nthree', 'they are collected on the way');

  const errors: string[] = [];
  for await (const line of run(sh('echo out; echo err >&2'), of).iterable({ from: 'stderr' })) {
    errors.push(line);
  }
  t.same(errors, ['err']);

  const failing = run(sh('echo one; exit 4'), of);
  const before: string[] = [];
  await t.rejects(
    async () => {
      for await (const line of failing) before.push(line);
    },
    { code: 'ERR_TARE_COMMAND_FAILED', result: { exitCode: 4 } },
  );
  t.same(before, ['one']);

  const server = run(sh('echo ready; seq 100000; echo last'), of);
  for await (const line of server) if (line === 'ready') break;
  t.match((await server).stdout, /\nlast\n$/, 'leaving the loop leaves the command running');
  const uncollected = run(sh('echo ready; seq 100000; exit 3'), {
    ...of,
    buffer: false,
    reject: false,
  });
  for await (const line of uncollected) if (line === 'ready') break;
  t.match(await uncollected, { exitCode: 3, stdout: undefined });

  const shown: string[] = [];
  for await (const line of run(sh('echo a; tty'), { ...of, tty: true })) shown.push(line);
  t.same(shown, ['a', '/dev/pts/0']);
  const ignored = run(['true'], { ...of, stdout: 'ignore' });
  await t.rejects(async () => {
    for await (const line of ignored) t.fail(line);
  }, /^stdout: has no lines/);
  await ignored;
});

t.test('the final newline', options, async (t) => {
  const of = new Containers(t).options;
  const strip = { ...of, stripFinalNewline: true };
  t.equal((await run(sh('printf "a\\n\\n"'), strip)).stdout, 'a\n');
  t.equal((await run(sh('printf "a\\r\\n"'), strip)).stdout, 'a');
  t.equal((await run(sh('printf a'), strip)).stdout, 'a');
  t.same((await run(['echo', 'a'], { ...strip, encoding: 'buffer' })).stdout, Buffer.from('a'));
  const wide = { ...strip, encoding: 'utf16le' } as const;
  t.equal((await run(sh('printf "a\\0\\n\\0"'), wide)).stdout, 'a');
  t.equal((await run(['echo', 'a'], of)).stdout, 'a\n', 'by default it is there');
});

t.test('both outputs together', options, async (t) => {
  const of = new Containers(t).options;
  const script = 'echo 1; sleep 0.1; echo 2 >&2; sleep 0.1; echo 3';
  const running = run(sh(script), { ...of, all: true });
  const streamed = text(running.all);
  t.match(await running, { all: '1\n2\n3\n', stdout: '1\n3\n', stderr: '2\n' });
  t.equal(await streamed, '1\n2\n3\n');
  const lines: string[] = [];
  for await (const line of run(sh(script), { ...of, all: true }).iterable({ from: 'all' })) {
    lines.push(line);
  }
  t.same(lines, ['1', '2', '3']);
  const failed = await failure(run(sh('echo 1; echo 2 >&2; exit 1'), { ...of, all: true }));
  t.match(failed.result, { all: /^(1\n2|2\n1)\n$/ });
  t.match(await run(sh(script), { ...of, all: true, stderr: 'ignore' }), { all: '1\n3\n' });
  const own = run(sh(script), { ...of, all: true, buffer: false });
  t.equal(await text(own.all), '1\n2\n3\n');
  t.match(await own, { all: undefined });
  t.match(await run(sh(script), { ...of, all: true, lines: true }), { all: ['1', '2', '3'] });
  const long = await failure(run(['yes'], { ...of, all: true, maxBuffer: 1000 }));
  t.match(long, { code: 'ERR_TARE_OUTPUT_TOO_LONG' });
});

t.test('files', options, async (t) => {
  const containers = new Containers(t);
  const of = containers.options;
  const path = (name: string): string => join(containers.sandbox.directory, name);
  const read = (name: string): string => readFileSync(path(name), 'utf8');
  writeFileSync(path('a'), 'before');
  await run(['true'], of);
  await sleep(100);
  const before = openFiles().length;
  const result = await run(sh('echo out; echo err >&2'), { ...of, stdout: { file: path('a') } });
  t.match(result, { stdout: undefined, stderr: 'err\n' });
  t.equal(read('a'), 'out\n');
  await run(['echo', 'more'], { ...of, stdout: { file: pathToFileURL(path('a')), append: true } });
  t.equal(read('a'), 'out\nmore\n');
  const both = { file: path('both') };
  await run(sh('echo 1; echo 2 >&2; echo 3'), { ...of, stdout: both, stderr: both });
  t.equal(read('both'), '1\n2\n3\n', 'one file for both is one');
  const several = await run(['echo', 'x'], {
    ...of,
    stdout: ['pipe', { file: path('x') }, { file: path('y') }],
  });
  t.equal(several.stdout, 'x\n');
  t.same([read('x'), read('y')], ['x\n', 'x\n']);
  const copy = await run(['cat'], {
    ...of,
    stdin: { file: path('a') },
    stdout: [{ file: path('z') }],
  });
  t.equal(copy.stdout, undefined);
  t.equal(read('z'), 'out\nmore\n');
  for (let i = 0; i < 100 && openFiles().length > before; i++) await sleep(20);
  t.ok(openFiles().length <= before, 'none stays open');

  const absent = { file: path('no/such') };
  t.match(await failure(run(['true'], { ...of, stdout: absent })), {
    ...{ code: 'ERR_TARE_SYSTEM', syscall: 'open', path: absent.file },
    message: /^stdout\.file: ENOENT/,
  });
  t.match(await failure(run(['true'], { ...of, stdio: [absent] })), {
    message: /^stdio\[0\]\.file/,
  });
  const known = { file: path('a') };
  const refused = await failure(run(['sleep', '60'], { ...of, stdout: [known, absent] }));
  t.match(refused, { code: 'ERR_TARE_SYSTEM', message: /^stdout\[1\]\.file: ENOENT/ });
  t.equal(read('a'), 'out\nmore\n', 'a call that is refused empties none');
  const twice = { ...of, stdout: known, stderr: ['pipe', { ...known, append: true }] } as const;
  t.match(await failure(run(['true'], twice)), {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    message:
      'stderr[1].append: differs from that of stdout, which is the same file; use the same value for both',
  });
  t.equal(read('a'), 'out\nmore\n');
  await run(sh('echo 1; sleep 0.1; echo 2 >&2; sleep 0.1; echo 3'), {
    ...of,
    stdout: [known, { file: path('x') }],
    stderr: ['pipe', known],
  });
  t.equal(read('a'), '1\n2\n3\n', 'one file of two outputs is one');
  await run(sh('echo 1; sleep 0.1; echo 2 >&2'), { ...of, stdout: known, stderr: ['pipe', known] });
  t.equal(read('a'), '1\n2\n', 'also where the command itself has it');
});

t.test('streams, and several targets', options, async (t) => {
  const containers = new Containers(t);
  const of = containers.options;
  const pass = new PassThrough();
  const seen = text(pass);
  t.match(await run(sh('echo out; echo err >&2'), { ...of, stdout: pass }), { stdout: undefined });
  t.equal(await seen, 'out\n', 'it is ended behind the output');
  const both = new PassThrough();
  const all = text(both);
  const collected = await run(sh('echo 1; sleep 0.1; echo 2 >&2'), {
    ...of,
    stdout: ['pipe', both],
    stderr: both,
  });
  t.match(collected, { stdout: '1\n', stderr: undefined });
  t.equal(await all, '1\n2\n');

  let written = '';
  const web = new WritableStream<Uint8Array>({
    write: (chunk) => void (written += Buffer.from(chunk).toString()),
  });
  await run(['echo', 'web'], { ...of, stdout: web });
  t.equal(written, 'web\n');
  const fd = openSync(join(containers.sandbox.directory, 'file'), 'w+');
  await run(['echo', 'shared'], { ...of, stdout: ['pipe', fd, { fd }] });
  closeSync(fd);
  t.match(readFileSync(join(containers.sandbox.directory, 'file'), 'utf8'), 'shared\n');

  let length = 0;
  const slow = new Writable({
    write(chunk: Buffer, _encoding, done) {
      length += chunk.length;
      setTimeout(done, 5);
    },
  });
  await run(['head', '-c', '1000000', '/dev/zero'], { ...of, stdout: slow });
  t.equal(length, 1_000_000, 'a slow one is waited for');

  const cause = new Error('disk full');
  const full = new Writable({ write: (_chunk, _encoding, done) => done(cause) });
  const error = await failure(run(['yes'], { ...of, stdout: ['pipe', full] }));
  t.match(error, { code: 'ERR_TARE_STREAM_FAILED', message: /stdout\[1\] failed: disk full/ });
  t.equal(error.cause, cause);
  const verbose = new Writable({
    write: (_chunk, _encoding, done) => done(new Error('x'.repeat(1e6))),
  });
  const long = await failure(run(['echo'], { ...of, stdout: verbose }));
  t.ok(long.message.length < 3000, 'the message is bounded');

  const stuck = new Writable({ write: () => undefined });
  const began = performance.now();
  const timedOut = await run(['yes'], { ...of, stdout: stuck, timeout: 300, reject: false });
  t.match(timedOut, { timedOut: true });
  t.ok(performance.now() - began < 5000, 'one that stands still does not hold up a timeout');
});

t.test("a target that does not read delays no call's end", options, async (t) => {
  const of = new Containers(t).options;
  const stalled = new Writable({ write: () => undefined, highWaterMark: 1 });
  const result = await run(sh('echo a; echo b'), {
    ...{ ...of, stdout: stalled, timeout: 1000, reject: false },
  });
  t.match(result, { timedOut: true, failed: true, exitCode: 0 });
});

t.test('kill() does not hide that an output was cut off', options, async (t) => {
  const of = new Containers(t).options;
  const script = 'trap "printf %100s; exit 0" TERM; echo ready; while :; do sleep 0.05; done';
  const running = run(sh(script), { ...of, maxBuffer: 10, reject: false });
  running.stdout.once('data', () => running.kill('SIGTERM'));
  t.match(await running, { failed: true, outputTooLong: true });
});

t.test('await using', options, async (t) => {
  const of = new Containers(t).options;
  const running = run(['sleep', '1000'], of);
  await running.container;
  await running[Symbol.asyncDispose]();
  t.match((await failure(running)).result, { signal: 'SIGKILL' });
  await run(['true'], of)[Symbol.asyncDispose]();
});

t.test('a line in many chunks', options, async (t) => {
  const containers = new Containers(t);
  const script = "head -c 30000000 /dev/zero | tr '\\0' a; echo; printf 'b\\nc'";
  const lengths: number[] = [];
  const began = performance.now();
  for await (const line of run(['sh', '-c', script], containers.options)) lengths.push(line.length);
  t.same(lengths, [30_000_000, 1, 1]);
  const seconds = (performance.now() - began) / 1000;
  t.ok(seconds < 10, `${seconds} s: no part is copied again for each chunk`);
});

t.test('more bytes than a string can have', options, async (t) => {
  const of = { ...new Containers(t).options, maxBuffer: Infinity, encoding: 'hex' } as const;
  const bytes = Math.ceil((constants.MAX_STRING_LENGTH + 1) / 2);
  for (const [name, script, given] of [
    ['stdout', `head -c ${bytes} /dev/zero`, {}],
    ['stderr', `head -c ${bytes} /dev/zero >&2`, { reject: false }],
    ['stdio[1]', `head -c ${bytes} /dev/zero`, { stdio: 'pipe' }],
  ] as const) {
    t.match(await failure(run(sh(script), { ...of, ...given })), {
      code: 'ERR_TARE_OUTPUT_TOO_LONG',
      message:
        `${name}: ${bytes} bytes are too many for a string; collect them as bytes ` +
        `(encoding: 'buffer'), write them to a file (${name}: { file }), or lower maxBuffer`,
    });
  }
});

t.test('more lines than an array can have', (t) => {
  t.equal(linesOf('\n'.repeat(2 ** 24)).length, 2 ** 24);
  t.throws(() => linesOf('\n'.repeat(2 ** 24 + 1)), { code: 'ERR_TARE_OUTPUT_TOO_LONG' });
  t.end();
});

t.test(
  'a reader that stands still does not hold up an end that is asked for',
  options,
  async (t) => {
    const containers = new Containers(t);
    const stalled = (): Writable => new Writable({ write: () => undefined });
    const paused = run(['yes'], containers.options);
    paused.stdout.pause();
    await paused.container;
    await paused[Symbol.asyncDispose]();

    const killed = run(['yes'], { ...containers.options, stdout: stalled(), reject: false });
    await killed.container;
    killed.kill();
    t.match(await killed, { signal: 'SIGKILL' });

    const given = {
      ...containers.options,
      maxBuffer: 1000,
      stderr: stalled(),
      reject: false,
    } as const;
    const script = 'yes >&2 & exec yes';
    t.match(await run(['sh', '-c', script], given), { outputTooLong: true });
  },
);

t.test('a stream that is not read keeps no descriptor', options, async (t) => {
  const containers = new Containers(t);
  await run(['echo', 'x'], { ...containers.options, buffer: false });
  const before = openFiles().length;
  for (let i = 0; i < 10; i++) {
    await run(['echo', 'x'], { ...containers.options, buffer: false });
  }
  for (let i = 0; i < 100 && openFiles().length > before; i++) await sleep(20);
  t.ok(openFiles().length <= before, `${openFiles().length} of ${before}`);
});

t.test('output as bytes, elsewhere, and too much of it', options, async (t) => {
  const inside = runInside(t);
  const sandbox = new Sandbox(t);
  const bytes = await run(sh('printf "\\377"'), { root: sandbox.root, encoding: 'buffer' });
  t.same(bytes.stdout, Buffer.from([255]));
  t.equal((await inside(sh('printf "\\377"'), { encoding: 'hex' })).stdout, 'ff');
  t.match(await inside(sh('echo gone'), { stdout: 'ignore' }), { stdout: undefined });
  const running = inside(sh('echo read'), { buffer: false });
  t.equal((await running.stdout.toArray()).join(''), 'read\n');
  t.equal((await running).stdout, undefined);
  const long = await failure(inside(['yes'], { maxBuffer: 1000 }));
  t.match(long, {
    code: 'ERR_TARE_OUTPUT_TOO_LONG',
    message: /^yes: wrote more than 1000 bytes; raise maxBuffer/,
    result: { outputTooLong: true, signal: 'SIGKILL' },
  });
  t.equal(long.result!.stdout, 'y\n'.repeat(500));
});

t.test('output that becomes a stream on the way', options, async (t) => {
  const inside = runInside(t);
  const long = await inside(sh('head -c 3000000 /dev/zero | tr "\\0" x; echo end >&2'));
  t.equal(long.stdout, 'x'.repeat(3_000_000));
  t.equal(long.stderr, 'end\n');
  const exact = await inside(sh('printf 12345'), { maxBuffer: 5 });
  t.match(exact, { stdout: '12345', outputTooLong: false });
  const { signal } = await failure(
    inside(sh('sleep 0.1; printf 123456; sleep 9'), { maxBuffer: 5 }),
  ).then(({ result }) => result!);
  t.equal(signal, 'SIGKILL', 'also where the program has more to say later');
  for (const wait of [0, 150, 400]) {
    const running = inside(sh('echo one; sleep 0.25; echo two; sleep 0.25; echo three'));
    await running.container;
    await sleep(wait);
    t.equal((await running.stdout.toArray()).join(''), 'one\ntwo\nthree\n', `after ${wait} ms`);
    t.equal((await running).stdout, 'one\ntwo\nthree\n');
  }
  const ended = inside(sh('echo one'));
  await ended;
  t.same(await ended.stdout.toArray(), [], 'there is nothing more, and an end of it');
  const broken = inside(sh('while echo; do sleep 0.02; done; echo gone >&2; exit 9'));
  broken.stdout.destroy();
  t.match(await failure(broken), { result: { signal: 'SIGPIPE' } }, 'nothing reads it');
});

t.test('a slow reader slows the command down', options, async (t) => {
  const inside = runInside(t);
  const megabytes = 8;
  const running = inside(['dd', 'if=/dev/zero', 'bs=1048576', `count=${megabytes}`], {
    buffer: false,
    stderr: 'ignore',
  });
  const stdout = running.stdout;
  const container = await running.container;
  await sleep(200);
  t.ok(stdout.readableLength <= 4 * stdout.readableHighWaterMark, `${stdout.readableLength} bytes`);
  t.equal((await container.state()).status, 'running');
  let length = 0;
  for await (const chunk of stdout) length += (chunk as Buffer).length;
  t.equal(length, megabytes * 2 ** 20);
  t.match(await running, { exitCode: 0, stdout: undefined, stderr: undefined });
});
