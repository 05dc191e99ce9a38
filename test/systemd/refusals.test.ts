/**
 * --systemd-cgroup without systemd or with one that hangs, and refusals before systemd is asked.
 */
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { errorIn } from '../support/build.js';
import { Output, Sandbox, exitOf, skipReason } from '../support/tare.js';
import { allowTime } from '../support/timeout.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  allowTime(t, 120_000);
  const sandbox = new Sandbox(t);
  const global = ['--systemd-cgroup'];

  sandbox.test('paths and annotations are refused before anything happens', async (t) => {
    for (const [name, edit, message] of [
      [
        'path',
        { cgroupsPath: '/a/b' },
        'config.json: linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/a/b" instead',
      ],
      ['two', { cgroupsPath: 'a:n' }, 'config.json: linux.cgroupsPath: invalid slice name: a'],
      ['slice', { cgroupsPath: 'a--b.slice:p:n' }, 'invalid slice name: a--b.slice'],
      [
        'annotation',
        { annotations: { 'org.systemd.property.TimeoutStopSec': 'x' } },
        'config.json: annotations["org.systemd.property.TimeoutStopSec"]: value parse error',
      ],
    ] as const) {
      const bundle = sandbox.bundle(['true'], (config) => {
        if ('cgroupsPath' in edit) config.linux.cgroupsPath = edit.cgroupsPath;
        else config.annotations = edit.annotations;
      });
      for (const verb of ['plan', 'run']) {
        const id = verb === 'plan' ? [] : [sandbox.id(name)];
        const { status, error } = sandbox.tare([verb, '--bundle', bundle, ...id], { global });
        t.equal(status, 1, `${verb}: ${name}`);
        t.match(error, message);
      }
    }
  });

  sandbox.test('plan shows where init enters its cgroup', async (t) => {
    const bundle = sandbox.bundle(['true']);
    const { stdout } = sandbox.must(['plan', '--bundle', bundle], { global });
    t.match(
      stdout,
      /wait for the host: it moves this process into the container's cgroup\n.*unshare cgroup\b/,
    );
    t.notMatch(sandbox.must(['plan', '--bundle', bundle]).stdout, 'it moves this process');
  });

  sandbox.test('no systemd', async (t) => {
    const bundle = sandbox.bundle(['true']);
    const system = sandbox.tare(['run', '--bundle', bundle, sandbox.id('system')], {
      global,
      env: { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${sandbox.directory}/none` },
    });
    // On a machine booted with systemd, systemd answers this at /run/systemd/private.
    if (!existsSync('/run/systemd/private')) {
      t.equal(system.status, 1);
      t.match(system.error, '--systemd-cgroup: cannot connect to systemd: ');
      t.match(system.error, `unix:path=${sandbox.directory}/none: ENOENT`);
      t.match(system.error, 'was this host booted with systemd? Run without --systemd-cgroup');
    }
    const rootless = [...global, '--rootless', 'true'];
    const user = sandbox.tare(['run', '--bundle', bundle, sandbox.id('user')], {
      global: rootless,
    });
    t.equal(user.status, 1);
    t.match(user.error, 'neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set');
    t.match(user.error, '`loginctl enable-linger`');
  });

  sandbox.test('a systemd that hangs is waited for 30 s, and nothing stays', async (t) => {
    const runtime = join(sandbox.directory, 'runtime');
    mkdirSync(join(runtime, 'systemd'), { recursive: true });
    const server = createServer((connection) => connection.on('error', () => {}));
    server.listen(join(runtime, 'systemd/private'));
    await once(server, 'listening');
    const began = performance.now();
    const child = sandbox.spawn(
      ['run', '--bundle', sandbox.bundle(['true']), sandbox.id('hangs')],
      { global: [...global, '--rootless', 'true'], env: { XDG_RUNTIME_DIR: runtime } },
    );
    const said = new Output(child.stderr);
    t.equal(await exitOf(child), 1);
    const seconds = (performance.now() - began) / 1000;
    t.ok(seconds > 29 && seconds < 40, `after ${seconds.toFixed(1)} s`);
    t.match(
      errorIn(await said.all()),
      `systemd did not answer within 30 s: connecting over unix:path=${runtime}/systemd/private; it ` +
        'may hang: see `systemctl --user status`',
    );
    server.close();
  });
}
