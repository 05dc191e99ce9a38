/**
 * Requests to systemd: units, and their properties from resources, device rules and annotations.
 */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { program as programOf } from '../support/build.js';

const program = programOf('systemd');

function lines(...args: string[]): string[] {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  t.equal(stderr, '', args.join(' '));
  return stdout === '' ? [] : stdout.trimEnd().split('\n');
}

t.test('linux.cgroupsPath names a unit', (t) => {
  for (const [path, answer] of [
    ['', '"" tare-web.scope /system.slice/tare-web.scope'],
    [
      'system.slice:docker:1234',
      '"system.slice" docker-1234.scope /system.slice/docker-1234.scope',
    ],
    ['a-b-c.slice:p:n', '"a-b-c.slice" p-n.scope /a.slice/a-b.slice/a-b-c.slice/p-n.scope'],
    ['-:p:n', '"-.slice" p-n.scope /p-n.scope'],
    ['-.slice:p:n', '"-.slice" p-n.scope /p-n.scope'],
    ['::n', '"" -n.scope /system.slice/-n.scope'],
    ['::', '"" -.scope /system.slice/-.scope'],
    [':_x:n', '"" _x-n.scope /system.slice/__x-n.scope'],
    // crun's form with two parts.
    ['a-b.slice:n', '"a-b.slice" n.scope /a.slice/a-b.slice/n.scope'],
    [':n', '"" n.scope /system.slice/n.scope'],
    ['-:_n', '"-.slice" _n.scope /__n.scope'],
  ] as const) {
    t.strictSame(lines('unit', path, 'web'), [answer], path);
  }
  t.strictSame(lines('unit', '', 'a+b'), [
    '"" tare-a\\x2bb.scope /system.slice/tare-a\\x2bb.scope',
  ]);
  const format =
    'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "GIVEN" instead; ' +
    'write it like system.slice:tare:web or, without a prefix, system.slice:web, or leave --systemd-cgroup out';
  for (const [path, message] of [
    ['/a/b', format],
    ['name', format],
    ['a:b:c:d', format],
    ['a:p:n', 'invalid slice name: a'],
    ['a:n', 'invalid slice name: a'],
    ['a.slice:', '"a.slice:" has no name after the slice; write it like system.slice:web'],
    [
      'a.slice:n.slice',
      '"n.slice" is a slice, which cannot hold processes; give the name of a scope',
    ],
    ['.slice:p:n', 'invalid slice name: .slice'],
    ['a/b.slice:p:n', 'invalid slice name: a/b.slice'],
    ['a--b.slice:p:n', 'invalid slice name: a--b.slice'],
    ['-a.slice:p:n', 'invalid slice name: -a.slice'],
    ['a-.slice:p:n', 'invalid slice name: a-.slice'],
    [':p:n.slice', '"n.slice" is a slice, which cannot hold processes; give the name of a scope'],
    [
      ':p:a/b',
      'invalid unit name "p-a/b.scope": it contains "/"; use letters, digits, ":", "-", "_" and "."',
    ],
    [
      `:p:${'n'.repeat(300)}`,
      "the unit's name would have 308 characters; systemd's limit is 255: shorten it",
    ],
  ] as const) {
    t.strictSame(
      lines('unit', path, 'web'),
      [`ERR_TARE_INVALID_CONFIG config.json: linux.cgroupsPath: ${message.replace('GIVEN', path)}`],
      path,
    );
  }
  t.end();
});

const resources = (value: object, version = 252) =>
  lines('resources', String(version), JSON.stringify(value));
const infinity = '18446744073709551615';

t.test('linux.resources as properties', (t) => {
  t.strictSame(resources({}), []);
  t.strictSame(
    resources({
      memory: { limit: 64 << 20, swap: 96 << 20, reservation: 32 << 20 },
      cpu: { shares: 1024, cpus: '0,2-3', mems: '0' },
      pids: { limit: 42 },
      blockIO: { weight: 500 },
    }),
    [
      'TasksMax t 42',
      'MemorySwapMax t 33554432',
      'MemoryMax t 67108864',
      'MemoryLow t 33554432',
      'IOWeight t 4950',
      'CPUWeight t 100',
      'AllowedCPUs ay [13]',
      'AllowedMemoryNodes ay [1]',
    ],
  );
  t.strictSame(resources({ pids: { limit: -1 } }), [`TasksMax t ${infinity}`]);
  t.strictSame(resources({ pids: { limit: 0 } }), ['TasksMax t 1'], 'systemd takes no 0');
  t.strictSame(resources({ memory: { limit: -1, swap: -1 } }), [
    `MemorySwapMax t ${infinity}`,
    `MemoryMax t ${infinity}`,
  ]);
  // No swap; where the memory limit is 0 too, neither is set.
  t.strictSame(resources({ memory: { limit: 4096, swap: 0 } }), [
    'MemorySwapMax t 0',
    'MemoryMax t 4096',
  ]);
  t.strictSame(resources({ memory: { swap: 0 } }), ['MemorySwapMax t 0']);
  t.strictSame(resources({ memory: { limit: 0, swap: 0 } }), []);
  t.strictSame(resources({ cpu: { cpus: '0-9' } }), ['AllowedCPUs ay [255, 3]']);
  t.end();
});

