/** Containers whose cgroups are systemd units, on a machine booted with systemd. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Container } from '../../lib/index.js';
import { Counter, loadModules } from '../support/counter.js';
import { Sandbox, exitOf, state, type Config, type Result } from '../support/tare.js';
import { cgroupRoot, property, systemctl, unitExists } from '../support/systemd-units.js';

const sandbox = new Sandbox();
t.teardown(() => sandbox.remove());
const global = ['--systemd-cgroup'];

const tare = (args: string[], env?: NodeJS.ProcessEnv): Result =>
  sandbox.tare(args, { global, env });

function bundleOf(args: string[], edit?: (config: Config) => void): string {
  return sandbox.bundle(args, edit);
}

/** Starts a container and returns its id; `edit` changes its config. */
async function started(
  t: Test,
  name: string,
  edit?: (config: Config) => void,
  args = ['sleep', '1000'],
): Promise<string> {
  const id = sandbox.id(name);
  const bundle = bundleOf(args, edit);
  const child = sandbox.spawn(['run', '--detach', '--bundle', bundle, id], {
    global,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.equal(await exitOf(child), 0, `${name} runs`);
  return id;
}

const cgroupOf = (id: string): string => {
  const { pid } = state(sandbox.must(['state', id]).stdout);
  return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
};

const fileOf = (id: string, file: string): string =>
  readFileSync(join(cgroupRoot, cgroupOf(id), file), 'utf8').trim();

function limited(config: Config): void {
  config.linux.resources = {
    ...(config.linux.resources as object),
    memory: { limit: 64 << 20, swap: 96 << 20, reservation: 32 << 20 },
    cpu: { shares: 512, quota: 12345, period: 50_000, cpus: '0', mems: '0' },
    pids: { limit: 42 },
    blockIO: { weight: 500 },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }],
    unified: { 'memory.high': '50331648', 'cgroup.max.descendants': '3' },
  };
}

/** Checks that the unit and the cgroup have those limits. */
function checkLimits(t: Test, id: string, unit: string): void {
  for (const [name, value] of [
    ['MemoryMax', `${64 << 20}`],
    ['MemorySwapMax', `${32 << 20}`],
    ['MemoryLow', `${32 << 20}`],
    ['MemoryHigh', '50331648'],
    ['CPUWeight', '59'],
    ['CPUQuotaPerSecUSec', '250ms'],
    ['CPUQuotaPeriodUSec', '50ms'],
    ['AllowedCPUs', '0'],
    ['AllowedMemoryNodes', '0'],
    ['TasksMax', '42'],
    ['IOWeight', '4950'],
  ]) {
    t.equal(property(unit, name!), value!, name!);
  }
  for (const [file, value] of [
    ['memory.max', `${64 << 20}`],
    ['memory.swap.max', `${32 << 20}`],
    ['memory.low', `${32 << 20}`],
    ['memory.high', '50331648'],
    ['cpu.weight', '59'],
    ['cpu.max', '12500 50000'],
    ['cpuset.cpus', '0'],
    ['cpuset.mems', '0'],
    ['pids.max', '42'],
    ['io.weight', 'default 4950'],
    ['hugetlb.2MB.max', `${4 << 20}`],
    ['cgroup.max.descendants', '3'],
  ]) {
    t.equal(fileOf(id, file!), value!, file!);
  }
}

sandbox.test('run.oci.systemd.subgroup and run.oci.delegate-cgroup: below the scope', async (t) => {
  const id = await started(t, 'below', (config) => {
    limited(config);
    config.annotations = {
      'run.oci.systemd.subgroup': 'inner',
      'run.oci.delegate-cgroup': 'payload',
    };
  });
  const unit = `tare-${id}.scope`;
  t.equal(cgroupOf(id), `/system.slice/${unit}/inner/payload`);
  t.equal(property(unit, 'TasksMax'), '42', 'limits are the scope’s');
  const limit = join(cgroupRoot, 'system.slice', unit, 'memory.max');
  t.equal(readFileSync(limit, 'utf8').trim(), `${64 << 20}`);
  const seen = sandbox.must(['exec', id, 'grep', '^0::', '/proc/self/cgroup', '/proc/1/cgroup']);
  t.equal(seen.stdout, '/proc/self/cgroup:0::/payload\n/proc/1/cgroup:0::/payload\n');
  sandbox.must(['update', '--pids-limit', '43', id]);
  t.equal(property(unit, 'TasksMax'), '43');
  sandbox.must(['pause', id]);
  t.equal(state(sandbox.must(['state', id]).stdout).status, 'paused');
  sandbox.must(['resume', id]);
  sandbox.must(['delete', '--force', id]);
  t.notOk(unitExists(unit));
});

