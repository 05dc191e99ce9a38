/**
 * linux.resources with all controllers of the kernel: limits are set, in force, and gone at the
 * end.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Output, Sandbox, exitOf, state, type Config } from '../support/tare.js';

const sandbox = new Sandbox(t);

function withResources(args: string[], resources: object): string {
  return sandbox.bundle(args, (config: Config) => {
    config.linux.resources = { ...(config.linux.resources as object), ...resources };
  });
}

/** Runs a verb whose container keeps standard output and error open. */
async function detached(t: Test, verb: string, ...args: string[]): Promise<void> {
  const child = sandbox.spawn([verb, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  t.equal(await exitOf(child), 0, verb);
}

/** Runs `body` with the cgroup directory of a created container. */
async function created(
  t: Test,
  name: string,
  resources: object,
  body: (cgroup: string, id: string) => Promise<void> | void,
): Promise<void> {
  const id = sandbox.id(name);
  await detached(t, 'create', '--bundle', withResources(['sleep', '1000'], resources), id);
  const { pid } = state(sandbox.must(['state', id]).stdout);
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
  const cgroup = join('/sys/fs/cgroup', path);
  await body(cgroup, id);
  sandbox.must(['delete', '--force', id]);
  t.notOk(existsSync(cgroup), 'the cgroup ends with the container');
}

sandbox.test('every controller’s files are set', async (t) => {
  const resources = {
    memory: { limit: 64 << 20, swap: 96 << 20, reservation: 32 << 20 },
    cpu: { shares: 1024, quota: 50_000, period: 200_000, cpus: '0', mems: '0' },
    pids: { limit: 17 },
    blockIO: { weight: 500 },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }],
    unified: { 'memory.high': '50331648', 'cgroup.max.descendants': '3' },
  };
  await created(t, 'all', resources, (cgroup) => {
    for (const [file, value] of [
      ['memory.max', `${64 << 20}`],
      ['memory.swap.max', `${32 << 20}`],
      ['memory.low', `${32 << 20}`],
      ['memory.high', `${48 << 20}`],
      ['cpu.max', '50000 200000'],
      ['cpu.weight', '100'],
      ['cpuset.cpus', '0'],
      ['cpuset.mems', '0'],
      ['pids.max', '17'],
      ['hugetlb.2MB.max', `${4 << 20}`],
      ['cgroup.max.descendants', '3'],
    ]) {
      t.equal(readFileSync(join(cgroup, file!), 'utf8').trim(), value, file!);
    }
    t.match(readFileSync(join(cgroup, 'io.weight'), 'utf8'), /^default \d+$/m);
  });
});

sandbox.test('a cgroup that enables controllers for its children', async (t) => {
  const path = `/tare-test-${process.pid}-inner`;
  const cgroup = join('/sys/fs/cgroup', path);
  mkdirSync(cgroup);
  writeFileSync(join(cgroup, 'cgroup.subtree_control'), '+memory');
  try {
    const bundle = sandbox.bundle(['true'], (config: Config) => {
      config.linux['cgroupsPath'] = path;
    });
    const { status, error } = sandbox.tare(['run', '--bundle', bundle, sandbox.id('inner')]);
    t.equal(status, 1);
    t.match(error, /EBUSY.*; the cgroup has controllers enabled for its children .*: name another/);
  } finally {
    rmdirSync(cgroup);
  }
});

sandbox.test('zero and empty values set nothing', async (t) => {
  const resources = {
    memory: { limit: 0, swap: 0, reservation: 0 },
    cpu: { shares: 0, quota: 0, period: 0, cpus: '', mems: '' },
    pids: { limit: 0 },
    blockIO: { weight: 0, weightDevice: [], throttleReadBpsDevice: [] },
    hugepageLimits: [],
  };
  await created(t, 'zero', resources, (cgroup) => {
    for (const file of ['memory.max', 'memory.swap.max']) {
      t.equal(readFileSync(join(cgroup, file), 'utf8').trim(), 'max', file);
    }
    t.equal(readFileSync(join(cgroup, 'cpu.weight'), 'utf8').trim(), '100');
    t.equal(readFileSync(join(cgroup, 'cpu.max'), 'utf8').trim(), 'max 100000');
    t.equal(readFileSync(join(cgroup, 'cpuset.cpus'), 'utf8').trim(), '');
  });
});