t.test('a quota is rounded up to hundredths of a processor, here and in the cgroup', (t) => {
  for (const [cpu, answer] of [
    [{ quota: 50_000 }, ['CPUQuotaPerSecUSec t 500000', 'cpu.max: 50000']],
    [
      { quota: 12_345, period: 50_000 },
      ['CPUQuotaPeriodUSec t 50000', 'CPUQuotaPerSecUSec t 250000', 'cpu.max: 12500 50000'],
    ],
    [
      { quota: 1001, period: 1000 },
      ['CPUQuotaPeriodUSec t 1000', 'CPUQuotaPerSecUSec t 1010000', 'cpu.max: 1010 1000'],
    ],
    [{ quota: -1 }, [`CPUQuotaPerSecUSec t ${infinity}`, 'cpu.max: max']],
    [
      { quota: -1, period: 1000 },
      ['CPUQuotaPeriodUSec t 1000', `CPUQuotaPerSecUSec t ${infinity}`, 'cpu.max: max 1000'],
    ],
  ] as const) {
    t.strictSame(resources({ cpu }), answer, JSON.stringify(cpu));
  }
  t.end();
});

t.test('the unified map as properties', (t) => {
  t.strictSame(
    resources({
      unified: {
        'cpu.max': '2000 10000',
        'cpu.weight': ' 42\n',
        'cpuset.cpus': '1',
        'cpuset.mems': '0',
        'io.weight': 'default 200',
        'memory.high': '20M',
        'memory.low': 'max',
        'memory.max': '41943040',
        'memory.min': '0',
        'memory.swap.max': '1g',
        'pids.max': '0',
        'hugetlb.2MB.max': '0',
      },
    }),
    [
      'CPUQuotaPeriodUSec t 10000',
      'CPUQuotaPerSecUSec t 200000',
      'CPUWeight t 42',
      'AllowedCPUs ay [2]',
      'AllowedMemoryNodes ay [1]',
      'IOWeight t 200',
      'MemoryHigh t 20971520',
      `MemoryLow t ${infinity}`,
      'MemoryMax t 41943040',
      'MemoryMin t 0',
      'MemorySwapMax t 1073741824',
      'TasksMax t 1',
      'cpu.max: 2000 10000',
    ],
  );
  t.strictSame(resources({ unified: { 'io.weight': '8:0 200' } }), [], 'what is for one device');
  for (const [file, value] of [
    ['cpu.max', 'x'],
    ['cpu.max', '1 0'],
    ['cpu.weight', '-1'],
    ['cpuset.cpus', '3-1'],
    ['cpuset.cpus', '0-99999'],
    ['cpuset.mems', '0-3:1/2'],
    ['memory.max', '12Q'],
    ['memory.max', '99999999999T'],
    ['pids.max', ''],
  ] as const) {
    t.strictSame(
      resources({ unified: { [file]: value } }),
      [
        `ERR_TARE_INVALID_CONFIG config.json: linux.resources.unified["${file}"]: "${value}" has no ` +
          `equivalent among systemd's properties for ${file}; write it as a plain value`,
      ],
      `${file} ${value}`,
    );
  }
  t.end();
});

t.test('what depends on systemd’s version', (t) => {
  const cpu = { quota: 10_000, period: 10_000, cpus: '0' };
  t.strictSame(resources({ cpu }, 241), ['CPUQuotaPerSecUSec t 1000000', 'cpu.max: 10000 10000']);
  t.strictSame(resources({ cpu }, 243), [
    'CPUQuotaPeriodUSec t 10000',
    'CPUQuotaPerSecUSec t 1000000',
    'cpu.max: 10000 10000',
  ]);
  t.strictSame(resources({ cpu: { idle: 1 } }, 251), []);
  t.strictSame(resources({ cpu: { idle: 1 } }, 252), ['CPUWeight t 0']);
  t.strictSame(resources({ cpu: { idle: 0 } }, 252), []);
  t.strictSame(resources({ cpu: { idle: 1, shares: 1024 } }, 252), [
    'warning: unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight',
    'CPUWeight t 0',
  ]);
  for (const [group, policy] of [
    ['0', 'continue'],
    ['1', 'kill'],
  ]) {
    const unified = { 'memory.oom.group': group };
    t.strictSame(resources({ unified }, 252), []);
    t.strictSame(resources({ unified }, 253), [`OOMPolicy s '${policy}'`]);
  }
  t.end();
});

