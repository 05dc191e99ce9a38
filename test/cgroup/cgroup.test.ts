/**
 * Cgroups without controllers: their paths, their members and their removal; and the settings that
 * limits become.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { program as programOf } from '../support/build.js';

const program = programOf('cgroup');
const asRoot = process.getuid?.() === 0 ? {} : { skip: 'cgroups need root' };
const cgroup = `/tare-test-${process.pid}`;

/** Splits output into lines, without the remarks about time. */
function linesOf(output: string): string[] {
  return output
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ fast$/, ''));
}

function cgroupProgram(...args: string[]): string[] {
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8' });
  t.equal(stderr, '', `${args.join(' ')} writes no error`);
  const lines = linesOf(stdout);
  return status === 0 ? lines : [...lines, `status ${status}`];
}

const run = (...steps: string[]) => cgroupProgram('run', cgroup, ...steps);
const settings = (resources: object) => cgroupProgram('settings', JSON.stringify(resources));

/**
 * Runs the program in a mount namespace of its own, after the script `mounts` has changed
 * /sys/fs/cgroup.
 */
function runUnder(mounts: string, ...args: string[]): string[] {
  const script = `${mounts}; exec "$@"`;
  const { stdout } = spawnSync(
    'unshare',
    ['-m', '--propagation', 'private', 'sh', '-ec', script, 'sh', program, ...args],
    { encoding: 'utf8' },
  );
  return linesOf(stdout);
}

const withoutCgroup2 = 'mount -t tmpfs none /sys/fs/cgroup';

t.test('where the tree is', asRoot, async (t) => {
  const elsewhere = 'd=$(mktemp -d); mkdir "$d/a b"; mount -t cgroup2 none "$d/a b"';
  t.strictSame(runUnder('umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup', 'host'), [
    'unified /sys/fs/cgroup',
  ]);
  t.strictSame(runUnder(withoutCgroup2, 'host'), ['legacy']);
  const [host] = runUnder(`${withoutCgroup2}; ${elsewhere}`, 'host');
  t.match(host, /^hybrid .*\/a b$/, 'in a directory with a blank in its name');
});

t.test('where a cgroup is', async (t) => {
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  const parent = own.slice(0, own.lastIndexOf('/'));
  const path = (given: string, mode = 'unified') => cgroupProgram('path', mode, given, 'web')[0];
  t.equal(path('/a/b'), '/a/b');
  t.equal(path('/a/./b//c/../d/'), '/a/b/d');
  t.equal(path('a/b'), `${parent}/a/b`, 'relative to the parent of the own cgroup');
  t.equal(path(''), `${parent}/web`, 'the id');
  t.equal(path('', 'hybrid'), `${parent}/web`);
  t.equal(path('', 'legacy'), '/web');
  for (const [given, message] of [
    ['/', 'names no cgroup of its own; name one below it'],
    ['/a/..', 'names no cgroup of its own; name one below it'],
    ['/a/../../b', 'leaves the place where it begins; write it without ".."'],
    ['../b', 'leaves the place where it begins; write it without ".."'],
  ] as const) {
    t.strictSame(cgroupProgram('path', 'unified', given, 'web'), [
      `ERR_TARE_INVALID_CONFIG config.json: linux.cgroupsPath: "${given}" ${message}`,
      'status 1',
    ]);
  }
});

t.test('a life', asRoot, async (t) => {
  t.strictSame(
    run(
      'create',
      'exists',
      'spawn',
      'spawn-below=inner',
      'processes',
      'kill',
      'wait',
      'reap',
      'processes',
      'remove',
      'exists',
      'open',
      'remove',
    ),
    [
      'create: made',
      'exists: true',
      'spawn: ok',
      'spawn-below: ok',
      'processes: 2 mine',
      'kill: ok',
      'wait: ok',
      'reap: signal 9, signal 9',
      'processes: 0 mine',
      'remove: ok',
      'exists: false',
      'open: none',
      'remove: ok',
    ],
  );
  t.strictSame(
    run('create', 'spawn', 'spawn-below=inner', 'kill', 'remove', 'exists', 'reap'),
    [
      'create: made',
      'spawn: ok',
      'spawn-below: ok',
      'kill: ok',
      'remove: ok',
      'exists: false',
      'reap: signal 9, signal 9',
    ],
    'remove waits for processes that are ending',
  );
  t.strictSame(
    run('create', 'spawn-ending=30', 'spawn-below=inner', 'signal=15', 'remove', 'reap'),
    [
      'create: made',
      'spawn-ending: ok',
      'spawn-below: ok',
      'signal: ok',
      'remove: ok',
      'reap: signal 15, signal 15',
    ],
  );
  t.strictSame(
    run('create', 'spawn-ending=30', 'wait', 'exists', 'reap', 'remove'),
    ['create: made', 'spawn-ending: ok', 'wait: ok', 'exists: true', 'reap: exit 7', 'remove: ok'],
    'wait ends with the last process',
  );
});

