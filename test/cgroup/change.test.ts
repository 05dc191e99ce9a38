/** The writes of an update of resources, and the resources that are recorded afterwards. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { program as programOf } from '../support/build.js';

const program = programOf('cgroup');

/** Returns the writes, and the resources afterwards without empty members. */
function change(before: object, changes: object): { writes: string[]; after: object } {
  const args = ['change', JSON.stringify(before), JSON.stringify(changes)];
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8' });
  t.equal(stderr, '');
  t.equal(status, 0, stdout);
  const lines = stdout.trimEnd().split('\n');
  return { after: withoutEmpty(JSON.parse(lines.pop()!) as object) as object, writes: lines };
}

function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(withoutEmpty);
  const kept = Object.entries(value)
    .map(([key, item]) => [key, withoutEmpty(item)] as const)
    .filter(([, item]) => item !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

t.test('everything that resources hold is remembered', async (t) => {
  const all = {
    devices: [
      { allow: false, type: 'a', access: 'rwm' },
      { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
    ],
    memory: { limit: 100, reservation: 50, swap: 150, useHierarchy: true },
    cpu: { shares: 512, quota: -1, burst: 0, period: 50000, cpus: '0-1', mems: '0', idle: 0 },
    pids: { limit: -1 },
    blockIO: {
      weight: 100,
      weightDevice: [{ major: 8, minor: 0, weight: 300 }],
      throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
      throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 2 }],
      throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 3 }],
      throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 4 }],
    },
    hugepageLimits: [{ pageSize: '2MB', limit: 4096 }],
    rdma: { mlx5: { hcaHandles: 1, hcaObjects: 2 } },
    unified: { 'memory.high': '75', 'a"b.c': '\\n' },
  };
  const { writes, after } = change(all, {});
  t.strictSame(after, all);
  t.strictSame(writes, [], 'nothing is written that is not named');
});

t.test('what is named is written, and what follows from it', async (t) => {
  const before = {
    memory: { limit: 1000, swap: 3000, reservation: 500 },
    cpu: { shares: 1024, quota: 20000, period: 50000 },
    pids: { limit: 10 },
  };
  for (const [changes, writes, after] of [
    [{ pids: { limit: 20 } }, ['pids.max 20'], { pids: { limit: 20 } }],
    [{ pids: { limit: 0 } }, ['pids.max 1'], { pids: { limit: 0 } }],
    [
      { memory: { reservation: 600 } },
      ['memory.low 600'],
      { memory: { limit: 1000, reservation: 600 } },
    ],
    [{ memory: { limit: 2000 } }, ['memory.swap.max 1000', 'memory.max 2000'], {}],
    [{ memory: { swap: 4000 } }, ['memory.swap.max 3000'], { memory: { limit: 1000, swap: 4000 } }],
    [{ memory: { limit: 1000 } }, ['memory.max 1000'], {}],
    [
      { memory: { limit: -1 } },
      ['memory.swap.max max', 'memory.max max'],
      { memory: { limit: -1, swap: undefined } },
    ],
    [{ cpu: { quota: 30000 } }, ['cpu.max 30000 50000'], {}],
    [{ cpu: { period: 60000 } }, ['cpu.max 20000 60000'], {}],
    [{ cpu: { quota: -1 } }, ['cpu.max max 50000'], { cpu: { quota: -1, period: 50000 } }],
    [{ cpu: { burst: 100 } }, ['cpu.max.burst 100', 'cpu.max.burst 100'], {}],
    [{ cpu: { idle: 1 } }, ['cpu.idle 1'], { cpu: { idle: 1, shares: 1024 } }],
    [{ cpu: { idle: 0 } }, ['cpu.idle 0', 'cpu.weight 100'], {}],
    [{ cpu: { cpus: '1' } }, ['cpuset.cpus 1'], { cpu: { cpus: '1', quota: 20000 } }],
    [
      {
        memory: { limit: 0, swap: 0 },
        cpu: { shares: 0, quota: 0, period: 0, cpus: '' },
        blockIO: { weight: 0 },
      },
      [],
      before,
    ],
  ] as const) {
    const result = change(before, changes);
    t.strictSame(result.writes, writes, JSON.stringify(changes));
    t.match(result.after, after, JSON.stringify(changes));
  }
});

