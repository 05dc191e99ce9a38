/** run() always reports the end of its command, exactly once and with the right outcome. */
import { Containers, failure, openFiles, sh, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { exitOf, staticProgram } from '../support/tare.js';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { run, type Spec } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

/** Adds a poststop hook that takes `seconds`. */
const hook =
  (seconds: number) =>
  (spec: Spec): Spec => ({
    ...spec,
    hooks: { poststop: [{ path: '/bin/sleep', args: ['sleep', String(seconds)] }] },
  });

/**
 * Starts a listener outside the container that keeps what it receives, and returns options for a
 * command that sends its output there.
 */
async function listener(t: Test, containers: Containers) {
  const source = join(containers.sandbox.directory, 'outside');
  mkdirSync(source);
  copyFileSync(staticProgram('hand-over'), join(source, 'hand-over'));
  const held: Socket[] = [];
  // An unread socket keeps the descriptors that were sent over it open.
  const server = createServer({ pauseOnConnect: true }, (socket) => held.push(socket));
  await new Promise<void>((resolve) => server.listen(join(source, 'socket'), resolve));
  chmodSync(join(source, 'socket'), 0o777);
  t.teardown(() => {
    for (const socket of held) socket.destroy();
    server.close();
  });
  const mounts = [{ source, destination: '/outside', writable: true }];
  return { ...containers.options, mounts, timeout: 20_000 };
}

t.test('a process outside holds the other end of a pipe', options, async (t) => {
  const containers = new Containers(t);
  const of = await listener(t, containers);
  const command = sh('printf early; /outside/hand-over /outside/socket; printf late');
  const text = 'earlysent\nlate';
  const began = performance.now();
  t.match(await run(command, of), { exitCode: 0, stdout: text });
  const open = (): string[] => openFiles().filter((file) => !file.includes('socket'));
  // The first run() also starts a search for what other programs have left.
  for (let seen = -1; seen !== open().length; await sleep(100)) seen = open().length;
  const before = open();
  t.match(await run(command, of), { exitCode: 0, stdout: text });
  const long = await run(sh('/outside/hand-over /outside/socket; head -c 60000 /dev/zero'), of);
  t.equal(long.stdout.length, 60_005);

  const streamed = run(command, of);
  t.equal((await streamed.stdout.toArray()).join(''), text, 'a stream ends, too');
  t.match(await streamed, { exitCode: 0, stdout: text });
  const slow = run(command, of);
  let read = '';
  for await (const chunk of slow.stdout) {
    await sleep(300);
    read += String(chunk);
  }
  t.equal(read, text);
  const own = run(command, { ...of, buffer: false });
  own.stdout.resume();
  t.match(await own, { exitCode: 0, stdout: undefined });
  own.stdout.destroy();

  const shown = run(command, { ...of, tty: true });
  t.match(await shown, { exitCode: 0, stdout: 'earlysent\r\nlate' });
  t.ok(performance.now() - began < 10_000, 'none waits for its timeout');
  for (let i = 0; i < 100 && open().length > before.length; i++) await sleep(20);
  t.equal(open().length, before.length, 'no descriptor stays');
});

t.test('what comes after the end has not ended it', options, async (t) => {
  const containers = new Containers(t);
  const of = { ...containers.options, spec: hook(1) };
  const ended = { exitCode: 0, failed: false, timedOut: false, aborted: false };
  t.match(await run(['true'], { ...of, timeout: 600 }), ended);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 600);
  t.match(await run(['true'], { ...of, signal: controller.signal }), ended);
  const killed = run(['true'], of);
  setTimeout(() => killed.kill('SIGTERM'), 600);
  t.match(await killed, ended);
  const long = await failure(run(sh('echo 123456'), { ...of, maxBuffer: 3, timeout: 600 }));
  t.match(long, { code: 'ERR_TARE_OUTPUT_TOO_LONG', result: { stdout: '123' } });
});

t.test('removing the container ends the command', options, async (t) => {
  const containers = new Containers(t);
  for (const [how, remove] of [
    ['delete', (id: string) => containers.sandbox.must(['delete', '--force', id])],
    ['kill', (id: string) => containers.sandbox.must(['kill', id, 'KILL'])],
  ] as const) {
    const running = run(['sleep', '1000'], { ...containers.options, reject: false });
    await running.container;
    remove(running.id);
    t.match(await running, { signal: 'SIGKILL', timedOut: false }, `${how} of the command line`);
  }
  const running = run(['sh', '-c', 'while :; do :; done'], {
    ...containers.options,
    reject: false,
  });
  const container = await running.container;
  await sleep(300);
  const totals = await container.end();
  const { signal, usage } = await running;
  t.equal(signal, 'SIGKILL');
  t.ok(totals.cpuMs.user + totals.cpuMs.system > 50);
  t.same(usage, totals);
});

t.test('kill() after the end does nothing', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    const running = run(['true'], data.options);
    await running;
    running.kill('SIGTERM');
    tell('ended');
  `;
  const { child, output } = program(body, { options: containers.options });
  const ended = exitOf(child);
  await output.until('ended\n');
  const began = performance.now();
  t.equal(await ended, 0);
  t.ok(performance.now() - began < 2500, 'it keeps no program running');
});

t.test('a timeout counts from the call, and an abort may come before all', options, async (t) => {
  const containers = new Containers(t);
  const create = (spec: Spec): Spec => ({
    ...spec,
    hooks: { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '0.5'] }] },
  });
  const of = { ...containers.options, spec: create, reject: false };
  const late = await run(['sleep', '1000'], { ...of, timeout: 200 });
  t.match(late, { timedOut: true, signal: 'SIGKILL' });
  t.ok(late.durationMs < 2000, `${late.durationMs} ms`);
  const controller = new AbortController();
  const aborted = run(['sleep', '1000'], { ...of, signal: controller.signal });
  setTimeout(() => controller.abort(), 200);
  t.match(await aborted, { aborted: true, signal: 'SIGKILL' });
  const soon = new AbortController();
  const early = run(['sleep', '1000'], { ...of, signal: soon.signal });
  soon.abort(new Error('enough'));
  t.match(await early, { aborted: true });
  const before = failure(run(['sleep', '1000'], { ...of, signal: soon.signal }));
  t.match(await before, {
    code: 'ERR_TARE_ABORTED',
    result: undefined,
    cause: { message: 'enough' },
  });
  // A command that could not be created does not keep its program running.
  const body = `await run(['absent'], { ...data.options, timeout: 60_000 }).catch((e) => tell(e.code));`;
  const { child, output } = program(body, { options: containers.options });
  const ended = exitOf(child);
  await output.until('ERR_TARE_COMMAND_NOT_FOUND\n');
  const began = performance.now();
  t.equal(await ended, 0);
  t.ok(performance.now() - began < 5000);
});

t.test('more output than there is memory for', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    await run(['true'], data.options);
    tell('ready');
    await new Promise((resolve) => process.stdin.once('data', resolve));
    const { outputTooLong, signal } = await run(['head', '-c', '4G', '/dev/zero'], {
      ...data.options, maxBuffer: Infinity, encoding: 'buffer', reject: false,
    });
    tell(JSON.stringify({ outputTooLong, signal }));
    process.exit();
  `;
  const { child, output } = program(body, { options: containers.options });
  const ended = exitOf(child);
  await output.until('ready\n');
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const size = Number(/^VmSize:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  execFileSync('prlimit', ['--pid', String(child.pid), `--as=${size + 600 * 2 ** 20}`]);
  child.stdin!.write('go\n');
  t.equal(await ended, 0);
  await output.until('{"outputTooLong":true,"signal":"SIGKILL"}\n');
});