t.test('the end of a young process is noticed at once', asRoot, async (t) => {
  // The kernel keeps 10 ms between two notifications of cgroup.events. A busy machine may be late
  // by more than that, but not in every run.
  for (const step of ['wait', 'remove']) {
    const words = ['run', cgroup, 'create', 'spawn', 'spawn-below=inner', 'kill', step, 'remove'];
    const runs = Array.from({ length: 10 }, () => spawnSync(program, words, { encoding: 'utf8' }));
    t.ok(
      runs.some(({ stdout }) => stdout.includes(`kill: ok\n${step}: ok fast\n`)),
      step,
    );
  }
});

t.test('frozen', asRoot, async (t) => {
  t.strictSame(
    run(
      'create',
      'spawn',
      'spawn-below=inner',
      'frozen',
      'freeze',
      'frozen',
      'thaw',
      'frozen',
      'signal=15',
      'wait',
      'reap',
      'remove',
    ),
    [
      'create: made',
      'spawn: ok',
      'spawn-below: ok',
      'frozen: false',
      'freeze: ok',
      'frozen: true',
      'thaw: ok',
      'frozen: false',
      'signal: ok',
      'wait: ok',
      'reap: signal 15, signal 15',
      'remove: ok',
    ],
  );
  t.strictSame(
    run('create', 'spawn', 'freeze', 'kill', 'remove', 'reap'),
    ['create: made', 'spawn: ok', 'freeze: ok', 'kill: ok', 'remove: ok', 'reap: signal 9'],
    'a frozen process can be killed',
  );
});

t.test('an existing cgroup', asRoot, async (t) => {
  t.strictSame(run('create', 'create', 'remove'), ['create: made', 'create: used', 'remove: ok']);
  const place = /\S+$/.exec(cgroupProgram('host')[0]!)?.[0] + cgroup;
  const [, , refusal, status] = run('create', 'spawn-below=inner', 'create');
  t.match(
    refusal,
    new RegExp(
      `^ERR_TARE_ALREADY_EXISTS container's cgroup is not empty: 1 process\\(es\\) found in ${place}, ` +
        'one is \\d+; end them, or set linux.cgroupsPath to another place$',
    ),
  );
  t.equal(status, 'status 1');
  t.strictSame(run('open', 'remove'), ['open: used', 'remove: ok']);
  t.strictSame(run('create', 'write=cgroup.freeze=1', 'create'), [
    'create: made',
    'write: ok',
    `ERR_TARE_ALREADY_EXISTS container's cgroup unexpectedly frozen: write 0 to ${place}/cgroup.freeze, ` +
      'or set linux.cgroupsPath to another place',
    'status 1',
  ]);
  const inner = (...steps: string[]) => cgroupProgram('run', `${cgroup}/on/inner`, ...steps);
  t.strictSame(
    inner('create'),
    [
      `ERR_TARE_ALREADY_EXISTS container's cgroup unexpectedly frozen: write 0 to ${place}/cgroup.freeze, ` +
        'or set linux.cgroupsPath to another place',
      'status 1',
    ],
    'a new one below it would be frozen too',
  );
  t.strictSame(
    cgroupProgram('run', `${cgroup}/on`, 'exists'),
    ['exists: false'],
    'nothing is made',
  );
  t.strictSame(run('open', 'thaw', 'remove'), ['open: used', 'thaw: ok', 'remove: ok']);
});

t.test('nothing stays of a create that fails', asRoot, async (t) => {
  const below = `${cgroup}/made/on/the/way`;
  const error = cgroupProgram('run', `${below}/line\nfeed`, 'create').join('\n');
  t.match(
    error,
    /^ERR_TARE_SYSTEM unable to apply cgroup configuration: make cgroup .*: EINVAL \(Invalid argument\)/s,
  );
  t.strictSame(run('exists'), ['exists: false']);
  const [, file] = cgroupProgram('run', '/cgroup.procs', 'exists', 'create');
  t.match(
    file,
    /^ERR_TARE_SYSTEM .*\/cgroup\.procs: ENOTDIR .*; choose another linux\.cgroupsPath$/,
  );
});

