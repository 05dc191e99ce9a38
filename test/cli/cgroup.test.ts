/** What a container sees of cgroups, and what of them is its own. */
import { Sandbox, exitOf, state, whyNot, type Config } from './tare.js';
import { existsSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());

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
}
