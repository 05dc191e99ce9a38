/** The limits and device rules of a systemd unit are those of its cgroup. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Counter, loadModules } from '../../support/counter.js';
import { state, type Config } from '../../support/tare.js';
import { cgroupRoot, property, systemctl, unitExists } from '../../support/systemd-units.js';
import { Scopes, global } from './scopes.js';

const scopes = new Scopes(t);

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
    t.equal(scopes.fileOf(id, file!), value!, file!);
  }
}

scopes.test('run.oci.systemd.subgroup and run.oci.delegate-cgroup: below the scope', async (t) => {
  const id = await scopes.started(t, 'below', (config) => {
    limited(config);
    config.annotations = {
      'run.oci.systemd.subgroup': 'inner',
      'run.oci.delegate-cgroup': 'payload',
    };
  });
  const unit = `tare-${id}.scope`;
  t.equal(scopes.cgroupOf(id), `/system.slice/${unit}/inner/payload`);
  t.equal(property(unit, 'TasksMax'), '42', 'limits are the scope’s');
  const limit = join(cgroupRoot, 'system.slice', unit, 'memory.max');
  t.equal(readFileSync(limit, 'utf8').trim(), `${64 << 20}`);
  const seen = scopes.must(['exec', id, 'grep', '^0::', '/proc/self/cgroup', '/proc/1/cgroup']);
  t.equal(seen.stdout, '/proc/self/cgroup:0::/payload\n/proc/1/cgroup:0::/payload\n');
  scopes.must(['update', '--pids-limit', '43', id]);
  t.equal(property(unit, 'TasksMax'), '43');
  scopes.must(['pause', id]);
  t.equal(state(scopes.must(['state', id]).stdout).status, 'paused');
  scopes.must(['resume', id]);
  scopes.must(['delete', '--force', id]);
  t.notOk(unitExists(unit));
});

scopes.test(
  'limits are in the unit and in the cgroup, also when systemd is reloaded',
  async (t) => {
    const id = await scopes.started(t, 'limits', limited);
    const unit = `tare-${id}.scope`;
    checkLimits(t, id, unit);
    systemctl('daemon-reload');
    t.equal(property(unit, 'NeedDaemonReload'), 'no');
    checkLimits(t, id, unit);
    systemctl('daemon-reexec');
    checkLimits(t, id, unit);
    scopes.must(['delete', '--force', id]);
    t.notOk(unitExists(unit));
  },
);

scopes.test('device rules are systemd’s too, where it has words for them', async (t) => {
  const rules = [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' },
  ];
  const id = await scopes.started(t, 'devices', (config) => {
    config.linux.resources = { devices: rules };
  });
  const unit = `tare-${id}.scope`;
  const uses = 'echo x >/dev/null && head -c 1 /dev/zero | wc -c && ! cat /dev/kmsg 2>/dev/null';
  t.equal(property(unit, 'DevicePolicy'), 'strict');
  t.match(property(unit, 'DeviceAllow'), /\/dev\/char\/10:229 rw/);
  t.match(property(unit, 'DeviceAllow'), /char-136 rwm/);
  const use = () => scopes.tare(['exec', id, 'sh', '-c', uses]).stdout;
  t.equal(use(), '1\n');
  systemctl('daemon-reload');
  t.equal(use(), '1\n', 'after systemd has filtered by itself');
  scopes.must(['delete', '--force', id]);

  const other = await scopes.started(t, 'inverse', (config) => {
    config.linux.resources = {
      devices: [
        { allow: true, access: 'rwm' },
        { allow: false, type: 'c', major: 1, minor: 11, access: 'rwm' },
      ],
    };
  });
  t.equal(property(`tare-${other}.scope`, 'DevicePolicy'), 'auto');
  systemctl('daemon-reload');
  const kmsg = scopes.tare(['exec', other, 'sh', '-c', 'mknod /dev/k c 1 11 && cat /dev/k']);
  t.not(kmsg.status, 0, 'the container’s own filter holds');
  scopes.must(['delete', '--force', other]);
});

scopes.test('update changes the unit and the cgroup', async (t) => {
  const id = await scopes.started(t, 'update', limited);
  const unit = `tare-${id}.scope`;
  scopes.must([
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
      t.equal(scopes.fileOf(id, file), value, name);
      t.equal(property(unit, property_), value, name);
    }
    t.equal(scopes.fileOf(id, 'cpu.max'), '30000 10000');
    t.equal(property(unit, 'CPUQuotaPerSecUSec'), '3s');
    t.equal(property(unit, 'CPUQuotaPeriodUSec'), '10ms');
  };
  check();
  systemctl('daemon-reload');
  check();

  const refused = scopes.tare(['update', '--resources', '-', id], {
    input: JSON.stringify({
      memory: { limit: 40 << 20 },
      unified: { 'memory.nosuchfile': '1' },
    }),
  });
  t.equal(refused.status, 1);
  check();

  const idle = scopes.must(['update', '--cpu-share', '200', '--cpu-idle', '1', id]);
  t.match(idle.stderr, 'unable to apply both');
  t.equal(scopes.fileOf(id, 'cpu.idle'), '1');
  scopes.must(['delete', '--force', id]);
});

scopes.test('checkpoint and restore', async (t) => {
  loadModules();
  const one = await Counter.run(scopes, 'saved', { edit: limited, global });
  const other = scopes.id('restored');
  const unit = (id: string): string => `tare-${id}.scope`;
  const from = one.checkpoint(t);
  t.notOk(unitExists(unit(one.id)), 'the scope ends with the container');
  await one.restoreAs(t, other);
  await one.goesOn(t, from);
  t.equal(scopes.cgroupOf(other), `/system.slice/${unit(other)}`);
  checkLimits(t, other, unit(other));
  one.remove(other);
  t.notOk(unitExists(unit(other)));
});
