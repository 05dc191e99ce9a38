/**
 * The limits of run() where all cgroup v2 controllers exist: as root, and as a user with and
 * without a delegated cgroup.
 */
import { ProjectOfUser } from '../support/user-programs.js';
import { Sandbox } from '../support/tare.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run, TareError, type RunOptions } from '../../lib/index.js';

const sandbox = new Sandbox(t);
const project = new ProjectOfUser(sandbox);

const inside = (command: string[], options: RunOptions): ReturnType<typeof run> =>
  run(command, { root: sandbox.root, timeout: 60_000, ...options });

const hungry = 'const all = []; for (;;) all.push(Buffer.alloc(2 ** 20, 1));';
/**
 * Each shell starts two more and leaves a `sleep`. The first shell waits for input instead of
 * ending.
 */
const bomb = 'bomb() { sleep 100 & bomb | bomb & }; (bomb) & read line';

sandbox.test('too much memory', async (t) => {
  const failed = await inside(['node', '-e', hungry], { memory: '64MiB' }).then(
    () => undefined,
    (error: unknown) => error,
  );
  t.type(failed, TareError);
  const { code, message, result } = failed as TareError;
  t.equal(code, 'ERR_TARE_OUT_OF_MEMORY');
  t.match(message, /: was killed by the OOM killer \(limit 64MiB\)$/);
  t.match(result, { oomKilled: true, timedOut: false, signal: 'SIGKILL', failed: true });
  t.ok(result!.usage.oomKills! >= 1);
  const peak = result!.usage.peakMemory!;
  t.ok(peak > 60 << 20 && peak <= 64 << 20, `${peak} bytes`);
});

sandbox.test('enough memory', async (t) => {
  const { oomKilled, usage } = await inside(['sh', '-c', 'true'], { memory: '64MiB' });
  t.equal(oomKilled, false);
  t.equal(usage.oomKills, 0);
  t.ok(usage.peakMemory! > 0 && usage.peakMemory! < 32 << 20);
});

sandbox.test('a fork bomb goes no further than its limit', async (t) => {
  const running = inside(['sh', '-c', bomb], {
    pids: 32,
    reject: false,
    timeout: 20_000,
    stdin: 'pipe',
  });
  const container = await running.container;
  let most = 0;
  // On a busy machine the container's shell alone takes seconds to start.
  for (let left = 20; left > 0;) {
    most = Math.max(most, (await container.ps()).length);
    if (most > 2) left--;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  t.ok(most > 2 && most <= 33, `${most} processes, with the reaper`);
  running.kill();
  const { stderr } = await running;
  t.match(stderr, /[Cc]annot fork|Resource temporarily unavailable/);
});

sandbox.test('a limit of processes is that of the program and what it starts', async (t) => {
  for (const init of [true, false]) {
    const alone = await inside(['sh', '-c', 'true; (true) || echo none'], {
      pids: 1,
      init,
      reject: false,
    });
    t.match(alone.stderr, /[Cc]annot fork|Resource temporarily unavailable/, `init: ${init}`);
    const two = await inside(['sh', '-c', '(true); echo done'], { pids: 2, init });
    t.equal(two.stdout, 'done\n');
  }
  const running = inside(['sh', '-c', 'echo ready; read line'], { pids: 5, stdin: 'pipe' });
  const container = await running.container;
  t.strictSame((await container.stats()).pids, { current: 1, limit: 5 });
  await container.update({ pids: { limit: 7 } });
  t.strictSame((await container.stats()).pids, { current: 1, limit: 7 });
  await container.update({ memory: { limit: 64 << 20 } });
  t.strictSame((await container.stats()).pids, { current: 1, limit: 7 });
  running.stdin!.end('\n');
  await running;
});

sandbox.test('a share of a processor', async (t) => {
  const { usage, durationMs } = await inside(['sh', '-c', 'while :; do :; done'], {
    cpus: 0.2,
    timeout: 2000,
    reject: false,
  });
  const share = (usage.cpuMs.user + usage.cpuMs.system) / durationMs;
  // The CPU time includes init's work before the program starts.
  t.ok(share < 0.35, `${share.toFixed(2)} of one`);
});

const told = `
  import { run } from 'tare';
  const tell = ({ code, path, result = {} }) =>
    console.log(JSON.stringify({ code, path, oomKilled: result.oomKilled, peak: result.usage?.peakMemory }));
  await run(['node', '-e', ${JSON.stringify(hungry)}], { memory: '64MiB', timeout: 60_000 }).then(tell, tell);
`;

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
const example = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1] ?? '';
/** Node may start slowly in an emulated guest. */
const patient = example.replace('timeout: 5_000', 'timeout: 60_000');
const printed =
  /^100000 false false\n[\d.]+ ms \{\s+cpuMs: \{.*\},\s+peakMemory: \d+,\s+maxRss: \d+,\s+oomKills: 0\s+\}\n$/s;

sandbox.test('what the README has, as root', async (t) => {
  t.match(example, /memory: '128MiB', timeout: 5_000/);
  t.ok(example.trim().split('\n').length <= 10, 'ten lines');
  const { stdout, stderr } = project.runAsRoot(patient);
  t.equal(stderr, '');
  t.match(stdout, printed);
});

sandbox.test('a user with a delegated cgroup, and without', async (t) => {
  project.user.delegated(() => {
    const limited = project.run(told);
    t.equal(limited.stderr, '');
    const { peak, ...rest } = JSON.parse(limited.stdout) as { peak: number };
    t.strictSame(rest, { code: 'ERR_TARE_OUT_OF_MEMORY', oomKilled: true });
    t.ok(peak > 60 << 20 && peak <= 64 << 20, `${peak} bytes`);
    const { stdout, stderr } = project.run(patient);
    t.equal(stderr, '');
    t.match(stdout, printed, 'what the README has');
  });

  const without = project.run(told);
  t.strictSame(JSON.parse(without.stdout), {
    code: 'ERR_TARE_UNSUPPORTED',
    path: 'memory',
  });
  t.strictSame(project.user.containers(), []);
});