sandbox.test('the limits are in force', async (t) => {
  const run = (name: string, script: string, resources: object) =>
    sandbox.tare([
      'run',
      '--bundle',
      withResources(['sh', '-c', script], resources),
      sandbox.id(name),
    ]);

  // `dd` holds one block in memory.
  const memory = run('memory', 'dd if=/dev/zero of=/dev/null bs=64M count=1; echo $?', {
    memory: { limit: 16 << 20, swap: 16 << 20 },
  });
  t.equal(memory.stdout, '137\n', 'more memory than memory.limit: the process is killed');

  const pids = run('pids', 'for i in 1 2 3 4 5 6; do sleep 100 & done; echo survived', {
    pids: { limit: 4 },
  });
  t.match(pids.stderr, /can't fork: Resource temporarily unavailable/);
  t.not(pids.status, 0, 'more processes than pids.limit: fork fails');

  const cpus = run('cpus', 'grep Cpus_allowed_list /proc/self/status', { cpu: { cpus: '1' } });
  t.equal(cpus.stdout, 'Cpus_allowed_list:\t1\n', 'processors as in cpu.cpus');
});

sandbox.test('exec enters the container’s cgroup', async (t) => {
  await created(t, 'exec', { pids: { limit: 20 } }, async (cgroup, id) => {
    sandbox.must(['start', id]);
    const processes = () =>
      readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').trim().split('\n').length;
    t.equal(processes(), 1);
    await detached(t, 'exec', '--detach', id, 'sleep', '1000');
    t.equal(processes(), 2);
  });
});

sandbox.test('a value that the kernel refuses ends create, and nothing stays', async (t) => {
  for (const [name, resources] of [
    ['range', { cpu: { cpus: '4095' } }],
    ['unknown', { unified: { 'memory.nosuchfile': '1' } }],
  ] as const) {
    const id = sandbox.id(name);
    const bundle = withResources(['true'], resources);
    const { status, error } = sandbox.tare(['create', '--bundle', bundle, id]);
    t.equal(status, 1, name);
    t.match(error, name === 'range' ? 'cpuset.cpus' : 'memory.nosuchfile');
    t.strictSame(sandbox.leftovers(), [], 'nothing stays');
  }
});

sandbox.test('exec goes where init is once the container hands controllers on', async (t) => {
  const id = sandbox.id('handed-on');
  const script =
    'cd /sys/fs/cgroup && mkdir foo && echo 1 >foo/cgroup.procs && echo +memory >cgroup.subtree_control && echo done; exec sleep 1000';
  const bundle = sandbox.bundle(['sh', '-c', script], (config: Config) => {
    const mount = config.mounts.find(({ type }) => type === 'cgroup')!;
    mount.options = mount.options!.filter((option) => option !== 'ro');
  });
  const run = sandbox.spawn(['run', '--bundle', bundle, id], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Output(run.stdout).until('done');
  const inside = (...flags: string[]) =>
    sandbox.tare(['exec', ...flags, id, 'cat', '/proc/self/cgroup']);
  t.equal(inside().stdout, '0::/foo\n');
  t.equal(inside('--cgroup', '/foo').stdout, '0::/foo\n');
  const refused = inside('--cgroup', '/');
  t.equal(refused.status, 255, 'not where a place is asked for');
  t.match(refused.error, /EBUSY/);
  sandbox.must(['kill', id, 'KILL']);
  t.equal(await exitOf(run), 128 + 9);
});