t.test('delegated to a user namespace', asRoot, async (t) => {
  t.strictSame(run('create', 'delegate=1000', 'remove'), [
    'create: made',
    'delegate: 1000:1000 1000:1000 0:0',
    'remove: ok',
  ]);
});

t.test('where cgroup v2 is mounted nowhere', asRoot, async (t) => {
  t.strictSame(
    runUnder(
      withoutCgroup2,
      'run',
      cgroup,
      'create',
      'filter',
      'spawn',
      'processes',
      'kill',
      'remove',
      'reap',
      'open',
    ),
    [
      'create: made',
      'filter: ok',
      'spawn: ok',
      'processes: 1 mine',
      'kill: ok',
      'remove: ok',
      'reap: signal 9',
      'open: none',
    ],
    'the container is tracked all the same',
  );
});

t.test('as an ordinary user', asRoot, async (t) => {
  const asNobody = (...steps: string[]) => {
    const { stdout } = spawnSync(
      'setpriv',
      ['--reuid', '65534', '--regid', '65534', '--clear-groups', program, 'run', cgroup, ...steps],
      { encoding: 'utf8' },
    );
    return linesOf(stdout);
  };
  t.strictSame(asNobody('create-rootless'), ['create-rootless: none'], 'none without limits');
  t.match(
    asNobody('create')[0],
    /^ERR_TARE_SYSTEM unable to apply cgroup configuration: permission denied: make cgroup .*: EACCES \(Permission denied\); have a cgroup delegated to you/,
  );
  t.strictSame(asNobody('create-rootless', 'freeze'), [
    'create-rootless: none',
    'ERR_TARE_UNSUPPORTED the container has no cgroup (cgroup v2 is not there, or not for this user)',
  ]);
  t.match(
    asNobody('create-rootless={"unified":{"cgroup.max.depth":"3"}}')[0],
    /^ERR_TARE_UNSUPPORTED config\.json: linux\.resources\.unified\["cgroup\.max\.depth"\] needs a cgroup, and .* cannot be made: EACCES .*Delegate=yes …\), or remove the limit$/,
  );
});

t.test('limits that v2 does not offer here', asRoot, async (t) => {
  const lines = runUnder(withoutCgroup2, 'run', cgroup, 'create={"unified":{"nonesuch.max":"1"}}');
  t.strictSame(lines, [
    'ERR_TARE_UNSUPPORTED config.json: linux.resources.unified["nonesuch.max"] needs the nonesuch ' +
      'controller, which cgroup v2 (mounted nowhere here) does not offer (this kernel does not have it); ' +
      'boot one that has, or remove the limit',
  ]);
  t.strictSame(run('exists'), ['exists: false'], 'nothing is made');
  const v1 = readFileSync('/proc/cgroups', 'utf8')
    .split('\n')
    .map((line) => line.split('\t'))
    .find(([name, hierarchy]) => name === 'memory' && hierarchy !== '0');
  if (!v1) return;
  const mount = /\S+$/.exec(cgroupProgram('host')[0]!)?.[0];
  t.strictSame(run('create={"memory":{"limit":1000000}}'), [
    `ERR_TARE_UNSUPPORTED config.json: linux.resources.memory.limit needs the memory controller, which cgroup v2 at ${mount} ` +
      'does not offer (this host binds it to cgroup v1); boot with cgroup_no_v1=all or ' +
      'systemd.unified_cgroup_hierarchy=1, or remove the limit',
    'status 1',
  ]);
  t.strictSame(run('exists'), ['exists: false']);
});

t.test('zero, empty and unlimited need no controller', asRoot, async (t) => {
  const nothing = {
    memory: {
      limit: 0,
      reservation: 0,
      swap: 0,
      kernel: 0,
      useHierarchy: false,
      disableOOMKiller: false,
    },
    cpu: {
      shares: 0,
      quota: 0,
      period: 0,
      burst: 0,
      realtimeRuntime: 0,
      realtimePeriod: 0,
      idle: 0,
      cpus: '',
      mems: '',
    },
    pids: { limit: 0 },
    blockIO: {
      weight: 0,
      leafWeight: 0,
      weightDevice: [],
      throttleReadBpsDevice: [],
      throttleWriteBpsDevice: [],
      throttleReadIOPSDevice: [],
      throttleWriteIOPSDevice: [],
    },
    hugepageLimits: [],
    network: { classID: 0, priorities: [] },
    unified: {},
  };
  const unlimited = {
    memory: { limit: -1, swap: -1 },
    cpu: { quota: -1, period: 100000 },
    pids: { limit: -1 },
  };
  for (const resources of [nothing, unlimited, {}]) {
    const json = JSON.stringify(resources);
    t.strictSame(
      run(`create=${json}`, `apply=${json}`, 'remove'),
      ['create: made', 'apply: ok', 'remove: ok'],
      json,
    );
  }
});

