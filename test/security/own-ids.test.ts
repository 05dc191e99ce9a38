/**
 * Each container of root's has ids of its own, and so its own counters of what the kernel counts by
 * id.
 */
import { Sandbox, exitOf, staticProgram } from '../support/tare.js';
import { failure, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { chmodSync, readFileSync, readdirSync, readlinkSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Container, run, sandboxSpec, type RunOptions } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };
const ranges = '/run/tare-ids';
const size = 65536;
const lowest = 2_000_224_256;
const highest = 2_147_287_040;

function sandboxWithRanges(t: Test): Sandbox {
  const sandbox = new Sandbox();
  t.teardown(() => {
    const leftovers = [...sandbox.leftovers(), ...taken(sandbox)];
    sandbox.remove();
    if (leftovers.length > 0) throw new Error(`left behind: ${leftovers.join('; ')}`);
  });
  return sandbox;
}

/** The id ranges that containers of a state root use. */
function taken({ root }: Sandbox): number[] {
  let names: string[] = [];
  try {
    names = readdirSync(ranges);
  } catch {
    // No container has used a range yet.
  }
  return names
    .filter((name) => {
      try {
        return readlinkSync(join(ranges, name)).includes(` ${root}/`);
      } catch {
        return false; // of another test, and released
      }
    })
    .map(Number);
}

const firstOf = (map: string): number => Number(map.trim().split(/\s+/)[1]);

t.test('at the same time, from several processes', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  const programs = Array.from({ length: 3 }, () =>
    program(
      `
      const commands = Array.from({ length: 8 }, () =>
        run(['sh', '-c', 'cat /proc/self/uid_map; read line'], { root: data.root, stdin: 'pipe' }));
      await Promise.all(commands.map((command) => command.container));
      tell('running');
      await new Promise((resolve) => process.stdin.once('data', resolve));
      for (const command of commands) command.stdin.end('\\n');
      const results = await Promise.all(commands);
      tell(results.map(({ stdout }) => stdout.trim().split(/\\s+/)[1]).join(' '));
      process.stdin.destroy();`,
      { root: sandbox.root },
    ),
  );
  await Promise.all(programs.map(({ output }) => output.until('running\n')));
  const during = taken(sandbox);
  for (const { child } of programs) child.stdin!.write('go\n');
  const told = await Promise.all(
    programs.map(async ({ child, output }) => {
      await exitOf(child);
      const [, firsts = ''] = (await output.all()).split('\n');
      return firsts.split(' ').map(Number);
    }),
  );
  const firsts = told.flat();
  t.equal(firsts.length, 24);
  t.equal(new Set(firsts).size, 24, 'all different');
  t.strictSame(during.sort(), firsts.sort());
  for (const first of firsts) {
    t.ok(first >= lowest && first + size <= highest && first % size === 0, `${first}`);
  }
  t.strictSame(taken(sandbox), [], 'released');
});

t.test('after the end of a program that was killed', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  const { child, output } = program(
    `const command = run(['sleep', '1000'], { root: data.root });
    await command.container;
    tell('running');`,
    { root: sandbox.root },
  );
  await output.until('running\n');
  t.equal(taken(sandbox).length, 1);
  child.kill('SIGKILL');
  await exitOf(child);
  const next = program(
    `await run(['true'], { root: data.root });
    for (let i = 0; i < 200 && (await Container.list({ root: data.root })).length > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }`,
    { root: sandbox.root },
  );
  t.equal(await exitOf(next.child), 0);
  t.strictSame(taken(sandbox), []);
});

t.test('of a container that lives on', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  const options = { root: sandbox.root };
  chmodSync(sandbox.directory, 0o711);
  const rootfs = join(sandbox.bundle([]), 'rootfs');
  const spec = sandboxSpec(['sleep', '1000'], { rootfs });
  const { child } = program(
    `const spec = data.spec;
    for (const id of ['one', 'two']) {
      await Container.create(id, { spec, root: data.root, start: true });
    }`,
    { root: sandbox.root, spec },
  );
  t.equal(await exitOf(child), 0);
  const firsts: number[] = [];
  for (const id of ['one', 'two']) {
    const container = await Container.open(id, options);
    const kept = JSON.parse(readFileSync(join(sandbox.root, id, 'config.json'), 'utf8')) as {
      linux: Record<string, { containerID: number; hostID: number; size: number }[]>;
    };
    const { pid } = await container.state();
    const first = firstOf(readFileSync(`/proc/${pid}/uid_map`, 'utf8'));
    firsts.push(first);
    for (const list of ['uidMappings', 'gidMappings']) {
      t.strictSame(kept.linux[list], [{ containerID: 0, hostID: first, size }], list);
    }
    const process = await container.exec(
      { args: ['cat', '/proc/self/uid_map'] },
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdout!) chunks.push(chunk as Buffer);
    t.equal(firstOf(Buffer.concat(chunks).toString()), first, 'exec');
  }
  t.not(firsts[0], firsts[1]);
  t.strictSame(taken(sandbox).sort(), firsts.sort());
  for (const id of ['one', 'two']) {
    await (await Container.open(id, options)).delete({ force: true });
  }
});

