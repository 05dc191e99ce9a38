/** update, events and ps on a kernel whose cgroup v2 tree has all controllers. */
import { Output, Sandbox, exitOf, state, type Config } from '../support/tare.js';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

const sandbox = new Sandbox(t);

const mebi = 2 ** 20;

/** Starts a container; returns the directory of its cgroup. */
async function started(t: Test, id: string, resources: object): Promise<string> {
  const bundle = sandbox.bundle(['sleep', '1000'], (config: Config) => {
    config.linux['resources'] = resources;
  });
  const child = sandbox.spawn(['run', '-d', '-b', bundle, id], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.equal(await exitOf(child), 0);
  const { pid } = state(sandbox.must(['state', id]).stdout);
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
  return join('/sys/fs/cgroup', path);
}

const known = {
  memory: { limit: 32 * mebi, reservation: 24 * mebi },
  cpu: { shares: 100, quota: 500_000, period: 1_000_000 },
  pids: { limit: 20 },
};

sandbox.test('each flag changes its file, and leaves the others', async (t) => {
  const id = sandbox.id('flags');
  const cgroup = await started(t, id, known);
  const present: Record<string, string> = {
    'memory.max': `${32 * mebi}`,
    'memory.low': `${24 * mebi}`,
    'memory.swap.max': 'max',
    'cpu.max': '500000 1000000',
    'cpu.max.burst': '0',
    'cpu.weight': '17',
    'cpu.idle': '0',
    'cpuset.cpus': '',
    'cpuset.mems': '',
    'pids.max': '20',
    'io.weight': 'default 100',
  };
  const check = (what: string): void => {
    const found = Object.keys(present).map((file) => [
      file,
      readFileSync(join(cgroup, file), 'utf8').trim(),
    ]);
    t.strictSame(Object.fromEntries(found), present, what);
  };
  check('at first');
  for (const [flags, changes] of [
    ['--memory 67108864', { 'memory.max': `${64 * mebi}` }],
    ['--memory 50M', { 'memory.max': `${50 * mebi}` }],
    ['--memory-reservation 32MiB', { 'memory.low': `${32 * mebi}` }],
    ['--memory-swap 60m', { 'memory.swap.max': `${10 * mebi}` }],
    ['--memory-swap -1', { 'memory.swap.max': 'max' }],
    [
      '--memory 0.03125g --memory-swap 32M',
      { 'memory.max': `${32 * mebi}`, 'memory.swap.max': '0' },
    ],
    ['--memory -1', { 'memory.max': 'max', 'memory.swap.max': 'max' }],
    ['--cpu-period 900000', { 'cpu.max': '500000 900000' }],
    ['--cpu-quota 600000', { 'cpu.max': '600000 900000' }],
    ['--cpu-burst 500000', { 'cpu.max.burst': '500000' }],
    ['--memory 100M', { 'memory.max': `${100 * mebi}` }],
    ['--cpu-burst 0', { 'cpu.max.burst': '0' }],
    ['--cpu-quota -1', { 'cpu.max': 'max 900000' }],
    ['--cpu-quota -1 --cpu-period 100000', { 'cpu.max': 'max 100000' }],
    ['--cpu-share 200', { 'cpu.weight': '29' }],
    ['--cpuset-cpus 0', { 'cpuset.cpus': '0' }],
    ['--cpuset-mems 0', { 'cpuset.mems': '0' }],
    ['--pids-limit 10', { 'pids.max': '10' }],
    ['--pids-limit -1', { 'pids.max': 'max' }],
    ['--pids-limit 0', { 'pids.max': '1' }],
    ['--blkio-weight 1000', { 'io.weight': 'default 10000' }],
    ['--kernel-memory 1M --pids-limit 5', { 'pids.max': '5' }],
    [
      '--cpu-period 900000 --cpu-quota 600000 --cpu-share 100 --memory 64M --memory-reservation 1M',
      {
        'cpu.max': '600000 900000',
        'cpu.weight': '17',
        'memory.max': `${64 * mebi}`,
        'memory.low': `${mebi}`,
      },
    ],
  ] as const) {
    sandbox.must(['update', ...flags.split(' '), id]);
    Object.assign(present, changes);
    check(flags);
  }
  sandbox.must(['update', '-r', '-', id], { input: JSON.stringify(known) });
  for (const [file, value] of [
    ['memory.max', `${32 * mebi}`],
    ['cpu.max', '500000 1000000'],
    ['pids.max', '20'],
  ] as const) {
    present[file] = value;
  }
  present['memory.low'] = `${24 * mebi}`;
  check('all at once, from standard input');
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('an idle container gets its weight back', async (t) => {
  const id = sandbox.id('idle');
  const cgroup = await started(t, id, known);
  const read = (file: string): string => readFileSync(join(cgroup, file), 'utf8').trim();
  for (const [flags, idle] of [
    ['--cpu-idle 1', '1'],
    ['--cpu-period 10000', '1'],
    ['--cpu-share 200', '1'],
    ['--cpu-idle 0', '0'],
  ] as const) {
    sandbox.must(['update', ...flags.split(' '), id]);
    t.equal(read('cpu.idle'), idle, flags);
  }
  t.equal(read('cpu.weight'), '29', 'what it was given meanwhile');
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('a change that fails half-way is undone', async (t) => {
  const id = sandbox.id('undone');
  const cgroup = await started(t, id, known);
  const files = [
    'memory.max',
    'memory.swap.max',
    'pids.max',
    'cpu.max',
    'cpu.weight',
    'cpuset.cpus.effective',
    'io.weight',
  ];
  const read = (): string[] => files.map((file) => readFileSync(join(cgroup, file), 'utf8'));
  const before = read();
  const input = JSON.stringify({
    memory: { limit: 64 * mebi, swap: 80 * mebi },
    pids: { limit: 30 },
    cpu: { shares: 2000, quota: 5000, cpus: '0' },
    blockIO: { weight: 500 },
    unified: { 'cpuset.cpus': '4095' },
  });
  const { status, error } = sandbox.tare(['update', '-r', '-', id], { input });
  t.equal(status, 1);
  t.match(error, /standard input: unified\["cpuset\.cpus"\]: write "4095" to .*: E/);
  t.strictSame(read(), before);
  sandbox.must(['update', '--cpu-quota', '600000', id]);
  t.equal(readFileSync(join(cgroup, 'cpu.max'), 'utf8'), '600000 1000000\n', 'and forgotten');
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('checkBeforeUpdate refuses a limit below what is in use', async (t) => {
  const id = sandbox.id('check');
  await started(t, id, known);
  const update = (memory: object) =>
    sandbox.tare(['update', '-r', '-', id], {
      input: JSON.stringify({ memory: { ...memory, checkBeforeUpdate: true } }),
    }).error;
  t.match(
    update({ limit: 1024 }),
    /standard input: memory\.limit: rejecting memory limit 1024 <= usage \d+/,
  );
  t.match(
    update({ limit: 1024, swap: 2048 }),
    /standard input: memory\.swap: rejecting memory\+swap limit 2048 <= usage \d+/,
  );
  t.equal(state(sandbox.must(['state', id]).stdout).status, 'running');
  sandbox.tare(['update', '--memory', '1024', id]);
  while (state(sandbox.must(['state', id]).stdout).status !== 'stopped');
  sandbox.must(['delete', id]);
});

sandbox.test('events tell of use, of pressure and of OOM kills', async (t) => {
  const id = sandbox.id('events');
  const limits = { memory: { limit: 32 * mebi, swap: 32 * mebi }, pids: { limit: 20 } };
  await started(t, id, { ...limits, hugepageLimits: [{ pageSize: '2MB', limit: 0 }] });
  const { stdout } = sandbox.must(['events', '--stats', id]);
  const { data } = JSON.parse(stdout) as { data: Record<string, Record<string, unknown>> };
  t.match(data, {
    cpu: { usage: { total: Number, kernel: Number, user: Number } },
    cpuset: { cpus: [0], mems: [0], sched_relax_domain_level: 0 },
    memory: {
      usage: { limit: 32 * mebi, usage: Number, max: Number, failcnt: 0 },
      swap: { limit: 32 * mebi, usage: Number, failcnt: 0 },
      raw: { anon: Number, file: Number, pgfault: Number },
    },
    pids: { current: 1, limit: 20 },
    hugetlb: { '2MB': { failcnt: 0 } },
  });
  t.match(
    stdout,
    /"psi":\{"some":\{"avg10":[\d.]+,"avg60":[\d.]+,"avg300":[\d.]+,"total":\d+\},"full"/,
  );

  const events = sandbox.spawn(['events', '--interval', '1h', id]);
  const output = new Output(events.stdout);
  const hog = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=64M', 'count=1'];
  // The first kill may come before the watch begins.
  let killed = 0;
  const told = output.until(`{"type":"oom","id":"${id}"}\n`).then(() => (killed = -killed));
  while (killed >= 0 && killed < 20) {
    t.equal(sandbox.tare(['exec', id, ...hog]).status, 137);
    killed++;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  t.ok((await told) < 0, 'a kill is told');
  sandbox.must(['delete', '--force', id]);
  t.equal(await exitOf(events), 0);
  for (const line of (await output.all()).trimEnd().split('\n')) {
    t.equal(line, `{"type":"oom","id":"${id}"}`);
  }
});

sandbox.test('limits in a threaded subtree: those that threads can have', async (t) => {
  const top = join('/sys/fs/cgroup', `${sandbox.tag}-threaded`);
  mkdirSync(join(top, 'inner'), { recursive: true });
  writeFileSync(join(top, 'inner/cgroup.type'), 'threaded');
  const run = (name: string, resources: object) =>
    sandbox.tare([
      'run',
      '-b',
      sandbox.bundle(
        ['cat', '/sys/fs/cgroup/pids.max', '/sys/fs/cgroup/cgroup.type'],
        (config: Config) => {
          config.linux.cgroupsPath = `/${sandbox.tag}-threaded/${name}`;
          config.linux['resources'] = resources;
        },
      ),
      sandbox.id(name),
    ]);
  t.match(run('pids', { pids: { limit: 9 } }), { status: 0, stdout: '9\nthreaded\n' });
  const { status, error } = run('memory', { memory: { limit: 32 * mebi } });
  t.equal(status, 1);
  t.match(
    error,
    /memory\.limit needs the memory controller, which .*-threaded cannot enable for its children: /,
  );
  rmdirSync(join(top, 'inner'));
  rmdirSync(top);
});

sandbox.test("exec in a container that has joined another one's namespaces", async (t) => {
  const mapping = [{ containerID: 0, hostID: 200_000, size: 65_536 }];
  const first = sandbox.bundle(['sleep', '1000'], (config: Config) => {
    config.linux.namespaces.push({ type: 'user' });
    config.linux['uidMappings'] = mapping;
    config.linux['gidMappings'] = mapping;
  });
  const ids = [sandbox.id('joined'), sandbox.id('joining')] as const;
  sandbox.must(['create', '-b', first, ids[0]]);
  const { pid } = state(sandbox.must(['state', ids[0]]).stdout);
  const second = sandbox.bundle(['sleep', '1000'], (config: Config) => {
    const files: Record<string, string> = { network: 'net' };
    config.linux.namespaces = config.linux.namespaces.map(({ type }) =>
      type === 'mount' ? { type } : { type, path: `/proc/${pid}/ns/${files[type] ?? type}` },
    );
    config.linux.namespaces.push({ type: 'user', path: `/proc/${pid}/ns/user` });
  });
  sandbox.must(['create', '-b', second, ids[1]]);
  // The root of this cgroup namespace does not contain the container's own cgroup (nsdelegate).
  const { stdout } = sandbox.must([
    'exec',
    ids[1],
    'cat',
    '/proc/self/cgroup',
    '/proc/self/uid_map',
  ]);
  t.match(stdout, new RegExp(`^0::/../${ids[1]}\\n\\s+0 +200000 +65536$`, 'm'));
  for (const id of [ids[1], ids[0]]) sandbox.must(['delete', '--force', id]);
});