const devices = (rules: object[]) => lines('devices', JSON.stringify({ devices: rules }));
const usual = [
  "('char-*', 'm')",
  "('char-136', 'rwm')",
  ...['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:2', '10:200'].map(
    (number) => `('/dev/char/${number}', 'rwm')`,
  ),
];

t.test('device rules as an allow list', (t) => {
  const deny = { allow: false, access: 'rwm' };
  const list = (...entries: string[]) => [
    "DevicePolicy s 'strict'",
    `DeviceAllow a(ss) [${entries.join(', ')}]`,
  ];
  t.strictSame(devices([]), list(...usual, "('block-*', 'm')"));
  t.strictSame(devices([deny]), list(...usual, "('block-*', 'm')"));
  t.strictSame(
    devices([deny, { allow: true, type: 'b', major: 8, minor: 0, access: 'r' }]),
    list(...usual, "('block-*', 'm')", "('/dev/block/8:0', 'rm')"),
  );
  t.strictSame(
    devices([deny, { allow: true, type: 'b', major: 8, access: 'rw' }]),
    list(...usual, "('block-*', 'm')", "('block-8', 'rwm')"),
  );
  const nothing = ["DevicePolicy s 'auto'"];
  t.strictSame(devices([{ allow: true, access: 'rwm' }]), nothing, 'all is allowed');
  t.strictSame(
    devices([
      { allow: true, access: 'rwm' },
      { allow: false, type: 'c', major: 1, minor: 11, access: 'rwm' },
    ]),
    nothing,
    'all but one',
  );
  t.strictSame(
    devices([
      deny,
      { allow: true, type: 'b', major: 8, access: 'rw' },
      { allow: false, type: 'b', major: 8, minor: 1, access: 'w' },
    ]),
    nothing,
    'a whole major number but one device',
  );
  t.strictSame(
    devices([deny, { allow: true, type: 'c', minor: 7, access: 'r' }]),
    nothing,
    'any major number with one minor',
  );
  t.end();
});

t.test('annotations as properties', (t) => {
  const annotation = (name: string, value: string) =>
    lines('annotation', `org.systemd.property.${name}`, value);
  for (const [name, value, answer] of [
    ['TimeoutStopUSec', 'uint64 123456789', 'TimeoutStopUSec t 123456789'],
    ['TimeoutStopSec', '456', 'TimeoutStopUSec t 456000000'],
    ['TimeoutStopSec', 'byte 234', 'TimeoutStopUSec t 234000000'],
    ['TimeoutStopSec', 'int16 234', 'TimeoutStopUSec t 234000000'],
    ['TimeoutStopSec', 'uint64 234', 'TimeoutStopUSec t 234000000'],
    ['TimeoutStopSec', '234.789', 'TimeoutStopUSec t 234789000'],
    ['FOOSec', '123', 'FOOSec i 123'],
    ['Sec', '123', 'Sec i 123'],
    ['CollectMode', "'inactive-or-failed'", "CollectMode s 'inactive-or-failed'"],
    ['After', "['a.service', 'b.service']", "After as ['a.service', 'b.service']"],
    ['Delegate', 'false', 'Delegate b false'],
  ] as const) {
    t.strictSame(annotation(name, value), [answer], `${name}=${value}`);
  }
  t.strictSame(lines('annotation', 'some.other', '!'), []);
  for (const [name, value, message] of [
    ['TimeoutStopSec', 'false', 'value parse error: invalid number of seconds false'],
    ['TimeoutStopSec', "'x'", "value parse error: invalid number of seconds 'x'"],
    ['TimeoutStopSec', '-1', 'value parse error: invalid number of seconds -1'],
    ['TimeoutStopSec', '-0.5', 'value parse error: invalid number of seconds -0.5'],
    [
      'TimeoutStopSec',
      'uint64 18446744073710',
      'value parse error: invalid number of seconds uint64 18446744073710',
    ],
    ['Xo', '1', 'name incorrect: too short for a property of a unit'],
    [
      'Number1',
      '1',
      'name incorrect: contains non-alphabetic character; properties of units have letters only',
    ],
    [
      'ValidName',
      'invalid-value',
      'value parse error: invalid value "invalid"; put a text in quotation marks, at character 1 of ' +
        "invalid-value; it is written in GVariant's text format, such as 'text', true or uint64 5",
    ],
  ] as const) {
    t.strictSame(
      annotation(name, value),
      [
        `ERR_TARE_INVALID_CONFIG config.json: annotations["org.systemd.property.${name}"]: ${message}`,
      ],
      `${name}=${value}`,
    );
  }
  t.end();
});
