/** An ordinary user's containers: with one id or with ranges, with or without a cgroup. */
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { OrdinaryUser, uid } from '../support/ordinary-user.js';
import { Sandbox, skipReason, type Config } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  const user = new OrdinaryUser(sandbox);
  const mayMap = existsSync('/usr/bin/newuidmap');
  const needsHelpers = mayMap ? {} : { skip: 'needs newuidmap and newgidmap (package uidmap)' };

  const withRanges = (config: Config): void => {
    for (const key of ['uidMappings', 'gidMappings']) {
      config.linux[key] = [
        { containerID: 0, hostID: uid, size: 1 },
        { containerID: 1, hostID: 700000, size: 1000 },
      ];
    }
  };

  sandbox.test('run: root of its own user namespace, the user outside', async (t) => {
    const script = 'id -u; cat /proc/self/uid_map /proc/self/setgroups; touch /tmp/x; exit 5';
    for (const mapped of [true, false]) {
      const bundle = user.bundle(['sh', '-c', script], (config) => {
        config.root.readonly = false;
        if (!mapped) {
          delete config.linux['uidMappings'];
          delete config.linux['gidMappings'];
        }
      });
      const { status, stdout, stderr } = user.tare('run', '--bundle', bundle, sandbox.id('run'));
      t.equal(stderr, '');
      t.equal(stdout.replace(/ +/g, ' '), `0\n 0 ${uid} 1\ndeny\n`, `mappings: ${mapped}`);
      t.equal(status, 5);
    }
    t.strictSame(user.containers(), []);
  });

  sandbox.test('create, start, exec, list, kill, delete', async (t) => {
    const id = sandbox.id('life');
    const bundle = user.bundle(['sleep', '1000']);
    const steps: [string[], string][] = [
      [['create', '--bundle', bundle, id], ''],
      [['start', id], ''],
      [['exec', id, 'sh', '-c', 'id -u; echo $$'], '0\n2\n'],
      [['list', '--quiet'], `${id}\n`],
      [['kill', id, 'KILL'], ''],
      [['delete', '--force', id], ''],
      [['list', '--quiet'], ''],
    ];
    for (const [args, stdout] of steps) {
      const done = user.tare(...args);
      t.strictSame([done.status, done.stdout, done.stderr], [0, stdout, ''], args.join(' '));
    }
  });

  sandbox.test('time offsets and scheduling, as far as they need no rights', async (t) => {
    const show = 'cat /proc/self/timens_offsets; cut -d " " -f 19 /proc/self/stat';
    const bundle = user.bundle(['sh', '-c', show], (config) => {
      config.linux.namespaces.push({ type: 'time' });
      config.linux['timeOffsets'] = { boottime: { secs: 1000 } };
      config.process['scheduler'] = { policy: 'SCHED_OTHER', nice: 4 };
      config.process['ioPriority'] = { class: 'IOPRIO_CLASS_IDLE' };
    });
    const done = user.tare('run', '--bundle', bundle, sandbox.id('time'));
    t.equal(done.stderr, '');
    t.equal(done.stdout.replace(/ +/g, ' '), 'monotonic 0 0\nboottime 1000 0\n4\n');
    const greedy = user.bundle(['true'], (config) => {
      config.process['ioPriority'] = { class: 'IOPRIO_CLASS_RT', priority: 0 };
    });
    t.match(
      user.tare('run', '--bundle', greedy, sandbox.id('greedy')).error,
      'config.json: process.ioPriority: ioprio_set: EPERM (Operation not permitted); IOPRIO_CLASS_RT needs CAP_SYS_NICE or CAP_SYS_ADMIN',
    );
  });

  sandbox.test('root does not see them, and the user not those of root', async (t) => {
    const id = sandbox.id('apart');
    t.equal(user.tare('run', '-d', '--bundle', user.bundle(['sleep', '1000']), id).status, 0);
    t.match(sandbox.tare(['state', id]).error, 'does not exist');
    t.equal(user.tare('delete', '--force', id).status, 0);
  });

  sandbox.test(
    'the state is the user’s as root of the user’s own user namespace, too',
    async (t) => {
      const id = sandbox.id('own');
      t.equal(user.tare('run', '-d', '--bundle', user.bundle(['sleep', '1000']), id).status, 0);
      const list = (...env: string[]) =>
        user.run([
          'unshare',
          '--user',
          '--map-root-user',
          'env',
          ...env,
          user.program,
          'list',
          '-q',
        ]);
      t.equal(list().stdout, `${id}\n`, 'as podman calls');
      t.notMatch(list('USER=root').stdout, id, 'but not that of a machine in a user namespace');
      t.equal(user.tare('delete', '--force', id).status, 0);
    },
  );

  void t.test('ranges by newuidmap and newgidmap', needsHelpers, async (t) => {
    user.ranges('700000:1000');
    const script = 'id; cat /proc/self/gid_map; chown 5:6 /tmp && stat -c %u:%g /tmp';
    const bundle = user.bundle(['sh', '-c', script], (config) => {
      config.root.readonly = false;
      withRanges(config);
      config.process.user = { uid: 0, gid: 0 };
      const all = ['CAP_CHOWN', 'CAP_FOWNER'];
      config.process.capabilities = { bounding: all, effective: all, permitted: all };
    });
    const { status, stdout, stderr } = user.tare('run', '--bundle', bundle, sandbox.id('ranges'));
    t.equal(stderr, '');
    t.equal(status, 0);
    t.equal(stdout.replace(/ +/g, ' '), `uid=0 gid=0\n 0 ${uid} 1\n 1 700000 1000\n5:6\n`);

    const other = user.bundle(['id', '-u'], (config) => {
      withRanges(config);
      config.process.user = { uid: 33, gid: 44 };
    });
    t.equal(user.tare('run', '--bundle', other, sandbox.id('other')).stdout, '33\n');
    t.strictSame(sandbox.leftovers(), []);
  });

  void t.test('without a range for this user', needsHelpers, async (t) => {
    user.ranges('');
    const bundle = user.bundle(['true'], withRanges);
    const { status, error } = user.tare('run', '--bundle', bundle, sandbox.id('no-range'));
    t.equal(status, 1);
    t.match(error, /^create .*: write the id maps of the user namespace: newuidmap failed: /);
    t.match(error, 'is the range listed for this user in /etc/subuid and /etc/subgid?');
    t.strictSame(user.containers(), []);
  });

  sandbox.test('without newuidmap', async (t) => {
    const path = user.path;
    user.path = join(sandbox.directory, 'bin');
    mkdirSync(user.path);
    for (const name of ['sh', 'mount', 'setpriv', 'unshare']) {
      const real = ['/bin', '/usr/bin'].map((place) => join(place, name)).find(existsSync);
      if (real !== undefined) symlinkSync(real, join(user.path, name));
    }
    try {
      const bundle = user.bundle(['true'], withRanges);
      const { status, error } = user.tare('run', '--bundle', bundle, sandbox.id('no-helper'));
      t.equal(status, 1);
      t.match(error, 'newuidmap is not installed');
      t.match(error, 'install the package uidmap');
    } finally {
      user.path = path;
    }
    t.strictSame(user.containers(), []);
  });

  sandbox.test('a cgroup that was delegated to the user', async (t) => {
    user.delegated((top) => {
      const id = sandbox.id('delegated');
      const bundle = user.bundle(['sleep', '1000'], (config) => {
        config.linux['resources'] = { unified: { 'cgroup.max.descendants': '7' } };
      });
      const created = user.tare('run', '-d', '--bundle', bundle, id);
      t.strictSame([created.status, created.stderr], [0, '']);
      t.strictSame(directories(top), ['session', id].sort());
      const limit = user.run(['cat', join(top, id, 'cgroup.max.descendants')]);
      t.equal(limit.stdout, '7\n');
      t.equal(user.tare('exec', id, 'cat', '/proc/self/cgroup').status, 0);
      t.equal(user.tare('delete', '--force', id).status, 0);
      t.strictSame(directories(top), ['session']);
    });
  });

  sandbox.test('what needs a cgroup, without one', async (t) => {
    const id = sandbox.id('none');
    const created = user.tare('create', '--bundle', user.bundle(['sleep', '1000']), id);
    t.strictSame([created.status, created.stderr], [0, '']);
    const none = 'the container has no cgroup';
    for (const args of [
      ['pause'],
      ['events'],
      ['events', '--stats'],
      ['update', '--pids-limit', '5'],
    ]) {
      const { status, error } = user.tare(...args, id);
      t.equal(status, 1, args.join(' '));
      t.match(error, none);
    }
    t.equal(user.tare('update', id).status, 0, 'nothing is asked for');
    t.equal(user.tare('delete', '--force', id).status, 0);
  });

  sandbox.test('a cgroup that is named, and not the user’s', async (t) => {
    const bundle = user.bundle(['true'], (config) => {
      config.linux.cgroupsPath = `/${sandbox.tag}-named`;
    });
    const { status, error } = user.tare('run', '--bundle', bundle, sandbox.id('named'));
    t.equal(status, 1);
    t.match(
      error,
      /unable to apply cgroup configuration: permission denied: make cgroup .*-named: EACCES .*, or leave linux\.cgroupsPath and limits out/,
    );
  });

  sandbox.test('a limit, and no cgroup to set it in', async (t) => {
    const bundle = user.bundle(['true'], (config) => {
      config.linux['resources'] = { unified: { 'cgroup.max.descendants': '7' } };
    });
    const { status, error } = user.tare('run', '--bundle', bundle, sandbox.id('no-cgroup'));
    t.equal(status, 1);
    t.match(error, 'config.json: linux.resources.unified["cgroup.max.descendants"]');
    t.match(error, 'run below a cgroup that is delegated to you');
    t.strictSame(user.containers(), []);
  });

  sandbox.test('without a user namespace', async (t) => {
    const bundle = user.bundle(['true'], (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'user');
      delete config.linux['uidMappings'];
      delete config.linux['gidMappings'];
    });
    const { status, error } = user.tare('run', '--bundle', bundle, sandbox.id('no-userns'));
    t.equal(status, 1);
    t.match(error, 'run as root, or with a user namespace (`tare spec --rootless`)');
    t.strictSame(user.containers(), []);
  });

  function directories(path: string): string[] {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  }
}