/**
 * A command prefix that runs a program with an /etc/subuid in which another user owns all but the
 * last `count` ranges, and an /etc/subgid in which that user owns the last `gidCount` ones.
 */
function withFewRanges(sandbox: Sandbox, count: number, gidCount = 0): string[] {
  const files = join(sandbox.directory, 'ids-');
  const uids = `# no range\nanother:${lowest}:${highest - count * size - lowest}\n`;
  writeFileSync(`${files}subuid`, uids);
  const gids = gidCount === 0 ? '' : `another:${highest - gidCount * size}:${gidCount * size}\n`;
  writeFileSync(`${files}subgid`, gids);
  const script = 'for ids in subuid subgid; do mount --bind "$0$ids" /etc/$ids; done; exec "$@"';
  return ['unshare', '--mount', '--propagation', 'unchanged', 'sh', '-ec', script, files];
}

t.test('several processes that compete for the last ranges', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  // The last one of four belongs to a user by /etc/subgid alone.
  const prefix = withFewRanges(sandbox, 4, 1);
  const programs = Array.from({ length: 3 }, () =>
    program(
      `
      tell('ready');
      await new Promise((resolve) => process.stdin.once('data', resolve));
      const attempts = await Promise.allSettled(Array.from({ length: 4 }, async () => {
        const command = run(['cat'], { root: data.root, stdin: 'pipe' });
        command.catch(() => undefined);
        const { pid } = await (await command.container).state();
        return { command, pid };
      }));
      const { readFileSync } = await import('node:fs');
      const maps = attempts.map(({ value, reason }) =>
        value ? readFileSync('/proc/' + value.pid + '/uid_map', 'utf8').trim().split(/\\s+/)[1] : reason.code);
      tell(maps.join(' '));
      await new Promise((resolve) => process.stdin.once('data', resolve));
      for (const { value } of attempts) value?.command.stdin.end();
      await Promise.all(attempts.map(({ value }) => value?.command));
      process.stdin.destroy();`,
      { root: sandbox.root },
      prefix,
    ),
  );
  await Promise.all(programs.map(({ output }) => output.until('ready\n')));
  for (const { child } of programs) child.stdin!.write('go\n');
  const told = await Promise.all(programs.map(({ output }) => output.until('\n')));
  for (const { child } of programs) child.stdin!.write('end\n');
  for (const { child } of programs) t.equal(await exitOf(child), 0);
  const words = told.flatMap((line) => line.trim().split(' '));
  const firsts = words.filter((word) => /^\d+$/.test(word));
  t.strictSame(
    firsts.map(Number).sort(),
    [4, 3, 2].map((last) => highest - last * size),
  );
  t.strictSame(
    words.filter((word) => !firsts.includes(word)),
    Array<string>(9).fill('ERR_TARE_SYSTEM'),
  );
});