t.test('no swap stays so, whatever else is changed', async (t) => {
  const before = { memory: { limit: 1000, swap: 0 } };
  for (const [memory, writes, after] of [
    [{ limit: 2000 }, ['memory.max 2000'], { limit: 2000, swap: 0 }],
    [{ swap: 0 }, [], { limit: 1000, swap: 0 }],
    [{ swap: 3000 }, ['memory.swap.max 2000'], { limit: 1000, swap: 3000 }],
    [{ limit: -1 }, ['memory.swap.max max', 'memory.max max'], { limit: -1 }],
  ] as const) {
    const result = change(before, { memory });
    t.strictSame(result.writes, writes, JSON.stringify(memory));
    t.strictSame(result.after, { memory: after }, JSON.stringify(memory));
  }
});

t.test('devices, page sizes and keys take the place of the ones for the same', async (t) => {
  const device = (minor: number, rate: number) => ({ major: 8, minor, rate });
  const before = {
    blockIO: { throttleReadBpsDevice: [device(0, 1), device(0, 2), device(16, 3)] },
    hugepageLimits: [{ pageSize: '2MB', limit: 2097152 }],
    unified: { 'memory.high': '100', 'io.max': '8:0 wbps=5' },
  };
  const { writes, after } = change(before, {
    blockIO: { throttleReadBpsDevice: [device(0, 7), device(32, 8)] },
    hugepageLimits: [
      { pageSize: '2MB', limit: 0 },
      { pageSize: '1GB', limit: 0 },
    ],
    unified: { 'memory.high': '200', 'memory.min': '10' },
  });
  t.strictSame(after, {
    blockIO: { throttleReadBpsDevice: [device(0, 1), device(0, 7), device(16, 3), device(32, 8)] },
    hugepageLimits: [
      { pageSize: '2MB', limit: 0 },
      { pageSize: '1GB', limit: 0 },
    ],
    unified: { 'memory.high': '200', 'io.max': '8:0 wbps=5', 'memory.min': '10' },
  });
  t.strictSame(writes, [
    ...['8:0 rbps=1', '8:0 rbps=7', '8:16 rbps=3', '8:32 rbps=8'].map((limit) => `io.max ${limit}`),
    ...['2MB.max', '2MB.rsvd.max', '1GB.max', '1GB.rsvd.max'].map((file) => `hugetlb.${file} 0`),
    'memory.high 200',
    'memory.min 10',
  ]);
});

t.test('the newer of a field and a key of unified is what holds', async (t) => {
  const unified = { 'memory.max': '500', 'pids.max': '7' };
  const byField = change({ memory: { limit: 100 }, unified }, { memory: { limit: 200 } });
  t.strictSame(byField.writes, ['memory.max 200']);
  t.strictSame(byField.after, { memory: { limit: 200 }, unified: { 'pids.max': '7' } });
  const byKey = change({ memory: { limit: 100 } }, { unified });
  t.strictSame(byKey.writes, ['memory.max 500', 'pids.max 7']);
  const both = change({}, { memory: { limit: 200 }, unified });
  t.strictSame(both.writes, ['memory.max 200', 'memory.max 500', 'pids.max 7']);
});

t.test('device rules replace the list, and the filter where they differ', async (t) => {
  const none = { allow: false, type: 'a', access: 'rwm' };
  const full = { allow: true, type: 'c', major: 1, minor: 7, access: 'rw' };
  t.strictSame(change({ devices: [none] }, { devices: [none, full] }), {
    writes: ['devices'],
    after: { devices: [none, full] },
  });
  t.strictSame(change({ devices: [none, full] }, { devices: [none, full] }).writes, []);
  t.strictSame(change({ devices: [none, full] }, { pids: { limit: 3 } }), {
    writes: ['pids.max 3'],
    after: { devices: [none, full], pids: { limit: 3 } },
  });
});
