/** Output of run() that the caller does not read: how a command ends, and what it takes of memory. */
import { failure, runInside, sh, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { Sandbox, exitOf } from '../support/tare.js';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

const skip = { skip: skipReason ?? false };
/** More than a pipe and a stream hold together. */
const size = 8_000_000;
const toBoth = sh(`head -c ${size} /dev/zero; head -c ${size} /dev/zero >&2`);

t.test('collected output needs no reader', skip, async (t) => {
  const inside = runInside(t, { encoding: 'buffer' });
  for (const all of [false, true]) {
    const { exitCode, stdout, stderr } = await inside(toBoth, { all, encoding: 'buffer' });
    t.equal(exitCode, 0);
    t.strictSame([stdout.length, stderr.length], [size, size], all ? 'all' : '');
  }
  const used = inside(toBoth, { encoding: 'buffer' });
  t.ok(used.stdout && used.stderr, 'streams that exist, and nothing reads');
  const { stdout, stderr } = await used;
  t.strictSame([stdout.length, stderr.length], [size, size]);
});

t.test('output that is not collected blocks the command', skip, async (t) => {
  const inside = runInside(t, { buffer: false });
  const short = inside(sh('head -c 4000 /dev/zero; head -c 4000 /dev/zero >&2'));
  t.equal((await short).exitCode, 0, 'what fits into a pipe');

  const blocked = inside(toBoth);
  blocked.catch(() => undefined);
  const container = await blocked.container;
  await sleep(300);
  t.equal((await container.state()).status, 'running');
  blocked.kill();
  t.match(await failure(blocked), { result: { signal: 'SIGKILL', timedOut: false } });
  for (const options of [{ all: true }, {}]) {
    const late = await inside(toBoth, { ...options, timeout: 300, reject: false });
    t.match(late, { timedOut: true, signal: 'SIGKILL', stdout: undefined, stderr: undefined });
  }

  const read = inside(toBoth);
  let length = 0;
  read.stdout.on('data', (chunk: Buffer) => (length += chunk.length));
  read.stderr.resume();
  t.equal((await read).exitCode, 0, 'a reader lets it end');
  t.equal(length, size);
});

t.test('memory is bounded by maxBuffer, and by the pipe', skip, async (t) => {
  const sandbox = new Sandbox(t);
  const megabyte = 1 << 20;
  const rows: [what: string, command: string[], options: object, used: string][] = [
    ['too long', ['yes'], { maxBuffer: megabyte }, ''],
    ['too long, in streams', ['yes'], { maxBuffer: megabyte }, 'command.stdout.read(0)'],
    ['blocked', ['yes'], { buffer: false, timeout: 500 }, ''],
    ['blocked streams', ['yes'], { buffer: false, timeout: 500 }, 'command.stdout.read(0)'],
    ['collected', ['head', '-c', `${64 * megabyte}`, '/dev/zero'], { encoding: 'buffer' }, ''],
  ];
  const growth: Record<string, number> = {};
  for (const [what, command, options, used] of rows) {
    const { child, output } = program(
      `const { readFileSync } = await import('node:fs');
      // The maximum so far, in kB.
      const peak = () => Number(/^VmHWM:\\s*(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      const options = { root: data.root, reject: false };
      await run(['true'], options);
      const before = peak();
      const command = run(data.command, { ...options, ...data.options });
      ${used};
      const { timedOut, outputTooLong } = await command;
      tell(JSON.stringify([timedOut || outputTooLong, peak() - before]));`,
      { root: sandbox.root, command, options },
    );
    t.equal(await exitOf(child), 0, what);
    const [isCut, kilobytes] = JSON.parse(await output.all()) as [boolean, number];
    t.equal(isCut, what !== 'collected', what);
    growth[what] = kilobytes / 1024;
  }
  t.comment(growth);
  for (const [what, megabytes] of Object.entries(growth)) {
    if (what === 'collected') t.ok(megabytes > 60, `${what}: ${megabytes} MB, so it is seen`);
    else t.ok(megabytes < 24, `${what}: ${megabytes} MB`);
  }
});