t.test('of two live containers of different processes no two are equal', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  // Each release of one of the two ranges is followed by attempts of all processes at once.
  const prefix = withFewRanges(sandbox, 2);
  const programs = Array.from({ length: 4 }, () =>
    program(
      `const { mkdirSync, readFileSync, rmdirSync } = await import('node:fs');
      let [held, clashes] = [0, 0];
      const end = Date.now() + 4000;
      const compete = async () => {
        while (Date.now() < end) {
          const command = run(['cat'], { root: data.root, stdin: 'pipe' });
          command.catch(() => undefined);
          const container = await command.container.catch(() => undefined);
          if (container === undefined) continue;
          const { pid } = await container.state();
          const first = readFileSync('/proc/' + pid + '/uid_map', 'utf8').trim().split(/\\s+/)[1];
          const mark = data.directory + '/' + first;
          try {
            mkdirSync(mark);
            held++;
            await new Promise((resolve) => setTimeout(resolve, 1));
            rmdirSync(mark);
          } catch {
            clashes++;
          }
          command.stdin.end();
          await command;
        }
      };
      await Promise.all([compete(), compete()]);
      tell(held + ' ' + clashes);`,
      { root: sandbox.root, directory: sandbox.directory },
      prefix,
    ),
  );
  for (const { child } of programs) t.equal(await exitOf(child), 0);
  const told = await Promise.all(programs.map(({ output }) => output.all()));
  const counts = told.map((line) => line.trim().split(' ').map(Number));
  const sum = (index: number): number => counts.reduce((all, one) => all + one[index]!, 0);
  t.ok(sum(0) > 20, `${sum(0)} containers`);
  t.equal(sum(1), 0, 'none had the range of another one');
});

t.test('never those of /etc/subuid; and there is an end to them', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  const { child, output } = program(
    `const { rmSync } = await import('node:fs');
    const root = data.root;
    const hold = async () => {
      const command = run(['sh', '-c', 'cat /proc/self/uid_map; read line'], { root, stdin: 'pipe' });
      command.catch(() => undefined);
      await command.container;
      // Not the command itself: that would be awaited.
      return { command };
    };
    const commands = await Promise.all([hold(), hold(), hold()]);
    await hold().catch(({ code, message }) => tell(code + ' ' + message));
    for (const { command } of commands) command.stdin.end('\\n');
    for (const { stdout } of await Promise.all(commands.map(({ command }) => command))) tell(stdout.trim().split(/\\s+/)[1]);
    // What is left of others does not count.
    for (let i = 0; i < 3; i++) {
      const { command: left } = await hold();
      const container = await left.container;
      const { pid } = await container.state();
      rmSync(root + '/' + left.id, { recursive: true });
      process.kill(pid, 'SIGKILL');
      await left.catch(() => undefined);
    }
    tell((await run(['echo', 'again'], { root })).stdout);`,
    { root: sandbox.root },
    withFewRanges(sandbox, 3),
  );
  t.equal(await exitOf(child), 0);
  const [error = '', ...lines] = (await output.all()).trim().split('\n');
  t.match(
    error,
    /^ERR_TARE_SYSTEM .*all 2244 ranges are in use or in \/etc\/subuid and \/etc\/subgid;/,
  );
  t.strictSame(
    lines.slice(0, 3).map(Number).sort(),
    [3, 2, 1].map((last) => highest - last * size),
  );
  t.equal(lines[3], 'again');
});

/**
 * Returns how much a command has taken of a resource, and a function that ends the command; until
 * then it keeps all of it.
 */
async function exhaust(kind: string, options: RunOptions): Promise<[number, () => Promise<void>]> {
  const streams = { stdin: 'pipe', stdout: 'pipe', buffer: false } as const;
  const command = run(['/exhaust', kind], { ...options, ...streams });
  const end = async (): Promise<void> => {
    command.kill();
    await failure(command);
  };
  command.catch(() => undefined);
  let text = '';
  for await (const chunk of command.stdout!) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return [Number.parseInt(text), end];
}

t.test('what the kernel counts by user is not used up for others', skip, async (t) => {
  const sandbox = sandboxWithRanges(t);
  const mounts = [{ source: staticProgram('exhaust'), destination: '/exhaust' }];
  const options: RunOptions = { root: sandbox.root, mounts };
  for (const kind of ['inotify', 'pipes', 'descriptors']) {
    const [first, endFirst] = await exhaust(kind, options);
    const [second, endSecond] = await exhaust(kind, options);
    t.ok(first > 0, `${kind}: ${first}`);
    t.equal(second, first, kind);
    watch(sandbox.directory).close();
    await endFirst();
    await endSecond();
  }
});

t.test('asynchronous I/O, whose contexts the whole machine shares, is refused', skip, async (t) => {
  const { root } = sandboxWithRanges(t);
  const mounts = [{ source: staticProgram('calls'), destination: '/calls' }];
  const command = ['/calls', 'io_setup', '1', 'zeros'];
  const { stdout } = await run(command, { root, mounts, seccomp: 'unconfined' });
  t.equal(stdout, 'ok\n', 'this kernel has it');
  t.equal((await run(command, { root, mounts })).stdout, 'ENOSYS\n');
});
