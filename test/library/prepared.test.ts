/**
 * Calls of run() with equal options share a prepared configuration: it must not outlive a change of
 * the options, and nothing of one command may reach another.
 */
import { Containers, failure, runInside, sh, skipReason } from '../support/containers.js';
import type { Sandbox } from '../support/tare.js';
import { allowTime } from '../support/timeout.js';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Container, run, type RunOptions, type Spec } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };
allowTime(t, 120_000);

const sandboxOf = (t: Test): Sandbox => new Containers(t).sandbox;

async function stateIds(root: string): Promise<string> {
  return (await Container.list({ root })).map(({ id }) => id).join();
}

async function output(script: string, options: RunOptions): Promise<string> {
  return (await run(sh(script), options)).stdout as string;
}

t.test('options that change between two calls', skip, async (t) => {
  const { root } = sandboxOf(t);
  const mounts = [{ source: '/etc', destination: '/one' }];
  const env: Record<string, string> = { A: '1' };
  const options = { root, mounts, env, hostname: 'first', cwd: '/tmp' };
  const script = 'hostname; echo $A; pwd; ls -d /one /two 2>/dev/null; true';
  t.equal(await output(script, options), 'first\n1\n/tmp\n/one\n');
  t.equal(await output(script, options), 'first\n1\n/tmp\n/one\n');
  env['A'] = '2';
  options.cwd = '/usr';
  t.equal(await output(script, options), 'first\n2\n/usr\n/one\n', 'of the command');
  options.hostname = 'second';
  t.equal(await output(script, options), 'second\n2\n/usr\n/one\n', 'a value');
  mounts[0]!.destination = '/two';
  t.equal(await output(script, options), 'second\n2\n/usr\n/two\n', 'a value in an object');
});

t.test('values that JSON does not tell apart', skip, async (t) => {
  const { root } = sandboxOf(t);
  t.equal(await output('hostname', { root }), 'tare\n');
  t.equal(await output('hostname', { root, hostname: 'undefined' }), 'undefined\n');
  t.equal(await output('hostname', { root, hostname: 'null' }), 'null\n');
  t.equal(await output('ulimit -n', { root, rlimits: { nofile: 64 } }), '64\n');
  t.equal(await output('ulimit -n', { root, rlimits: { nofile: 65 } }), '65\n');
  const soft = (core: number): RunOptions => ({ root, rlimits: { core: { soft: 0, hard: core } } });
  t.equal(await output('ulimit -Hc', soft(Infinity)), 'unlimited\n');
  t.equal(await output('ulimit -Hc', soft(0)), '0\n');
});

t.test('a relative state root after a change of the working directory', skip, async (t) => {
  const before = process.cwd();
  t.teardown(() => process.chdir(before));
  for (const { directory } of [sandboxOf(t), sandboxOf(t)]) {
    process.chdir(directory);
    const own = join(directory, 'own');
    mkdirSync(own, { mode: 0o700 });
    const running = run(['/bin/sleep', '100'], { root: 'own', reject: false });
    await running.container;
    t.equal(await stateIds(own), running.id);
    running.kill();
    await running;
  }
});

t.test('many at once, each with its own command', skip, async (t) => {
  const { root } = sandboxOf(t);
  const numbers = Array.from({ length: 24 }, (_one, number) => number);
  const outputs = await Promise.all(
    numbers.map((number) =>
      output('echo $N; pwd; cat /proc/self/uid_map', {
        root,
        env: { N: String(number) },
        cwd: `/tmp/${number}`,
      }),
    ),
  );
  const maps = new Set<string>();
  for (const [number, text] of outputs.entries()) {
    const [name, directory, map = ''] = text.split('\n');
    t.same([name, directory], [String(number), `/tmp/${number}`]);
    maps.add(map);
  }
  t.equal(maps.size, process.geteuid!() === 0 ? numbers.length : 1, 'ids of their own');
});

t.test('a mount source that changes between two starts', skip, async (t) => {
  const { root, directory } = sourceIn(sandboxOf(t));
  const options = { root, mounts: [{ source: directory, destination: '/data' }] };
  t.equal(await output('cat /data/file', options), 'before');
  writeFileSync(join(directory, 'file'), 'after');
  t.equal(await output('cat /data/file', options), 'after');
  rmSync(directory, { recursive: true });
  t.match(await failure(run(sh('true'), options)), { path: 'mounts[0].source' });
  mkdirSync(directory);
  t.equal(await output('ls /data', options), '');
});

function sourceIn({ root, directory: base }: Sandbox): { root: string; directory: string } {
  const directory = join(base, 'data');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'file'), 'before');
  return { root, directory };
}

t.test('more configurations than are kept', skip, async (t) => {
  const { root } = sandboxOf(t);
  const names = Array.from({ length: 70 }, (_one, number) => `h${number}`);
  for (const hostname of [...names, names[0]!]) {
    t.equal(await output('hostname', { root, hostname }), `${hostname}\n`);
  }
});

t.test('the seccomp filter, whatever can be prepared', skip, async (t) => {
  const { root } = sandboxOf(t);
  const spec = (one: Spec): Spec => one;
  const unknownCapability = (one: Spec): Spec => ({
    ...one,
    process: { ...one.process!, capabilities: { bounding: ['CAP_NONSENSE'] } },
  });
  for (const options of [
    {},
    { annotations: { a: 'b' } },
    { spec },
    { annotations: { a: 'b' }, spec },
    { spec: unknownCapability },
  ]) {
    for (const call of ['first', 'second']) {
      const status = await output('cat /proc/self/status', { root, ...options });
      t.match(status, /^Seccomp:\t2$/m, `${Object.keys(options).join()}, ${call} call`);
    }
  }
});

t.test('each command has what was asked for it, whatever the one before had', skip, async (t) => {
  const inside = runInside(t);
  const shows = async (options: Pick<RunOptions, 'mounts' | 'hostname'>): Promise<string> =>
    (await inside(sh('hostname; cat /m/file; grep -c . /proc/mounts'), options)).stdout.trimEnd();
  const place = t.testdir({ one: { file: 'one' }, two: { file: 'two' } });
  const [one, two] = [join(place, 'one'), join(place, 'two')];
  for (const path of [place, one, two]) chmodSync(path, 0o755);
  const mount = { source: one, destination: '/m' };
  const mounts = [mount];
  const first = await shows({ mounts });
  t.match(first, /^tare\none\d+$/);
  mount.source = two;
  t.equal(
    await shows({ mounts }),
    first.replace('one', 'two'),
    'the same array with another content',
  );
  t.match(await shows({ mounts, hostname: 'other' }), /^other\ntwo/);

  const count = sh('grep -c . /proc/mounts; grep " /usr/bin " /proc/mounts | cut -d" " -f4');
  const plain = await inside(count);
  t.match(plain.stdout, /\nro,/);
  const changed = inside(count, {
    spec: (spec) => {
      for (const { destination, options = [] } of spec.mounts ?? []) {
        if (destination === '/usr/bin')
          options.splice(0, options.length, 'bind', 'nodev', 'noexec');
      }
      spec.linux!.maskedPaths!.length = 0;
      spec.linux!.readonlyPaths!.length = 0;
      return spec;
    },
  });
  await t.rejects(changed, { code: 'ERR_TARE_COMMAND_NOT_EXECUTABLE' });
  t.equal((await inside(count)).stdout, plain.stdout, 'and not for the next one');
  t.equal((await inside(count, { hostname: 'other' })).stdout, plain.stdout);
});
