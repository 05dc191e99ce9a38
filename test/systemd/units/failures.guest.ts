/** Units of containers that cannot be made, or that end by themselves: none stays. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { state, type Config } from '../../support/tare.js';
import { cgroupRoot, property, unitExists } from '../../support/systemd-units.js';
import { Scopes } from './scopes.js';

const scopes = new Scopes(t);

scopes.test('what systemd refuses ends create, and nothing stays', async (t) => {
  for (const [name, annotations, error] of [
    ['unknown', { NoSuchProperty: 'true' }, /NoSuchProperty.*\(properties come from/],
    ['type', { CollectMode: 'uint32 5' }, /unable to start unit "tare-.*-type\.scope": /],
  ] as const) {
    const id = scopes.id(name);
    const bundle = scopes.bundle(['true'], (config) => {
      config.annotations = Object.fromEntries(
        Object.entries(annotations).map(([key, value]) => [`org.systemd.property.${key}`, value]),
      );
    });
    const run = scopes.withSystemd(['run', '--bundle', bundle, id]);
    t.equal(run.status, 1);
    t.match(run.error, error);
    t.notOk(unitExists(`tare-${id}.scope`));
    t.strictSame(scopes.leftovers(), []);
  }
});

scopes.test('a container that does not start leaves no unit', async (t) => {
  const id = scopes.id('broken');
  for (const edit of [
    (config: Config) => config.mounts.push({ destination: '/x', type: 'nosuchfs', source: 'x' }),
    (config: Config) => {
      config.process.args = ['/nosuchprogram'];
    },
    (config: Config) => {
      config.linux.resources = { unified: { 'memory.nosuchfile': '1' } };
    },
  ]) {
    const { status } = scopes.withSystemd([
      'run',
      '--bundle',
      scopes.bundle(['true'], (config) => void edit(config)),
      id,
    ]);
    t.equal(status, 1);
    t.notOk(unitExists(`tare-${id}.scope`));
  }
});

scopes.test('a name that is taken', async (t) => {
  const path = 'system.slice:tare:taken';
  const withPath = (config: Config) => {
    config.linux.cgroupsPath = path;
  };
  const first = await scopes.started(t, 'first', withPath);
  const second = scopes.withSystemd([
    'run',
    '--bundle',
    scopes.bundle(['true'], withPath),
    scopes.id('second'),
  ]);
  t.equal(second.status, 1);
  t.match(
    second.error,
    "container's cgroup is not empty: 1 process(es) found in /sys/fs/cgroup/system.slice/tare-taken.scope",
  );
  t.match(second.error, 'set linux.cgroupsPath to another path');
  t.equal(state(scopes.must(['state', first]).stdout).status, 'running', 'the first lives on');
  scopes.must(['delete', '--force', first]);

  // The remains of a failed unit do not prevent a start.
  const dies = ['--scope', '--unit=tare-taken', '-p', 'RuntimeMaxSec=1', 'sleep', '1000'];
  spawnSync('systemd-run', dies);
  t.equal(property('tare-taken.scope', 'ActiveState'), 'failed');
  const third = await scopes.started(t, 'third', withPath);
  t.equal(property('tare-taken.scope', 'ActiveState'), 'active');
  scopes.must(['delete', '--force', third]);
});

scopes.test('a frozen cgroup is refused before a unit is started', async (t) => {
  for (const [name, frozen] of [
    ['own', 'system.slice/tare-own.scope'],
    ['above', 'cold.slice'],
  ] as const) {
    const directory = join(cgroupRoot, frozen);
    mkdirSync(directory);
    writeFileSync(join(directory, 'cgroup.freeze'), '1');
    const began = performance.now();
    const { status, error } = scopes.withSystemd([
      'create',
      '--bundle',
      scopes.bundle(['true'], (config) => {
        config.linux.cgroupsPath = `${frozen.split('/')[0]}:tare:${name}`;
      }),
      scopes.id(name),
    ]);
    t.ok(performance.now() - began < 20_000, 'at once');
    t.equal(status, 1);
    t.match(error, `container's cgroup unexpectedly frozen: write 0 to ${directory}/cgroup.freeze`);
    t.notOk(unitExists(`tare-${name}.scope`));
    rmdirSync(directory);
  }
});

scopes.test('delete has systemd forget a failed unit', async (t) => {
  const id = await scopes.started(t, 'fails', (config) => {
    config.annotations = {
      'org.systemd.property.RuntimeMaxSec': '1',
      'org.systemd.property.TimeoutStopSec': '1',
    };
  });
  const unit = `tare-${id}.scope`;
  while (property(unit, 'ActiveState') !== 'failed') {
    await new Promise((done) => setTimeout(done, 100));
  }
  t.equal(state(scopes.must(['state', id]).stdout).status, 'stopped');
  scopes.must(['delete', id]);
  t.notOk(unitExists(unit));
});
