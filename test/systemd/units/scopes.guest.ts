/** Containers whose cgroups are systemd units, on a machine booted with systemd. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Container } from '../../../lib/index.js';
import { exitOf, state } from '../../support/tare.js';
import { cgroupRoot, property, systemctl, unitExists } from '../../support/systemd-units.js';
import { Scopes } from './scopes.js';

const scopes = new Scopes(t);

scopes.test('a container is a scope of systemd', async (t) => {
  const id = await scopes.started(t, 'life');
  const unit = `tare-${id}.scope`;
  t.equal(scopes.cgroupOf(id), `/system.slice/${unit}`);
  t.equal(property(unit, 'ControlGroup'), `/system.slice/${unit}`);
  t.equal(property(unit, 'ActiveState'), 'active');
  t.equal(property(unit, 'Description'), `tare container ${id}`);
  t.equal(property(unit, 'Delegate'), 'yes');
  t.equal(property(unit, 'DefaultDependencies'), 'no');
  t.equal(property(unit, 'NeedDaemonReload'), 'no');
  t.equal(property(unit, 'TasksMax'), '2359', 'the manager’s own default, where none is asked for');

  // The other verbs find the cgroup without --systemd-cgroup.
  t.equal(
    scopes.must(['exec', id, 'cat', '/proc/self/cgroup']).stdout,
    '0::/\n',
    'the scope is the root of the cgroup namespace, also for exec',
  );
  const exec = scopes.spawn(['exec', '--detach', id, 'sleep', '1000'], { stdio: 'ignore' });
  t.equal(await exitOf(exec), 0);
  t.equal(scopes.fileOf(id, 'cgroup.procs').split('\n').length, 2, 'exec enters the scope');
  t.equal(scopes.must(['ps', '--format', 'json', id]).stdout.split(',').length, 2);
  scopes.must(['kill', id, 'KILL']);
  const cgroup = join(cgroupRoot, 'system.slice', unit);
  while (state(scopes.must(['state', id]).stdout).status !== 'stopped') {
    await new Promise((done) => setTimeout(done, 50));
  }
  scopes.must(['delete', id]);
  t.notOk(existsSync(cgroup), 'the cgroup ends with the container');
  t.notOk(unitExists(unit), 'so does the unit');
});

scopes.test('linux.cgroupsPath names slice and unit', async (t) => {
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
    const id = await scopes.started(t, name, (config) => {
      config.linux.cgroupsPath = path;
    });
    t.equal(scopes.cgroupOf(id), cgroup);
    scopes.must(['delete', '--force', id]);
    t.notOk(existsSync(join(cgroupRoot, cgroup)));
  }
  const plus = scopes.id('a+b');
  t.equal(scopes.withSystemd(['create', '--bundle', scopes.bundle(['true']), plus]).status, 0);
  t.equal(scopes.cgroupOf(plus), `/system.slice/tare-${plus.replace('+', '\\x2b')}.scope`);
  scopes.must(['delete', '--force', plus]);
});

scopes.test('without a cgroup namespace of its own', async (t) => {
  const id = await scopes.started(t, 'hostns', (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
  });
  t.equal(
    scopes.must(['exec', id, 'cat', '/proc/self/cgroup']).stdout,
    `0::/system.slice/tare-${id}.scope\n`,
  );
  scopes.must(['delete', '--force', id]);
});

scopes.test('a user namespace owns the scope where it can write to it', async (t) => {
  const id = await scopes.started(t, 'userns', (config) => {
    config.linux.namespaces.push({ type: 'user' });
    config.linux['uidMappings'] = [{ containerID: 0, hostID: 100000, size: 65536 }];
    config.linux['gidMappings'] = [{ containerID: 0, hostID: 100000, size: 65536 }];
    for (const mount of config.mounts) {
      if (mount.type === 'cgroup') mount.options = ['nosuid', 'noexec', 'nodev', 'relatime', 'rw'];
    }
  });
  const owner = scopes.must(['exec', id, 'stat', '-c', '%u', '/sys/fs/cgroup']).stdout;
  t.equal(owner, '0\n');
  t.equal(
    scopes.must(['exec', id, 'sh', '-c', 'mkdir /sys/fs/cgroup/x && echo made']).stdout,
    'made\n',
  );
  scopes.must(['delete', '--force', id]);
});

scopes.test('annotations are properties of the unit', async (t) => {
  const id = await scopes.started(t, 'annotated', (config) => {
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
  scopes.must(['delete', '--force', id]);
});

scopes.test('by the message bus, and while that hangs', async (t) => {
  const bus = { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/run/dbus/system_bus_socket' };
  const bundle = scopes.bundle(['true']);
  const id = scopes.id('bus');
  const run = scopes.withSystemd(['run', '--bundle', bundle, id], bus);
  t.strictSame([run.status, run.stderr], [0, '']);
  t.notOk(unitExists(`tare-${id}.scope`));

  const daemon = property('dbus.service', 'MainPID');
  process.kill(Number(daemon), 'SIGSTOP');
  try {
    const direct = scopes.withSystemd(['run', '--bundle', bundle, id]);
    t.strictSame([direct.status, direct.stderr], [0, ''], 'systemd’s own socket needs no bus');
  } finally {
    process.kill(Number(daemon), 'SIGCONT');
  }
});

scopes.test('run in the foreground, and a container that ends by itself', async (t) => {
  const run = scopes.withSystemd([
    'run',
    '--bundle',
    scopes.bundle(['sh', '-c', 'cat /proc/self/cgroup; exit 3']),
    scopes.id('fg'),
  ]);
  t.strictSame([run.status, run.stdout, run.stderr], [3, '0::/\n', '']);
  t.strictSame(
    readdirSync(join(cgroupRoot, 'system.slice')).filter((name) => name.includes(scopes.tag)),
    [],
  );
});

scopes.test('pause, resume, and delete of a paused container', async (t) => {
  const id = await scopes.started(t, 'paused');
  scopes.must(['pause', id]);
  t.equal(state(scopes.must(['state', id]).stdout).status, 'paused');
  systemctl('daemon-reload');
  t.equal(scopes.fileOf(id, 'cgroup.freeze'), '1', 'systemd lets it be');
  scopes.must(['resume', id]);
  t.equal(scopes.must(['exec', id, 'echo', 'runs']).stdout, 'runs\n');
  scopes.must(['pause', id]);
  scopes.must(['delete', '--force', id]);
  t.notOk(unitExists(`tare-${id}.scope`));
});

scopes.test('the library makes units too', async (t) => {
  const id = scopes.id('library');
  const container = await Container.create(id, {
    root: scopes.root,
    bundle: scopes.bundle(['sleep', '1000']),
    systemdCgroup: true,
  });
  t.equal(scopes.cgroupOf(id), `/system.slice/tare-${id}.scope`);
  await container.start();
  const opened = await Container.open(id, { root: scopes.root });
  await opened.delete({ force: true });
  t.notOk(unitExists(`tare-${id}.scope`));
});
