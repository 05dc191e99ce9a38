/** Limits on a kernel whose cgroup v2 tree has all controllers. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

// Under emulation each program takes most of a second, so one call of it runs several steps.

const program = join(import.meta.dirname, '../../build/test/cgroup');
const root = '/sys/fs/cgroup';
const cgroup = `/tare-test-${process.pid}`;

function run(command: string, ...args: string[]): string[] {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  t.equal(stderr, '', `${args.join(' ')} writes no error`);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ fast$/, ''));
}

/** Runs steps on the cgroup `path`; returns the output of each without its name. */
function steps(path: string, ...words: string[]): string[] {
  return run(program, 'run', path, ...words).map((line) => line.replace(/^[a-z-]+: /, ''));
}

/**
 * Applies each of `resources` in turn; returns the contents of `files` after each, or the error.
 */
function apply(resources: object[], ...files: string[]): string[] {
  const json = resources.map((each) => JSON.stringify(each));
  const shows = files.map((file) => `show=${file}`);
  const lines = steps(
    cgroup,
    `create=${json[0]}`,
    ...json.flatMap((each) => [`apply=${each}`, ...shows]),
    'remove',
  );
  if (lines.at(-1) !== 'ok') steps(cgroup, 'open', 'remove');
  return lines.slice(1).filter((line) => line !== 'ok');
}

t.test('each kind of limit', async (t) => {
  const { stdout } = spawnSync('getconf', ['PAGE_SIZE'], { encoding: 'utf8' });
  const page = Number(stdout);
  t.strictSame(
    apply(
      [
        {
          pids: { limit: 5 },
          memory: { limit: 4000 * page, reservation: 1000 * page, swap: 5000 * page },
          cpu: { shares: 512, quota: 20000, period: 50000, burst: 10000, cpus: '0', mems: '0' },
          blockIO: { weight: 500 },
          hugepageLimits: [{ pageSize: '2MB', limit: 2 ** 22 }],
          unified: { 'memory.high': String(3000 * page), 'cgroup.max.depth': '3' },
        },
      ],
      'pids.max',
      'memory.max',
      'memory.low',
      'memory.swap.max',
      'memory.high',
      'cgroup.max.depth',
      'cpu.weight',
      'cpu.max',
      'cpu.max.burst',
      'cpuset.cpus',
      'cpuset.mems',
      'io.weight',
      'hugetlb.2MB.max',
      'hugetlb.2MB.rsvd.max',
    ),
    [
      '5',
      `${4000 * page}`,
      `${1000 * page}`,
      `${1000 * page}`,
      `${3000 * page}`,
      '3',
      '59',
      '20000 50000',
      '10000',
      '0',
      '0',
      'default 4950',
      '4194304',
      '4194304',
    ],
  );
  t.strictSame(
    apply(
      [{ pids: { limit: -1 }, memory: { limit: -1 }, cpu: { quota: -1 } }],
      'pids.max',
      'memory.max',
      'memory.swap.max',
      'cpu.max',
    ),
    ['max', 'max', 'max', 'max 100000'],
  );
  t.strictSame(apply([{ pids: { limit: 0 } }], 'pids.max'), ['1']);
});

t.test('changes', async (t) => {
  const bandwidth = (quota: number, burst: number) => ({ cpu: { quota, burst } });
  t.strictSame(
    apply(
      [bandwidth(20000, 20000), bandwidth(50000, 50000), bandwidth(10000, 5000)],
      'cpu.max',
      'cpu.max.burst',
    ),
    ['20000 100000', '20000', '50000 100000', '50000', '10000 100000', '5000'],
    'quota and burst grow and shrink together',
  );
  t.strictSame(
    apply(
      [{ cpu: { quota: 20000 } }, { cpu: { period: 50000 } }, { cpu: { quota: 10000 } }],
      'cpu.max',
    ),
    ['20000 100000', '20000 50000', '10000 50000'],
    'quota and period each leave the other as it is',
  );
  t.strictSame(
    apply(
      [{ cpu: { idle: 1, shares: 1024 } }, { cpu: { idle: 0, shares: 2048 } }],
      'cpu.idle',
      'cpu.weight',
    ).filter((_, index) => index !== 1),
    ['1', '0', '174'],
    'an idle cgroup gets its weight back',
  );
  t.strictSame(
    apply(
      [{ pids: { limit: 5 }, memory: { limit: 2 ** 24, swap: 2 ** 24 } }, { pids: { limit: -1 } }],
      'pids.max',
      'memory.max',
      'memory.swap.max',
    ),
    ['5', '16777216', '0', 'max', '16777216', '0'],
    'what is not named stays',
  );
});