t.test('limits as files', async (t) => {
  const cases: [object, string[]][] = [
    [{ pids: { limit: 100 } }, ['pids.max 100']],
    [{ pids: { limit: -1 } }, ['pids.max max ?']],
    [{ pids: { limit: 0 } }, ['pids.max 1 ?']],
    [
      { memory: { limit: 4096000, reservation: 1024000, swap: 5096000 } },
      ['memory.swap.max 1000000', 'memory.max 4096000', 'memory.low 1024000'],
    ],
    [{ memory: { limit: 4096, swap: 4096 } }, ['memory.swap.max 0 ?', 'memory.max 4096']],
    [{ memory: { limit: 4096, swap: 0 } }, ['memory.swap.max 0 ?', 'memory.max 4096']],
    [{ memory: { swap: 0 } }, ['memory.swap.max 0 ?']],
    [{ memory: { limit: 0, swap: 0 } }, ['']],
    [{ memory: { limit: -1, swap: 0 } }, ['memory.swap.max max ?', 'memory.max max ?']],
    [{ memory: { limit: 4096, swap: -1 } }, ['memory.swap.max max ?', 'memory.max 4096']],
    [{ memory: { limit: -1 } }, ['memory.swap.max max ?', 'memory.max max ?']],
    [{ memory: { limit: -1, swap: 5096 } }, ['memory.swap.max 5096', 'memory.max max ?']],
    [{ cpu: { shares: 1 } }, ['cpu.weight 1']],
    [{ cpu: { shares: 2 } }, ['cpu.weight 1']],
    [{ cpu: { shares: 512 } }, ['cpu.weight 59']],
    [{ cpu: { shares: 1024 } }, ['cpu.weight 100']],
    [{ cpu: { shares: 2048 } }, ['cpu.weight 174']],
    [{ cpu: { shares: 262144 } }, ['cpu.weight 10000']],
    [{ cpu: { quota: 20000, period: 50000 } }, ['cpu.max 20000 50000']],
    [{ cpu: { quota: 20000 } }, ['cpu.max 20000']],
    [{ cpu: { period: 50000 } }, ['cpu.max max 50000 ?']],
    [
      { cpu: { quota: 20000, burst: 10000 } },
      ['cpu.max.burst 10000 tentative', 'cpu.max 20000', 'cpu.max.burst 10000'],
    ],
    [{ cpu: { idle: 1, shares: 1024 } }, ['cpu.weight 100 tentative', 'cpu.idle 1']],
    [{ cpu: { idle: 0, shares: 1024 } }, ['cpu.idle 0 ?', 'cpu.weight 100']],
    [{ cpu: { cpus: '0-1', mems: '0' } }, ['cpuset.cpus 0-1', 'cpuset.mems 0']],
    [{ blockIO: { weight: 10 } }, ['io.bfq.weight 10', 'else io.weight 1']],
    [{ blockIO: { weight: 1000 } }, ['io.bfq.weight 1000', 'else io.weight 10000']],
    [
      { blockIO: { weightDevice: [{ major: 8, minor: 0, weight: 500 }] } },
      ['io.bfq.weight 8:0 500', 'else io.weight 8:0 4950'],
    ],
    [
      {
        blockIO: {
          throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
          throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 0 }],
          throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 5 }],
          throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 6 }],
        },
      },
      [
        'io.max 8:0 rbps=1000',
        'io.max 8:0 wbps=max ?',
        'io.max 8:0 riops=5',
        'io.max 8:16 wiops=6',
      ],
    ],
    [
      { hugepageLimits: [{ pageSize: '2MB', limit: 0 }] },
      ['hugetlb.2MB.max 0', 'hugetlb.2MB.rsvd.max 0'],
    ],
    [
      { rdma: { mlx5_1: { hcaHandles: 2, hcaObjects: 2000 } } },
      ['rdma.max mlx5_1 hca_handle=2 hca_object=2000'],
    ],
    [
      { unified: { 'io.max': '8:0 rbps=1\n8:16 rbps=2' } },
      ['io.max 8:0 rbps=1', 'io.max 8:16 rbps=2'],
    ],
    [
      { unified: { 'memory.high': '5' }, memory: { limit: 9 }, pids: { limit: 7 } },
      ['pids.max 7', 'memory.max 9', 'memory.high 5'],
    ],
  ];
  for (const [resources, expected] of cases) {
    t.strictSame(settings(resources), expected, JSON.stringify(resources));
  }
});

