/** The cgroups that a container sees, and those that it owns. */
import {
  Sandbox,
  call,
  cli,
  exitOf,
  state,
  staticProgram,
  skipReason,
  type Config,
  type Result,
} from '../support/tare.js';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  const without = (config: Config, namespace: string): void => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== namespace);
  };
  const writable = (config: Config): void => {
    const mount = config.mounts.find(({ type }) => type === 'cgroup')!;
    mount.options = mount.options!.filter((option) => option !== 'ro');
  };

  sandbox.test(
    'a user namespace’s root owns its cgroup where it sees it alone, writable',
    async (t) => {
      const owner = (name: string, edit: (config: Config) => void): string => {
        const bundle = sandbox.bundle(
          ['stat', '-c', '%u', '/sys/fs/cgroup', '/sys/fs/cgroup/cgroup.procs'],
          (config) => {
            config.linux.namespaces.push({ type: 'user' });
            config.linux['uidMappings'] = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
            config.linux['gidMappings'] = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
            edit(config);
          },
        );
        return sandbox.must(['run', '-b', bundle, sandbox.id(name)]).stdout;
      };
      t.equal(owner('own', writable), '0\n0\n');
      t.equal(
        owner('read-only', () => undefined),
        '65534\n65534\n',
        'not read-only',
      );
      const ofHost = (config: Config): void => {
        writable(config);
        without(config, 'cgroup');
      };
      t.equal(owner('host', ofHost), '65534\n65534\n', 'not in the host’s view');
    },
  );

  sandbox.test('without a cgroup namespace the container sees the tree of the host', async (t) => {
    for (const edit of [undefined, writable]) {
      const id = sandbox.id(edit ? 'seen-writable' : 'seen');
      const script =
        'own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); echo $own; cat $own/cgroup.procs; ' +
        'mkdir $own/below && echo made && rmdir $own/below';
      const bundle = sandbox.bundle(['sh', '-c', script], (config) => {
        without(config, 'cgroup');
        edit?.(config);
      });
      const lines = sandbox.tare(['run', '-b', bundle, id]).stdout.trimEnd().split('\n');
      t.match(lines[0], new RegExp(`^/sys/fs/cgroup/.*${id}$`));
      t.equal(lines[1], '1', 'its own cgroup is in it');
      t.equal(lines.at(-1) === 'made', edit !== undefined, 'and writable where the mount is');
    }
  });

  sandbox.test(
    'an absolute cgroupsPath, and what the container has made in its cgroup',
    async (t) => {
      const id = sandbox.id('deep');
      const bundle = sandbox.bundle(
        [
          'sh',
          '-c',
          'mkdir -p /sys/fs/cgroup/a/b/c && echo $$ >/sys/fs/cgroup/a/b/c/cgroup.procs; exec sleep 1000',
        ],
        (config) => {
          config.linux.cgroupsPath = `/${sandbox.tag}-top/./deep`;
          writable(config);
        },
      );
      const child = sandbox.spawn(['run', '-d', '-b', bundle, id], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      t.equal(await exitOf(child), 0);
      const { pid } = state(sandbox.must(['state', id]).stdout);
      const own = (): string =>
        readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n').at(-1)!;
      while (!own().endsWith('/a/b/c'));
      t.equal(own(), `0::/${sandbox.tag}-top/deep/a/b/c`);
      t.match(sandbox.must(['exec', id, 'cat', '/proc/self/cgroup']).stdout, /^0::\/$/m);
      t.strictSame(JSON.parse(sandbox.must(['ps', '-f', 'json', id]).stdout), [pid]);
      sandbox.must(['pause', id]);
      sandbox.must(['delete', '--force', id]);
      const top = join('/sys/fs/cgroup', `${sandbox.tag}-top`);
      t.notOk(existsSync(join(top, 'deep')));
      rmdirSync(top);
    },
  );

  sandbox.test('as many cgroups below the container’s as others like to make', async (t) => {
    const id = sandbox.id('nested');
    const bundle = sandbox.bundle(['sleep', '1000']);
    const child = sandbox.spawn(['run', '-d', '-b', bundle, id], { stdio: 'ignore' });
    t.equal(await exitOf(child), 0);
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const [path] = /(?<=^0::).*$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))!;
    const own = join('/sys/fs/cgroup', path);
    const nested = call(staticProgram('nest'), [own, '1500', 'longer-than-a-path', String(pid)]);
    t.equal(nested.status, 0, nested.stderr);
    for (let i = 0; i < 3000; i++) mkdirSync(join(own, `beside${i}`));
    const few = (...args: string[]): Result => {
      const command = ['--nofile=64:64', cli, '--root', sandbox.root, ...args];
      const result = call('prlimit', command);
      t.equal(result.status, 0, `${args[0]}: ${result.stderr}`);
      return result;
    };
    t.same(JSON.parse(few('ps', '-f', 'json', id).stdout), [pid]);
    few('pause', id);
    few('resume', id);
    few('kill', '--all', id, 'SIGCONT');
    few('delete', '--force', id);
    t.equal(few('list', '-q').stdout, '');
    t.notOk(existsSync(own));
  });

  sandbox.test('more processes than there may be descriptors', async (t) => {
    const id = sandbox.id('many');
    const script = 'i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done; wait';
    const bundle = sandbox.bundle(['sh', '-c', script], (config) => without(config, 'pid'));
    const child = sandbox.spawn(['run', '-d', '-b', bundle, id], { stdio: 'ignore' });
    t.equal(await exitOf(child), 0);
    const ps = (): number[] =>
      JSON.parse(sandbox.must(['ps', '-f', 'json', id]).stdout) as number[];
    while (ps().length < 301);
    // Without a new pid namespace, the other processes outlive init.
    process.kill(state(sandbox.must(['state', id]).stdout).pid, 'SIGKILL');
    while (ps().length > 300);
    const command = ['--nofile=290:290', cli, '--root', sandbox.root, 'kill', '--all', id, 'TERM'];
    const killed = call('prlimit', command);
    t.equal(killed.status, 0, killed.stderr);
    while (ps().length > 0);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('those that a container makes are bounded', async (t) => {
    const script = (directory: string): string =>
      `d=${directory}; i=0; while mkdir $d/a 2>/dev/null; do d=$d/a; i=$((i + 1)); done; echo $i; ` +
      'cat /sys/fs/cgroup/cgroup.max.descendants';
    const made = (name: string, edit: (config: Config) => void): string => {
      const bundle = sandbox.bundle(['sh', '-c', script('/sys/fs/cgroup')], edit);
      return sandbox.must(['run', '-b', bundle, sandbox.id(name)]).stdout;
    };
    t.equal(made('bounded', writable), '64\n8192\n');
    const ownBounds = (config: Config): void => {
      writable(config);
      const unified = { 'cgroup.max.depth': '70', 'cgroup.max.descendants': '100' };
      config.linux.resources = { ...(config.linux.resources as object), unified };
    };
    t.equal(made('own-bounds', ownBounds), '70\n100\n');
    t.equal(
      made('read-only', () => undefined),
      '0\nmax\n',
    );
  });
}