sandbox.test('a container is a scope of systemd', async (t) => {
  const id = await started(t, 'life');
  const unit = `tare-${id}.scope`;
  t.equal(cgroupOf(id), `/system.slice/${unit}`);
  t.equal(property(unit, 'ControlGroup'), `/system.slice/${unit}`);
  t.equal(property(unit, 'ActiveState'), 'active');
  t.equal(property(unit, 'Description'), `tare container ${id}`);
  t.equal(property(unit, 'Delegate'), 'yes');
  t.equal(property(unit, 'DefaultDependencies'), 'no');
  t.equal(property(unit, 'NeedDaemonReload'), 'no');
  t.equal(property(unit, 'TasksMax'), '2359', 'the manager’s own default, where none is asked for');

  // The other verbs find the cgroup without --systemd-cgroup.
  t.equal(
    sandbox.must(['exec', id, 'cat', '/proc/self/cgroup']).stdout,
    '0::/\n',
    'the scope is the root of the cgroup namespace, also for exec',
  );
  const exec = sandbox.spawn(['exec', '--detach', id, 'sleep', '1000'], { stdio: 'ignore' });
  t.equal(await exitOf(exec), 0);
  t.equal(fileOf(id, 'cgroup.procs').split('\n').length, 2, 'exec enters the scope');
  t.equal(sandbox.must(['ps', '--format', 'json', id]).stdout.split(',').length, 2);
  sandbox.must(['kill', id, 'KILL']);
  const cgroup = join(cgroupRoot, 'system.slice', unit);
  while (state(sandbox.must(['state', id]).stdout).status !== 'stopped') {
    await new Promise((done) => setTimeout(done, 50));
  }
  sandbox.must(['delete', id]);
  t.notOk(existsSync(cgroup), 'the cgroup ends with the container');
  t.notOk(unitExists(unit), 'so does the unit');
});

sandbox.test(
  'limits are in the unit and in the cgroup, also when systemd is reloaded',
  async (t) => {
    const id = await started(t, 'limits', limited);
    const unit = `tare-${id}.scope`;
    checkLimits(t, id, unit);
    systemctl('daemon-reload');
    t.equal(property(unit, 'NeedDaemonReload'), 'no');
    checkLimits(t, id, unit);
    systemctl('daemon-reexec');
    checkLimits(t, id, unit);
    sandbox.must(['delete', '--force', id]);
    t.notOk(unitExists(unit));
  },
);

sandbox.test('linux.cgroupsPath names slice and unit', async (t) => {
  for (const [name, path, cgroup] of [
    [
      'nested',
      'machine-web-front.slice:pre:nested',
      '/machine.slice/machine-web.slice/machine-web-front.slice/pre-nested.scope',
    ],
    ['root', '-.slice:pre:root', '/pre-root.scope'],
    ['dash', '-:pre:dash', '/pre-dash.scope'],
    ['prefix', '::bare', '/system.slice/-bare.scope'],
    ['underscore', 'system.slice:_x:name', '/system.slice/__x-name.scope'],
    ['two', 'machine.slice:two', '/machine.slice/two.scope'],
  ] as const) {
    const id = await started(t, name, (config) => {
      config.linux.cgroupsPath = path;
    });
    t.equal(cgroupOf(id), cgroup);
    sandbox.must(['delete', '--force', id]);
    t.notOk(existsSync(join(cgroupRoot, cgroup)));
  }
  const plus = sandbox.id('a+b');
  t.equal(tare(['create', '--bundle', bundleOf(['true']), plus]).status, 0);
  t.equal(cgroupOf(plus), `/system.slice/tare-${plus.replace('+', '\\x2b')}.scope`);
  sandbox.must(['delete', '--force', plus]);
});