t.test('checkBeforeUpdate refuses what would kill', async (t) => {
  const lower = (checkBeforeUpdate: boolean) =>
    `apply=${JSON.stringify({ memory: { limit: 4096, checkBeforeUpdate } })}`;
  const lines = steps(cgroup, 'create', 'spawn', lower(true));
  t.match(
    lines[2],
    /^ERR_TARE_INVALID_CONFIG resources\.memory\.limit: rejecting memory limit 4096 <= usage \d+: the kernel would kill processes, which memory\.checkBeforeUpdate forbids; raise the limit$/,
  );
  t.strictSame(
    steps(cgroup, 'open', 'show=memory.max', 'spawn', lower(false), 'kill', 'reap', 'remove'),
    ['used', 'max', 'ok', 'ok', 'ok', 'signal 9', 'ok'],
  );
});

t.test('controllers', async (t) => {
  const inner = `${cgroup}/outer/inner`;
  t.strictSame(
    steps(
      inner,
      'create',
      'show=cgroup.controllers',
      'apply={"hugepageLimits":[{"pageSize":"2MB","limit":0}]}',
      'show=cgroup.controllers',
      'show=hugetlb.2MB.max',
      'show=../cgroup.subtree_control',
    ),
    [
      'made',
      'cpuset cpu io memory pids',
      'ok',
      'cpuset cpu io memory hugetlb pids',
      '0',
      'cpuset cpu io memory hugetlb pids',
    ],
    'the usual ones come down from the root, another when it is needed',
  );
  const offered = readFileSync(join(root, 'cgroup.controllers'), 'utf8').trim();
  t.strictSame(
    steps(`${cgroup}/outer/limited`, 'create={"pids":{"limit":9}}', 'show=cgroup.controllers'),
    ['made', offered],
    'all of them for a container with limits',
  );
  t.strictSame(
    steps(cgroup, 'open', 'remove', 'exists'),
    ['used', 'ok', 'false'].map((line) => (line === 'ok' ? 'ok' : line)),
  );

  const limit = JSON.stringify({ memory: { limit: 2 ** 24 } });
  const inOuter = `mkdir ${root}${cgroup} && echo $$ >${root}${cgroup}/cgroup.procs && exec "$@"`;
  t.strictSame(
    run('sh', '-c', inOuter, 'sh', program, 'run', `${cgroup}/inner`, `create=${limit}`),
    [
      `ERR_TARE_UNSUPPORTED config.json: linux.resources.memory.limit needs the memory controller, which ${root}${cgroup} ` +
        'cannot enable for its children: it contains processes (a cgroup v2 has either processes or ' +
        'controllers for children); set linux.cgroupsPath to a path below a cgroup without ' +
        'processes, or remove the limit',
    ],
  );
  t.strictSame(steps(cgroup, 'open', 'show=cgroup.subtree_control', 'remove'), ['used', '', 'ok']);
  t.strictSame(steps(`${cgroup}/inner`, 'exists'), ['false']);
});

t.test('an ordinary user', async (t) => {
  const limit = JSON.stringify({ memory: { limit: 2 ** 24 } });
  const asNobody = (...words: string[]) =>
    run(
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      program,
      'run',
      `${cgroup}/own`,
      ...words,
    );
  t.strictSame(steps(cgroup, 'create', 'delegate=65534'), ['made', '65534:65534 65534:65534 0:0']);
  t.strictSame(
    asNobody(`create-rootless=${limit}`, `apply=${limit}`, 'show=memory.max', 'remove'),
    ['create-rootless: made', 'apply: ok', 'show: 16777216', 'remove: ok'],
    'has limits below a cgroup that is delegated',
  );
  steps(cgroup, 'open', 'remove');
  run('sh', '-c', `mkdir ${root}${cgroup} && chown 65534 ${root}${cgroup}`);
  t.strictSame(asNobody('create-rootless', 'exists', 'remove'), [
    'create-rootless: made',
    'exists: true',
    'remove: ok',
  ]);
  t.strictSame(asNobody(`create-rootless=${limit}`), [
    `ERR_TARE_UNSUPPORTED config.json: linux.resources.memory.limit needs the memory controller, which ${root}${cgroup} ` +
      'cannot enable for its children: EACCES (Permission denied); have it delegated to you (systemd: ' +
      'Delegate=yes), or remove the limit',
  ]);
  steps(cgroup, 'open', 'remove');
});

