/** Mounts: file systems, binds, attributes, propagation, and the mount points that are created. */
import { skipReason } from '../support/tare.js';
import {
  Inside,
  inNewUserNamespace,
  mapped,
  mountAt,
  mounts,
  whileMounted,
  type Edit,
} from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const mountinfo = 'cat /proc/self/mountinfo';

  /** Creates a host directory with one file in the sandbox. */
  const hostDirectory = (name: string): string => {
    const path = join(inside.directory, name);
    mkdirSync(path);
    writeFileSync(join(path, 'file'), name);
    return path;
  };

  inside.test('the mounts of the default config', async (t) => {
    const seen = inside.stdoutOf(mountinfo);
    const expected: Record<string, [type: string, options: string[], data: string[]]> = {
      '/proc': ['proc', ['rw', 'relatime'], []],
      '/dev': ['tmpfs', ['nosuid', 'strictatime'], ['mode=755', 'size=65536k']],
      '/dev/pts': ['devpts', ['nosuid', 'noexec'], ['gid=5', 'mode=620', 'ptmxmode=666']],
      '/dev/shm': ['tmpfs', ['nosuid', 'noexec', 'nodev'], ['size=65536k']],
      '/dev/mqueue': ['mqueue', ['nosuid', 'noexec', 'nodev'], []],
      '/sys': ['sysfs', ['nosuid', 'noexec', 'nodev', 'ro'], []],
      '/sys/fs/cgroup': ['cgroup2', ['nosuid', 'noexec', 'nodev', 'ro'], []],
    };
    for (const [path, [type, options, data]] of Object.entries(expected)) {
      const mount = mountAt(seen, path);
      t.equal(mount.type, type, path);
      t.equal(
        mount.source,
        path === '/dev/shm' ? 'shm' : path.startsWith('/sys/fs') ? 'cgroup' : type,
        path,
      );
      // strictatime is shown as the absence of relatime.
      const wanted = options.filter((option) => option !== 'strictatime');
      t.strictSame(
        wanted.filter((option) => !mount.options.includes(option)),
        [],
        path,
      );
      if (options.includes('strictatime')) t.notOk(mount.options.includes('relatime'), path);
      t.strictSame(
        data.filter((option) => !mount.superOptions.includes(option)),
        [],
        path,
      );
    }
    t.equal(mounts(seen)[0]?.path, '/', 'the root is the first');
    t.equal(mountAt(seen, '/sys/fs/cgroup').root, '/', 'the container sees its own cgroup alone');
    t.strictSame(
      mounts(seen).filter(({ path }) => path.startsWith(inside.directory)),
      [],
    );
  });

  inside.test('without SELinux a mountLabel is warned of', async (t) => {
    if (existsSync('/sys/fs/selinux/enforce')) return; // test/process/selinux.guest.ts tests this
    const bundle = inside.script('echo ran', (config) => {
      config.linux['mountLabel'] = 'system_u:object_r:container_file_t:s0:c1,c2';
    });
    const { stdout, stderr } = inside.must(['run', '-b', bundle, inside.fresh()]);
    t.equal(stdout, 'ran\n');
    t.match(
      stderr,
      /level=warning msg="config\.json: linux\.mountLabel: mounts get no label, since/,
    );
  });

  inside.test("a bind mount keeps its file system's options, and a warning says so", async (t) => {
    const bundle = inside.script('stat -c %a /t', (config) => {
      const source = `${inside.directory}/kept`;
      mkdirSync(source, { mode: 0o711 });
      config.mounts.push({ destination: '/t', source, options: ['bind', 'mode=755', 'ro'] });
    });
    const { stdout, stderr } = inside.must(['run', '-b', bundle, inside.fresh()]);
    t.equal(stdout, '711\n');
    t.match(
      stderr,
      /level=warning msg="config\.json: mounts\[7\]\.options: \\"mode=755\\" has no effect on a bind/,
    );
  });

  inside.test('options of a file system reach it; its complaints reach the caller', async (t) => {
    const seen = inside.stdoutOf(`${mountinfo}; stat -c %a:%u:%g /t`, (config) => {
      config.mounts.push({
        destination: '/t',
        type: 'tmpfs',
        source: 'name',
        options: ['mode=1750', 'size=1m', 'uid=7', 'gid=8', 'noexec', 'nodiratime', 'noatime'],
      });
    });
    const mount = mountAt(seen, '/t');
    t.match(mount, { type: 'tmpfs', source: 'name' });
    t.strictSame(mount.options, ['rw', 'noexec', 'noatime', 'nodiratime']);
    t.match(seen, /\n1750:7:8$/);

    const bad = inside.run('true', (config) => {
      config.mounts.push({
        destination: '/t',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['size=x'],
      });
    });
    t.equal(bad.status, 1);
    t.match(bad.error, /mount -t tmpfs tmpfs \/t -o size=x: config\.json: mounts\[\d+\]: /);
    t.match(bad.error, /Bad value for 'size'/);

    const unknown = inside.run('true', (config) => {
      config.mounts.push({ destination: '/t', type: 'nofs', source: 'nofs' });
    });
    t.match(unknown.error, /mounts\[\d+\]: fsopen: ENODEV .*the kernel has no such file system/);
  });

  inside.test('a destination that begins with the path of the root', async (t) => {
    const source = hostDirectory('by-host-path');
    const bundle = inside.script('cat /there/file', (config, rootfs) => {
      config.mounts.push({ source, destination: join(rootfs, 'there'), options: ['bind'] });
    });
    const { stdout, stderr } = inside.must(['run', '-b', bundle, inside.fresh()]);
    t.equal(stdout, 'by-host-path');
    t.match(stderr, 'begins with root.path; taking /there');
    // A destination that is then refused is shortened, too.
    const refused = inside.run('true', (config, rootfs) => {
      const destination = join(rootfs, 'proc/irq');
      config.mounts.push({ source, destination, options: ['bind'] });
    });
    t.match(refused.error, 'cannot be mounted because it is inside /proc');
  });

  inside.test('what is missing for a mount is made, as directory or as file', async (t) => {
    const source = hostDirectory('made');
    const seen = inside.stdoutOf('cat /a/b/file /c/d/e; stat -c %a /a /a/b /c /c/d', (config) => {
      config.mounts.push(
        { destination: '/a/b', type: 'bind', source, options: ['bind'] },
        { destination: '/c/d/e', type: 'bind', source: join(source, 'file'), options: ['bind'] },
      );
    });
    t.equal(seen, 'mademade755\n755\n755\n755');
  });

  inside.test(
    'a bind is of one mount, an rbind of all below; attributes of one and of all',
    async (t) => {
      const source = hostDirectory('tree');
      const below = join(source, 'below');
      mkdirSync(below);
      let seen = '';
      await whileMounted(['-t', 'tmpfs', 'tmpfs', below], () => {
        seen = inside.stdoutOf(mountinfo, (config) => {
          const bind = (destination: string, ...options: string[]) =>
            config.mounts.push({ destination, type: 'bind', source, options });
          bind('/one', 'bind', 'ro');
          bind('/all', 'rbind', 'ro', 'nodev');
          bind('/rro', 'rbind', 'rro', 'rnosuid', 'rnoatime');
          bind('/mixed', 'rbind', 'rro', 'rw');
        });
      });
      const options = (path: string) => mountAt(seen, path).options;
      t.throws(() => mountAt(seen, '/one/below'));
      t.ok(options('/one').includes('ro'));
      t.strictSame(
        ['ro', 'nodev'].filter((option) => !options('/all').includes(option)),
        [],
      );
      t.ok(options('/all/below').includes('rw'), 'ro is for one mount');
      for (const path of ['/rro', '/rro/below']) {
        t.strictSame(
          ['ro', 'nosuid', 'noatime'].filter((one) => !options(path).includes(one)),
          [],
          path,
        );
      }
      t.ok(options('/mixed/below').includes('ro'));
    },
  );

  inside.test('propagation: of mounts and of the root', async (t) => {
    const source = hostDirectory('propagation');
    const values = ['shared', 'slave', 'private', 'unbindable'];
    const seen = inside.stdoutOf(mountinfo, (config) => {
      for (const value of values) {
        config.mounts.push({
          destination: `/${value}`,
          type: 'bind',
          source,
          options: ['bind', value],
        });
        config.mounts.push({
          destination: `/fs-${value}`,
          type: 'tmpfs',
          source: 't',
          options: [value],
        });
      }
    });
    for (const prefix of ['/', '/fs-']) {
      t.match(mountAt(seen, `${prefix}shared`).propagation.join(), /shared:/);
      t.notMatch(mountAt(seen, `${prefix}slave`).propagation.join(), /shared:/);
      t.strictSame(mountAt(seen, `${prefix}private`).propagation, []);
      t.strictSame(mountAt(seen, `${prefix}unbindable`).propagation, ['unbindable']);
    }
    for (const value of ['private', 'rprivate', 'slave', 'rslave']) {
      const own = inside.stdoutOf(mountinfo, (config) => {
        config.linux['rootfsPropagation'] = value;
        for (const option of ['shared', 'rshared']) {
          const mount = { destination: `/${option}`, type: 'bind', source };
          config.mounts.push({ ...mount, options: ['rbind', option] });
        }
      });
      for (const path of ['/shared', '/rshared']) {
        t.match(mountAt(own, path).propagation.join(), /shared:/, `${path} below ${value}`);
      }
    }
    const expected = {
      shared: /shared:/,
      rprivate: /^$/,
      unbindable: /^unbindable$/,
      slave: /^(master:\d+)?$/,
    };
    for (const [value, pattern] of Object.entries(expected)) {
      const root = inside.stdoutOf(mountinfo, (config) => {
        config.linux['rootfsPropagation'] = value;
      });
      t.match(mountAt(root, '/').propagation.join(), pattern, value);
    }
  });

  inside.test('what the host mounts below a root later is not in the container', async (t) => {
    const users: Edit[] = [
      () => undefined,
      (config, rootfs) => {
        inNewUserNamespace(config);
        execFileSync('chown', ['-R', `${mapped.first}`, rootfs]);
      },
    ];
    for (const edit of users) {
      let root = '';
      const bundle = inside.script('sleep 1000', (config, rootfs) => {
        root = rootfs;
        for (const path of ['later', 'volume', 'volume/later']) mkdirSync(join(rootfs, path));
        edit(config, rootfs);
      });
      await whileMounted(['--bind', root, root], async () => {
        const volume = join(root, 'volume');
        await whileMounted(['--bind', volume, volume], async () => {
          for (const path of [root, volume]) execFileSync('mount', ['--make-shared', path]);
          await inside.created(bundle, async (id) => {
            inside.must(['start', id]);
            await whileMounted(['-t', 'tmpfs', 'tmpfs', join(root, 'later')], async () => {
              await whileMounted(['-t', 'tmpfs', 'tmpfs', join(volume, 'later')], () => {
                const seen = inside.must(['exec', id, 'cat', '/proc/self/mountinfo']).stdout;
                t.strictSame(mountAt(seen, '/').propagation, []);
                t.notMatch(seen, ' /later ');
                t.notMatch(seen, ' /volume/later ');
              });
            });
          });
        });
      });
    }
  });

  inside.test(
    'a mount of the host reaches a slave, and none of the container reaches the host',
    async (t) => {
      const source = hostDirectory('host');
      const mine = join(inside.directory, 'shared');
      mkdirSync(mine);
      const later = join(mine, 'later');
      mkdirSync(later);
      const bundle = inside.script('mount -t tmpfs x /m && sleep 1000', (config) => {
        config.mounts.push({
          destination: '/v',
          type: 'bind',
          source: mine,
          options: ['rbind', 'rslave'],
        });
        config.mounts.push({ destination: '/m', type: 'bind', source, options: ['bind'] });
        config.process.capabilities!['effective']!.push('CAP_SYS_ADMIN');
        config.process.capabilities!['bounding']!.push('CAP_SYS_ADMIN');
        config.process.capabilities!['permitted']!.push('CAP_SYS_ADMIN');
      });
      await whileMounted(['--bind', mine, mine], async () => {
        execFileSync('mount', ['--make-shared', mine]);
        await inside.created(bundle, async (id) => {
          inside.must(['start', id]);
          await whileMounted(['-t', 'tmpfs', 'tmpfs', later], () => {
            const seen = inside.must(['exec', id, 'cat', '/proc/self/mountinfo']).stdout;
            t.equal(mountAt(seen, '/v/later').type, 'tmpfs');
          });
        });
      });
      t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), `${source} `);
    },
  );

  inside.test('a read-only root, and mount points in it all the same', async (t) => {
    const seen = inside.stdoutOf(`! touch /x 2>&1; touch /new/deep/y; ${mountinfo}`, (config) => {
      config.root.readonly = true;
      config.mounts.push({ destination: '/new/deep', type: 'tmpfs', source: 'tmpfs' });
    });
    t.match(seen, /^touch: \/x: Read-only file system\n/);
    t.ok(mountAt(seen, '/').options.includes('ro'));
    t.ok(mountAt(seen, '/new/deep').options.includes('rw'));
  });

  inside.test('a read-only tmpfs takes the mount points of what comes below it', async (t) => {
    const source = hostDirectory('in-tmpfs');
    for (const option of ['ro', 'rro']) {
      const seen = inside.stdoutOf(`cat /ro/a/file; ! touch /ro/x 2>&1; ${mountinfo}`, (config) => {
        config.mounts.push({
          destination: '/ro/',
          type: 'tmpfs',
          source: 'tmpfs',
          options: [option],
        });
        config.mounts.push({ destination: '/ro/a', type: 'bind', source, options: ['bind'] });
      });
      t.match(seen, /^in-tmpfstouch: \/ro\/x: Read-only file system\n/);
      t.ok(mountAt(seen, '/ro/a').options.includes('rw'));
    }
    const dev = inside.stdoutOf(
      '! touch /dev/x 2>&1; echo >/dev/null; cat /proc/self/mountinfo',
      (config) => {
        const mount = config.mounts.find(({ destination }) => destination === '/dev');
        Object.assign(mount!, { destination: '//dev/', options: [...mount!.options!, 'ro'] });
      },
    );
    t.match(dev, /^touch: \/dev\/x: Read-only file system\n/);
    t.ok(mountAt(dev, '/dev').options.includes('ro'));
  });

  inside.test('remount changes what is mounted, nothing else', async (t) => {
    const seen = inside.stdoutOf(mountinfo, (config) => {
      config.mounts.push({ destination: '/t', type: 'tmpfs', source: 'tmpfs' });
      config.mounts.push({ destination: '/t', options: ['remount', 'ro', 'nosuid'] });
    });
    t.equal(mounts(seen).filter(({ path }) => path === '/t').length, 1);
    t.strictSame(
      ['ro', 'nosuid'].filter((one) => !mountAt(seen, '/t').options.includes(one)),
      [],
    );
  });

  inside.test('a source that is a symlink: what it leads to, or itself', async (t) => {
    const source = hostDirectory('links');
    execFileSync('ln', ['-s', 'file', join(source, 'link')]);
    const link = join(source, 'link');
    t.equal(
      inside.stdoutOf('cat /f', (config) => {
        config.mounts.push({ destination: '/f', type: 'bind', source: link, options: ['bind'] });
      }),
      'links',
    );
    const missing = inside.run('true', (config) => {
      config.mounts.push({
        destination: '/f',
        type: 'bind',
        source: '/nowhere',
        options: ['bind'],
      });
    });
    t.match(
      missing.error,
      /mounts\[\d+\]: open_tree: ENOENT .*the source of the mount does not exist/,
    );
    const none = inside.run('true', (config) => {
      config.mounts.push({ destination: '/f', type: 'bind' });
    });
    t.match(none.error, /mounts\[\d+\]\.source: is missing; name the file or directory to bind/);
  });

  inside.test('a container leaves no mount and no file on the host', async (t) => {
    const source = hostDirectory('untouched');
    const before = statSync(source).mtimeMs;
    inside.stdoutOf('mount -t tmpfs x /v 2>/dev/null; true', (config) => {
      config.mounts.push({ destination: '/v', type: 'bind', source, options: ['bind', 'ro'] });
    });
    t.strictSame(readdirSync(source), ['file']);
    t.equal(statSync(source).mtimeMs, before);
  });
}
