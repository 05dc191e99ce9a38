/** Regressions that other runtimes had when they changed to the new mount API. */
import { skipReason, type Config } from '../support/tare.js';
import {
  Inside,
  inNewUserNamespace,
  mapped,
  mountAt,
  whileMounted,
  type Edit,
} from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const mountinfo = 'cat /proc/self/mountinfo';
  const asUser: Edit = (config, rootfs) => {
    inNewUserNamespace(config);
    chownSync(rootfs, mapped.first, mapped.first);
  };

  // Weakened: set_all_attributes (mount_ops.cc) without the propagation. Nothing with "rshared"
  // starts, because pivot_root(2) refuses the root.
  inside.test('crun 1.29: what is mounted later reaches a slave and a shared mount', async (t) => {
    const volume = join(inside.directory, 'volume');
    mkdirSync(join(volume, 'later'), { recursive: true });
    await whileMounted(['--bind', volume, volume], async () => {
      execFileSync('mount', ['--make-shared', volume]);
      for (const [option, shared] of [
        ['rslave', false],
        ['rshared', true],
        ['rprivate', false],
      ] as const) {
        const bundle = inside.script('sleep 1000', (config) => {
          const mount = { type: 'bind', source: volume, options: ['rbind', option] };
          config.mounts.push({ destination: '/v', ...mount });
          if (shared) config.linux['rootfsPropagation'] = 'rshared';
        });
        await inside.created(bundle, async (id) => {
          inside.must(['start', id]);
          await whileMounted(['-t', 'tmpfs', 'later', join(volume, 'later')], () => {
            const seen = inside.must(['exec', id, 'cat', '/proc/self/mountinfo']).stdout;
            t.equal(seen.includes(' /v/later '), option !== 'rprivate', option);
          });
        });
      }
    });
  });

  // Weakened: do_mount_fs (file_system_ops.cc) gives each root the mode of the directory it covers. /proc
  // has 700, /dev/shm 711, /dev/mqueue 700.
  inside.test('crun 1.29: the roots of file systems have the mode that is theirs', async (t) => {
    for (const edit of [() => undefined, asUser]) {
      const seen = inside.stdoutOf(
        'stat -c "%n %a" /proc /sys /dev /dev/shm /dev/mqueue /dev/pts /sys/fs/cgroup',
        (config, rootfs) => {
          edit(config, rootfs);
          const modes: Record<string, number> = { proc: 0o700, sys: 0o700, dev: 0o777 };
          for (const [name, mode] of Object.entries(modes)) chmodSync(join(rootfs, name), mode);
          config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
          mkdirSync(join(rootfs, 'dev/shm'), { mode: 0o711 });
          mkdirSync(join(rootfs, 'dev/mqueue'), { mode: 0o700 });
          if (config.linux.namespaces.some(({ type }) => type === 'user')) {
            chownSync(join(rootfs, 'dev'), mapped.first, mapped.first);
          }
        },
      );
      t.equal(
        seen,
        '/proc 555\n/sys 555\n/dev 777\n/dev/shm 1777\n/dev/mqueue 1777\n/dev/pts 755\n/sys/fs/cgroup 755',
      );
    }
  });

  // Weakened: set_all_attributes (mount_ops.cc) without the attributes of a bind. The bind mount
  // has the flags of the host's mount.
  inside.test('crun 1.29: /sys is read-only in a user namespace, new network or not', async (t) => {
    const withoutNetwork = (config: Config): void => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network');
    };
    const own = inside.stdoutOf(`${mountinfo}; ! mkdir /sys/x 2>&1`, asUser);
    t.match(mountAt(own, '/sys').options, ['ro', 'nosuid', 'nodev', 'noexec']);
    const bound = inside.stdoutOf(mountinfo, (config, rootfs) => {
      asUser(config, rootfs);
      withoutNetwork(config);
      const sys = config.mounts.find(({ destination }) => destination === '/sys')!;
      Object.assign(sys, { type: 'bind', source: '/sys' });
      sys.options = ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'];
    });
    t.match(mountAt(bound, '/sys').options.slice(0, 4), ['ro', 'nosuid', 'nodev', 'noexec']);
    const refused = inside.run('echo started', (config, rootfs) => {
      asUser(config, rootfs);
      withoutNetwork(config);
    });
    t.match(
      refused,
      { status: 1, stdout: '' },
      'a sysfs that the kernel refuses is no bind of /sys',
    );
    t.match(refused.error, /sysfs/);
  });

  // Weakened: set_all_attributes (mount_ops.cc) without the flags of a device. No device has nosuid
  // and noexec.
  inside.test(
    'crun 1.29: devices that are bound are neither executed nor set-user-id',
    async (t) => {
      const seen = inside.stdoutOf(
        `${mountinfo}; echo x >/dev/null; head -c 1 /dev/zero | wc -c`,
        asUser,
      );
      for (const name of ['null', 'zero', 'full', 'random', 'urandom', 'tty']) {
        const { options } = mountAt(seen, `/dev/${name}`);
        t.strictSame(
          ['nosuid', 'noexec'].filter((option) => !options.includes(option)),
          [],
          name,
        );
        t.notOk(options.includes('nodev'), name);
      }
      t.match(seen, /\n1$/, 'and they work');
    },
  );
}