t.test('errors of the kernel', async (t) => {
  const place = `${root}${cgroup}`;
  for (const [resources, error] of [
    [
      { unified: { 'pids.max': 'many' } },
      `ERR_TARE_SYSTEM resources.unified["pids.max"]: write "many" to ${place}/pids.max: EINVAL (Invalid argument)`,
    ],
    [
      { blockIO: { throttleReadBpsDevice: [{ major: 240, minor: 7, rate: 1000 }] } },
      `ERR_TARE_SYSTEM resources.blockIO.throttleReadBpsDevice[0]: write "240:7 rbps=1000" to ${place}/io.max: ENODEV (No such device); the block device does not exist, or is a partition; name a whole device`,
    ],
    [
      { unified: { 'memory.nonesuch': '1' } },
      `ERR_TARE_UNSUPPORTED resources.unified["memory.nonesuch"] needs ${place}/memory.nonesuch, which this kernel's memory controller does not have; remove it`,
    ],
    [
      { unified: { 'cgroup.nonesuch': '1' } },
      `ERR_TARE_UNSUPPORTED resources.unified["cgroup.nonesuch"] needs ${place}/cgroup.nonesuch, which does not exist; remove it`,
    ],
    [
      { hugepageLimits: [{ pageSize: '3MB', limit: 1 }] },
      `ERR_TARE_UNSUPPORTED resources.hugepageLimits[0] needs ${place}/hugetlb.3MB.max, which this kernel's hugetlb controller does not have; remove it`,
    ],
  ] as const) {
    t.strictSame(apply([resources]), [error]);
  }
});

/** Runs a program of busybox, which must print nothing. */
const busybox = (...args: string[]) => t.strictSame(run('/bin/busybox', ...args), ['']);

t.test('limits of one block device', async (t) => {
  const modules = process.env['TARE_GUEST_MODULES'];
  if (modules === undefined) {
    t.comment('only in a guest, whose devices are not in use');
    return;
  }
  const queue = '/sys/block/loop0/queue/scheduler';
  busybox('insmod', join(modules, 'loop.ko'), 'max_loop=1');
  busybox('truncate', '-s', '16M', '/tmp/tare-test-disk');
  busybox('losetup', '/dev/loop0', '/tmp/tare-test-disk');
  t.teardown(() => busybox('losetup', '-d', '/dev/loop0'));
  const node = readFileSync('/sys/block/loop0/dev', 'utf8').trim();
  const [major, minor] = node.split(':').map(Number);
  const blockIO = {
    throttleReadBpsDevice: [{ major, minor, rate: 1_048_576 }],
    throttleWriteBpsDevice: [{ major, minor, rate: 2_097_152 }],
    throttleReadIOPSDevice: [{ major, minor, rate: 100 }],
    throttleWriteIOPSDevice: [{ major, minor, rate: 200 }],
  };
  t.strictSame(
    apply(
      [{ blockIO }, { blockIO: { throttleReadIOPSDevice: [{ major, minor, rate: 0 }] } }],
      'io.max',
    ),
    [
      `${node} rbps=1048576 wbps=2097152 riops=100 wiops=200`,
      `${node} rbps=1048576 wbps=2097152 riops=max wiops=200`,
    ],
    'a rate of 0 takes the limit away',
  );
  t.strictSame(
    apply([{ unified: { 'io.max': `${node} rbps=4096\n${node} wiops=7\n` } }], 'io.max'),
    [`${node} rbps=4096 wbps=max riops=max wiops=7`],
  );

  const weights = { weight: 333, weightDevice: [{ major, minor, weight: 444 }] };
  const both = (): string[] => apply([{ blockIO: weights }], 'io.bfq.weight', 'io.weight');
  t.match(both(), [
    /blockIO\.weightDevice\[0\]\.weight: write .* EOPNOTSUPP .*; no I\/O scheduler applies weights to this device: set BFQ as its scheduler/,
  ]);
  writeFileSync(join(root, 'io.cost.qos'), `${node} enable=1`);
  t.strictSame(both(), ['absent', `default 3263|${node} 4384`], 'for blk-iocost, in its own range');
  busybox('insmod', join(modules, 'bfq.ko'));
  // The suites that follow in this guest expect weights in io.weight.
  t.teardown(() => {
    writeFileSync(queue, 'none');
    busybox('rmmod', 'bfq');
    writeFileSync(join(root, 'io.cost.qos'), `${node} enable=0`);
  });
  t.strictSame(
    both(),
    ['default 333', `default 100|${node} 4384`],
    'for each device by what schedules it',
  );
  writeFileSync(queue, 'bfq');
  t.strictSame(both(), [`default 333|${node} 444`, 'default 100'], 'for BFQ');
});