t.test('limits that are refused', async (t) => {
  const cases: [object, string][] = [
    [
      { memory: { swap: 5 } },
      'INVALID_CONFIG memory.swap: is the sum of memory and swap, and there is no memory limit to subtract from it; set memory.limit too',
    ],
    [
      { memory: { limit: 6, swap: 5 } },
      'INVALID_CONFIG memory.swap: is the sum of memory and swap, and 5 is less than memory.limit (6); raise it or remove it',
    ],
    [
      { memory: { limit: -2 } },
      'INVALID_CONFIG memory.limit: -2 is no number of bytes; give one, or -1 for no limit',
    ],
    [
      { blockIO: { weight: 5 } },
      'INVALID_CONFIG blockIO.weight: 5 is out of range; give 10 to 1000',
    ],
    [
      { hugepageLimits: [{ pageSize: '../2MB', limit: 1 }] },
      'INVALID_CONFIG hugepageLimits[0].pageSize: "../2MB" is no page size; write it like "64KB", "2MB" or "1GB"',
    ],
    [
      { unified: { '../x.y': '1' } },
      'INVALID_CONFIG unified["../x.y"]: the key is the name of a file of the cgroup, without slashes',
    ],
    [
      { unified: { memory: '1' } },
      'INVALID_CONFIG unified["memory"]: the key must be a file\'s name, CONTROLLER.PARAMETER',
    ],
  ];
  for (const [resources, message] of cases) {
    const [kind, rest] = [
      message.slice(0, message.indexOf(' ')),
      message.slice(message.indexOf(' ') + 1),
    ];
    t.strictSame(settings(resources), [
      `ERR_TARE_${kind} config.json: linux.resources.${rest}`,
      'status 1',
    ]);
  }
});

t.test('limits that only cgroup v1 has are named and come to nothing', async (t) => {
  const ignored = (resources: object) =>
    cgroupProgram('ignored', JSON.stringify(resources)).filter((line) => line !== '');
  const realtime = 'cgroup v2 does not limit the time of realtime processes';
  const leaf = "cgroup v2 weighs a cgroup's processes and children alike";
  const packets = 'cgroup v2 does not mark packets; nftables can, by `socket cgroupv2`';
  const cases: [object, string[]][] = [
    [
      { memory: { kernel: 1 } },
      ["memory.kernel: cgroup v2 counts the kernel's memory with memory.limit"],
    ],
    [
      { memory: { kernelTCP: 1 } },
      ['memory.kernelTCP: cgroup v2 counts socket buffers with memory.limit'],
    ],
    [
      { memory: { swappiness: 0 } },
      ['memory.swappiness: cgroup v2 has one vm.swappiness for the whole host'],
    ],
    [
      { memory: { disableOOMKiller: true } },
      ['memory.disableOOMKiller: cgroup v2 always has the OOM killer'],
    ],
    [
      { cpu: { realtimeRuntime: 1, realtimePeriod: 2 } },
      [`cpu.realtimeRuntime: ${realtime}`, `cpu.realtimePeriod: ${realtime}`],
    ],
    [
      { blockIO: { leafWeight: 10, weightDevice: [{ major: 8, minor: 0, leafWeight: 10 }] } },
      [`blockIO.leafWeight: ${leaf}`, `blockIO.weightDevice[0].leafWeight: ${leaf}`],
    ],
    [
      { network: { classID: 1, priorities: [{ name: 'lo', priority: 1 }] } },
      [`network.classID: ${packets}`, `network.priorities: ${packets}`],
    ],
    [
      {
        memory: { kernel: -1, kernelTCP: 0, disableOOMKiller: false, useHierarchy: true },
        cpu: { realtimeRuntime: 0, realtimePeriod: 0 },
        blockIO: { leafWeight: 0 },
        network: { classID: 0, priorities: [] },
      },
      [],
    ],
  ];
  for (const [resources, expected] of cases) {
    t.strictSame(
      ignored(resources),
      expected.map(
        (text) => `config.json: linux.resources.${text.replace(': ', ': ignored, as ')}`,
      ),
      JSON.stringify(resources),
    );
    t.strictSame(settings(resources), [''], 'nothing is written');
  }
});