sandbox.test('without a cgroup namespace of its own', async (t) => {
  const id = await started(t, 'hostns', (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
  });
  t.equal(
    sandbox.must(['exec', id, 'cat', '/proc/self/cgroup']).stdout,
    `0::/system.slice/tare-${id}.scope\n`,
  );
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('a user namespace owns the scope where it can write to it', async (t) => {
  const id = await started(t, 'userns', (config) => {
    config.linux.namespaces.push({ type: 'user' });
    config.linux['uidMappings'] = [{ containerID: 0, hostID: 100000, size: 65536 }];
    config.linux['gidMappings'] = [{ containerID: 0, hostID: 100000, size: 65536 }];
    for (const mount of config.mounts) {
      if (mount.type === 'cgroup') mount.options = ['nosuid', 'noexec', 'nodev', 'relatime', 'rw'];
    }
  });
  const owner = sandbox.must(['exec', id, 'stat', '-c', '%u', '/sys/fs/cgroup']).stdout;
  t.equal(owner, '0\n');
  t.equal(
    sandbox.must(['exec', id, 'sh', '-c', 'mkdir /sys/fs/cgroup/x && echo made']).stdout,
    'made\n',
  );
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('annotations are properties of the unit', async (t) => {
  const id = await started(t, 'annotated', (config) => {
    config.annotations = {
      'org.systemd.property.TimeoutStopSec': '7.5',
      'org.systemd.property.CollectMode': "'inactive-or-failed'",
      'org.systemd.property.SendSIGHUP': 'true',
      'org.systemd.property.Before': "['a.service', 'b.service']",
      'org.systemd.property.Description': "'mine'",
      'other.annotation': '!',
    };
  });
  const unit = `tare-${id}.scope`;
  t.equal(property(unit, 'TimeoutStopUSec'), '7.500000s');
  t.equal(property(unit, 'CollectMode'), 'inactive-or-failed');
  t.equal(property(unit, 'SendSIGHUP'), 'yes');
  t.match(property(unit, 'Before'), /a\.service/);
  t.equal(property(unit, 'Description'), 'mine');
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('what systemd refuses ends create, and nothing stays', async (t) => {
  for (const [name, annotations, error] of [
    ['unknown', { NoSuchProperty: 'true' }, /NoSuchProperty.*\(properties come from/],
    ['type', { CollectMode: 'uint32 5' }, /unable to start unit "tare-.*-type\.scope": /],
  ] as const) {
    const id = sandbox.id(name);
    const bundle = bundleOf(['true'], (config) => {
      config.annotations = Object.fromEntries(
        Object.entries(annotations).map(([key, value]) => [`org.systemd.property.${key}`, value]),
      );
    });
    const run = tare(['run', '--bundle', bundle, id]);
    t.equal(run.status, 1);
    t.match(run.error, error);
    t.notOk(unitExists(`tare-${id}.scope`));
    t.strictSame(sandbox.leftovers(), []);
  }
});

sandbox.test('a container that does not start leaves no unit', async (t) => {
  const id = sandbox.id('broken');
  for (const edit of [
    (config: Config) => config.mounts.push({ destination: '/x', type: 'nosuchfs', source: 'x' }),
    (config: Config) => {
      config.process.args = ['/nosuchprogram'];
    },
    (config: Config) => {
      config.linux.resources = { unified: { 'memory.nosuchfile': '1' } };
    },
  ]) {
    const { status } = tare([
      'run',
      '--bundle',
      bundleOf(['true'], (config) => void edit(config)),
      id,
    ]);
    t.equal(status, 1);
    t.notOk(unitExists(`tare-${id}.scope`));
  }
});

sandbox.test('a name that is taken', async (t) => {
  const path = 'system.slice:tare:taken';
  const withPath = (config: Config) => {
    config.linux.cgroupsPath = path;
  };
  const first = await started(t, 'first', withPath);
  const second = tare(['run', '--bundle', bundleOf(['true'], withPath), sandbox.id('second')]);
  t.equal(second.status, 1);
  t.match(
    second.error,
    "container's cgroup is not empty: 1 process(es) found in /sys/fs/cgroup/system.slice/tare-taken.scope",
  );
  t.match(second.error, 'set linux.cgroupsPath to another place');
  t.equal(state(sandbox.must(['state', first]).stdout).status, 'running', 'the first lives on');
  sandbox.must(['delete', '--force', first]);

  // The remains of a failed unit do not prevent a start.
  const dies = ['--scope', '--unit=tare-taken', '-p', 'RuntimeMaxSec=1', 'sleep', '1000'];
  spawnSync('systemd-run', dies);
  t.equal(property('tare-taken.scope', 'ActiveState'), 'failed');
  const third = await started(t, 'third', withPath);
  t.equal(property('tare-taken.scope', 'ActiveState'), 'active');
  sandbox.must(['delete', '--force', third]);
});

sandbox.test('a frozen cgroup is refused before a unit is started', async (t) => {
  for (const [name, frozen] of [
    ['own', 'system.slice/tare-own.scope'],
    ['above', 'cold.slice'],
  ] as const) {
    const directory = join(cgroupRoot, frozen);
    mkdirSync(directory);
    writeFileSync(join(directory, 'cgroup.freeze'), '1');
    const began = performance.now();
    const { status, error } = tare([
      'create',
      '--bundle',
      bundleOf(['true'], (config) => {
        config.linux.cgroupsPath = `${frozen.split('/')[0]}:tare:${name}`;
      }),
      sandbox.id(name),
    ]);
    t.ok(performance.now() - began < 20_000, 'at once');
    t.equal(status, 1);
    t.match(error, `container's cgroup unexpectedly frozen: write 0 to ${directory}/cgroup.freeze`);
    t.notOk(unitExists(`tare-${name}.scope`));
    rmdirSync(directory);
  }
});

sandbox.test('delete has systemd forget a failed unit', async (t) => {
  const id = await started(t, 'fails', (config) => {
    config.annotations = {
      'org.systemd.property.RuntimeMaxSec': '1',
      'org.systemd.property.TimeoutStopSec': '1',
    };
  });
  const unit = `tare-${id}.scope`;
  while (property(unit, 'ActiveState') !== 'failed') {
    await new Promise((done) => setTimeout(done, 100));
  }
  t.equal(state(sandbox.must(['state', id]).stdout).status, 'stopped');
  sandbox.must(['delete', id]);
  t.notOk(unitExists(unit));
});

sandbox.test('device rules are systemd’s too, where it has words for them', async (t) => {
  const rules = [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' },
  ];
  const id = await started(t, 'devices', (config) => {
    config.linux.resources = { devices: rules };
  });
  const unit = `tare-${id}.scope`;
  const uses = 'echo x >/dev/null && head -c 1 /dev/zero | wc -c && ! cat /dev/kmsg 2>/dev/null';
  t.equal(property(unit, 'DevicePolicy'), 'strict');
  t.match(property(unit, 'DeviceAllow'), /\/dev\/char\/10:229 rw/);
  t.match(property(unit, 'DeviceAllow'), /char-136 rwm/);
  const use = () => sandbox.tare(['exec', id, 'sh', '-c', uses]).stdout;
  t.equal(use(), '1\n');
  systemctl('daemon-reload');
  t.equal(use(), '1\n', 'after systemd has filtered by itself');
  sandbox.must(['delete', '--force', id]);

  const other = await started(t, 'inverse', (config) => {
    config.linux.resources = {
      devices: [
        { allow: true, access: 'rwm' },
        { allow: false, type: 'c', major: 1, minor: 11, access: 'rwm' },
      ],
    };
  });
  t.equal(property(`tare-${other}.scope`, 'DevicePolicy'), 'auto');
  systemctl('daemon-reload');
  const kmsg = sandbox.tare(['exec', other, 'sh', '-c', 'mknod /dev/k c 1 11 && cat /dev/k']);
  t.not(kmsg.status, 0, 'the container’s own filter holds');
  sandbox.must(['delete', '--force', other]);
});

sandbox.test('by the message bus, and while that hangs', async (t) => {
  const bus = { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/run/dbus/system_bus_socket' };
  const bundle = bundleOf(['true']);
  const id = sandbox.id('bus');
  const run = tare(['run', '--bundle', bundle, id], bus);
  t.strictSame([run.status, run.stderr], [0, '']);
  t.notOk(unitExists(`tare-${id}.scope`));

  const daemon = property('dbus.service', 'MainPID');
  process.kill(Number(daemon), 'SIGSTOP');
  try {
    const direct = tare(['run', '--bundle', bundle, id]);
    t.strictSame([direct.status, direct.stderr], [0, ''], 'systemd’s own socket needs no bus');
  } finally {
    process.kill(Number(daemon), 'SIGCONT');
  }
});

sandbox.test('run in the foreground, and a container that ends by itself', async (t) => {
  const run = tare([
    'run',
    '--bundle',
    bundleOf(['sh', '-c', 'cat /proc/self/cgroup; exit 3']),
    sandbox.id('fg'),
  ]);
  t.strictSame([run.status, run.stdout, run.stderr], [3, '0::/\n', '']);
  t.strictSame(
    readdirSync(join(cgroupRoot, 'system.slice')).filter((name) => name.includes(sandbox.tag)),
    [],
  );
});

sandbox.test('update changes the unit and the cgroup', async (t) => {
  const id = await started(t, 'update', limited);
  const unit = `tare-${id}.scope`;
  sandbox.must([
    ...['update', '--memory', `${32 << 20}`, '--memory-swap', `${48 << 20}`, '--pids-limit', '50'],
    ...['--cpu-quota', '30000', '--cpu-period', '10000', '--cpuset-cpus', '1', id],
  ]);
  const check = (): void => {
    for (const [name, file, property_, value] of [
      ['memory', 'memory.max', 'MemoryMax', `${32 << 20}`],
      ['swap', 'memory.swap.max', 'MemorySwapMax', `${16 << 20}`],
      ['pids', 'pids.max', 'TasksMax', '50'],
      ['cpus', 'cpuset.cpus', 'AllowedCPUs', '1'],
    ] as const) {
      t.equal(fileOf(id, file), value, name);
      t.equal(property(unit, property_), value, name);
    }
    t.equal(fileOf(id, 'cpu.max'), '30000 10000');
    t.equal(property(unit, 'CPUQuotaPerSecUSec'), '3s');
    t.equal(property(unit, 'CPUQuotaPeriodUSec'), '10ms');
  };
  check();
  systemctl('daemon-reload');
  check();

  const refused = sandbox.tare(['update', '--resources', '-', id], {
    input: JSON.stringify({
      memory: { limit: 40 << 20 },
      unified: { 'memory.nosuchfile': '1' },
    }),
  });
  t.equal(refused.status, 1);
  check();

  const idle = sandbox.must(['update', '--cpu-share', '200', '--cpu-idle', '1', id]);
  t.match(idle.stderr, 'unable to apply both');
  t.equal(fileOf(id, 'cpu.idle'), '1');
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('checkpoint and restore', async (t) => {
  loadModules();
  const one = await Counter.run(sandbox, 'saved', { edit: limited, global });
  const other = sandbox.id('restored');
  const unit = (id: string): string => `tare-${id}.scope`;
  const from = one.checkpoint(t);
  t.notOk(unitExists(unit(one.id)), 'the scope ends with the container');
  await one.restoreAs(t, other);
  await one.goesOn(t, from);
  t.equal(cgroupOf(other), `/system.slice/${unit(other)}`);
  checkLimits(t, other, unit(other));
  one.remove(other);
  t.notOk(unitExists(unit(other)));
});

sandbox.test('pause, resume, and delete of a paused container', async (t) => {
  const id = await started(t, 'paused');
  sandbox.must(['pause', id]);
  t.equal(state(sandbox.must(['state', id]).stdout).status, 'paused');
  systemctl('daemon-reload');
  t.equal(fileOf(id, 'cgroup.freeze'), '1', 'systemd lets it be');
  sandbox.must(['resume', id]);
  t.equal(sandbox.must(['exec', id, 'echo', 'runs']).stdout, 'runs\n');
  sandbox.must(['pause', id]);
  sandbox.must(['delete', '--force', id]);
  t.notOk(unitExists(`tare-${id}.scope`));
});

sandbox.test('the library makes units too', async (t) => {
  const id = sandbox.id('library');
  const container = await Container.create(id, {
    root: sandbox.root,
    bundle: bundleOf(['sleep', '1000']),
    systemdCgroup: true,
  });
  t.equal(cgroupOf(id), `/system.slice/tare-${id}.scope`);
  await container.start();
  const opened = await Container.open(id, { root: sandbox.root });
  await opened.delete({ force: true });
  t.notOk(unitExists(`tare-${id}.scope`));
});
