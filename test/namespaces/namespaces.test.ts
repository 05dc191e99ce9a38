/** Namespaces: new ones, joined ones, and both together. */
import { program, state, staticProgram, skipReason, type Config } from '../support/tare.js';
import {
  Inside,
  field,
  inNewUserNamespace,
  mapped,
  mountAt,
  type Edit,
} from '../support/inside.js';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const types = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
  const links = `cd /proc/self/ns; for n in ${types.join(' ')}; do readlink $n; done`;
  const own = (): string[] => types.map((type) => readlinkSync(`/proc/self/ns/${type}`));
  const join_ = (config: Config, type: string, path: string): void => {
    config.linux.namespaces = config.linux.namespaces.filter((entry) => entry.type !== type);
    config.linux.namespaces.push({ type, path });
  };
  const inUser: Edit = (config, rootfs) => {
    inNewUserNamespace(config);
    chownSync(rootfs, mapped.first, mapped.first);
  };
  const pidOf = (id: string): number => state(inside.must(['state', id]).stdout).pid;

  /** Calls `body` with the pid of a host process in namespaces of its own. */
  const whileUnshared = async (flags: string[], body: (pid: number) => Promise<void> | void) => {
    const script = 'echo; exec sleep 1000';
    const child: ChildProcess = spawn('unshare', [...flags, 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    try {
      await body(child.pid!);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  };

  inside.test("what the config lists is new, what it does not list is the caller's", async (t) => {
    const seen = inside.stdoutOf(links).split('\n');
    t.strictSame(
      seen.filter((link) => own().includes(link)).map((link) => link.split(':')[0]),
      ['user'],
    );
    const all = inside.stdoutOf(links, inUser).split('\n');
    t.strictSame(
      all.filter((link) => own().includes(link)),
      [],
    );
    const few = inside.stdoutOf(links, (config) => {
      config.linux.namespaces = [{ type: 'mount' }, { type: 'pid' }];
      config.mounts = config.mounts.filter(({ type }) => !['sysfs', 'mqueue'].includes(type ?? ''));
      delete config['hostname'];
    });
    const shared = few.split('\n').filter((link) => own().includes(link));
    t.strictSame(
      shared.map((link) => link.split(':')[0]),
      ['cgroup', 'ipc', 'net', 'user', 'uts'],
    );
  });

  inside.test('a new network has its loopback up', async (t) => {
    t.match(inside.stdoutOf('cat /sys/class/net/lo/flags'), '0x9');
  });

  inside.test('a new user namespace: maps, ids, and rights in it', async (t) => {
    const seen = inside.stdoutOf(
      'cat /proc/self/uid_map /proc/self/gid_map; id; hostname other && hostname; umask 0; touch /made; ' +
        'cat /proc/self/setgroups; cat /proc/self/status',
      (config, rootfs) => {
        inUser(config, rootfs);
        config.process.user['additionalGids'] = [10, 20];
        config.process.capabilities!['bounding']!.push('CAP_SYS_ADMIN');
        config.process.capabilities!['permitted']!.push('CAP_SYS_ADMIN');
        config.process.capabilities!['effective']!.push('CAP_SYS_ADMIN');
        config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 500, hard: 600 }];
        config.process['oomScoreAdj'] = 7;
      },
    );
    const map = new RegExp(`^ +0 +${mapped.first} +${mapped.size}\n`);
    t.match(seen, map);
    t.match(seen, /\nuid=0 gid=0 groups=10,20\nother\nallow\n/);
    t.equal(field(seen, 'CapInh'), '0'.repeat(16));
  });

  inside.test('a new user namespace without mappings has the caller as its root', async (t) => {
    const unmapped: Edit = (config) => {
      config.linux.namespaces.push({ type: 'user' });
      // gid=5 has no mapping: only the caller's group has one.
      const devpts = config.mounts.find(({ type }) => type === 'devpts');
      devpts!.options = devpts!.options!.filter((option) => option !== 'gid=5');
    };
    const show = 'cat /proc/self/uid_map /proc/self/gid_map; id; touch /made';
    const seen = inside.stdoutOf(show, unmapped);
    t.strictSame(
      seen.split('\n').map((line) => line.trim().split(/ +/).join(' ')),
      [...['0 0 1', '0 0 1', 'uid=0 gid=0']],
    );
    const other = inside.run('true', (config, rootfs) => {
      unmapped(config, rootfs);
      config.process.user['uid'] = 1000;
    });
    t.match(other, { status: 1, error: /process\.user\.uid: .*1000/ });
    const id = inside.fresh();
    inside.must(['create', '-b', inside.script('sleep 1000', unmapped), id]);
    inside.must(['start', id]);
    t.match(inside.must(['exec', id, 'id']).stdout, 'uid=0 gid=0');
    inside.must(['delete', '--force', id]);
  });

  inside.test("a new user namespace: any capability may be the program's", async (t) => {
    const names = ['CAP_KILL', 'CAP_NET_RAW', 'CAP_SYS_BOOT', 'CAP_AUDIT_READ', 'CAP_BPF'];
    for (const [uid, sets] of [
      [0, ['bounding', 'permitted', 'effective']],
      [1000, ['bounding', 'permitted', 'effective', 'inheritable', 'ambient']],
    ] as const) {
      const seen = inside.stdoutOf('cat /proc/self/status', (config, rootfs) => {
        inUser(config, rootfs);
        config.process.user['uid'] = uid;
        config.process.capabilities = Object.fromEntries(sets.map((set) => [set, names]));
      });
      t.equal(
        BigInt(`0x${field(seen, 'CapEff')}`),
        (1n << 5n) | (1n << 13n) | (1n << 22n) | (1n << 37n) | (1n << 39n),
      );
      t.equal(field(seen, 'CapBnd'), field(seen, 'CapEff'));
    }
  });

  inside.test('limits that are too low for what init does itself', async (t) => {
    const seen = inside.stdoutOf('ulimit -n; ulimit -Hn', (config, rootfs) => {
      inUser(config, rootfs);
      config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 3, hard: 4 }];
    });
    t.equal(seen, '3\n4');
  });

  inside.test('sources that its root could not reach are opened by the host', async (t) => {
    const secret = join(inside.directory, 'secret');
    mkdirSync(join(secret, 'shared'), { recursive: true });
    writeFileSync(join(secret, 'shared/file'), 'reached');
    chmodSync(secret, 0o700);
    chmodSync(inside.directory, 0o700);
    for (const propagation of [undefined, 'shared', 'rslave', 'rprivate']) {
      const seen = inside.stdoutOf(
        'cat /v/file; touch /v/x 2>&1; cat /proc/self/mountinfo',
        (config, rootfs) => {
          inUser(config, rootfs);
          if (propagation !== undefined) config.linux['rootfsPropagation'] = propagation;
          const source = join(secret, 'shared');
          config.mounts.push({ destination: '/v', type: 'bind', source, options: ['rbind', 'ro'] });
        },
      );
      t.match(seen, /^reachedtouch: \/v\/x: Read-only file system\n/, propagation ?? '');
      t.ok(mountAt(seen, '/v').options.includes('ro'));
    }
  });

  inside.test(
    'exec, hooks and delete in a user namespace, with a cgroup of its own to write',
    async (t) => {
      const out = join(inside.directory, 'hook-out');
      const bundle = inside.script('sleep 1000', (config, rootfs) => {
        inUser(config, rootfs);
        const mount = config.mounts.find(({ destination }) => destination === '/sys/fs/cgroup');
        mount!.options = mount!.options!.filter((option) => option !== 'ro');
        config.hooks = {
          startContainer: [
            { path: '/bin/sh', args: ['sh', '-c', 'cat >/state; echo $HOME$KEY >/env'] },
          ],
        };
        config.process.env.push('KEY=value');
        writeFileSync(join(rootfs, 'state'), '');
        chmodSync(join(rootfs, 'state'), 0o666);
        writeFileSync(join(rootfs, 'env'), '');
        chmodSync(join(rootfs, 'env'), 0o666);
        // The old root is the host's: a directory in it that the hook, root of the user namespace,
        // may write to.
        mkdirSync(out);
        chmodSync(out, 0o777);
        chmodSync(inside.directory, 0o711);
        config.hooks['createContainer'] = [
          {
            path: '/bin/busybox',
            args: ['sh', '-c', `id -u >${out}/uid; cat /proc/self/status >${out}/status`],
          },
        ];
      });
      await inside.created(bundle, (id) => {
        t.equal(readFileSync(join(out, 'uid'), 'utf8'), '0\n');
        t.equal(field(readFileSync(join(out, 'status'), 'utf8'), 'CapInh'), '0'.repeat(16));
        inside.must(['start', id]);
        t.equal(
          inside.must(['exec', id, 'sh', '-c', 'id -u; mkdir /sys/fs/cgroup/mine && echo made'])
            .stdout,
          '0\nmade\n',
        );
        t.match(JSON.parse(readFileSync(join(bundle, 'rootfs/state'), 'utf8')), {
          status: 'created',
          pid: 1,
        });
        t.equal(readFileSync(join(bundle, 'rootfs/env'), 'utf8'), '/value\n');
      });
    },
  );

  inside.test('joined by path: each type alone, and exec goes to the same', async (t) => {
    await whileUnshared(['-u', '-i', '-n', '-C'], async (pid) => {
      const paths: Record<string, string> = {
        uts: 'uts',
        ipc: 'ipc',
        network: 'net',
        cgroup: 'cgroup',
      };
      const bundle = inside.script(`sleep 1000`, (config) => {
        delete config['hostname'];
        for (const [type, file] of Object.entries(paths))
          join_(config, type, `/proc/${pid}/ns/${file}`);
      });
      await inside.created(bundle, (id) => {
        inside.must(['start', id]);
        const seen = inside.must(['exec', id, 'sh', '-c', links]).stdout.split('\n');
        for (const file of Object.values(paths)) {
          const link = readlinkSync(`/proc/${pid}/ns/${file}`);
          t.ok(seen.includes(link), link);
          t.equal(readlinkSync(`/proc/${pidOf(id)}/ns/${file}`), link);
        }
      });
    });
  });

  inside.test('a pid namespace, a user namespace, and both, of another container', async (t) => {
    await inside.created(inside.script('sleep 1000', inUser), async (first) => {
      inside.must(['start', first]);
      const pid = pidOf(first);
      for (const joined of [
        ['pid'],
        ['user'],
        ['user', 'pid'],
        ['user', 'pid', 'network', 'ipc', 'uts'],
      ]) {
        const bundle = inside.script('sleep 1000', (config, rootfs) => {
          if (joined.includes('user')) chownSync(rootfs, mapped.first, mapped.first);
          delete config['hostname'];
          for (const type of joined) {
            join_(config, type, `/proc/${pid}/ns/${type === 'network' ? 'net' : type}`);
          }
          config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 500, hard: 600 }];
        });
        await inside.created(bundle, (id) => {
          inside.must(['start', id]);
          for (const type of joined) {
            const file = type === 'network' ? 'net' : type;
            t.equal(
              readlinkSync(`/proc/${pidOf(id)}/ns/${file}`),
              readlinkSync(`/proc/${pid}/ns/${file}`),
            );
          }
          t.equal(inside.must(['exec', id, 'id', '-u']).stdout, '0\n', joined.join());
        });
      }
    });
  });

  inside.test(
    'a new user namespace beside a network of the host, in create and exec',
    async (t) => {
      await whileUnshared(['-n'], async (pid) => {
        const bundle = inside.script('sleep 1000', (config, rootfs) => {
          inUser(config, rootfs);
          config.mounts = config.mounts.filter(({ type }) => type !== 'sysfs' && type !== 'cgroup');
          join_(config, 'network', `/proc/${pid}/ns/net`);
          delete config.linux['maskedPaths'];
        });
        await inside.created(bundle, (id) => {
          inside.must(['start', id]);
          const seen = inside.must(['exec', id, 'readlink', '/proc/self/ns/net']).stdout;
          t.equal(seen, `${readlinkSync(`/proc/${pid}/ns/net`)}\n`);
        });
      });
    },
  );

  inside.test(
    "exec in a joined mount namespace, or in none, ends up in the container's root",
    async (t) => {
      const rootOf = (bundle: string) => join(bundle, 'rootfs/mark');
      await whileUnshared(['-m'], async (pid) => {
        const bundle = inside.script('sleep 1000', (config) => {
          join_(config, 'mount', `/proc/${pid}/ns/mnt`);
          config.hooks = { startContainer: [{ path: '/bin/touch', args: ['touch', '/mark'] }] };
        });
        await inside.created(bundle, (id) => {
          inside.must(['start', id]);
          t.doesNotThrow(() => readFileSync(rootOf(bundle)), 'the hook too');
          t.match(inside.must(['exec', id, 'ls', '/']).stdout, 'mark\n');
        });
      });
      const none = inside.script('sleep 1000', (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'mount');
        config.mounts = [];
        delete config.linux['maskedPaths'];
        delete config.linux['readonlyPaths'];
      });
      writeFileSync(rootOf(none), '');
      await inside.created(none, (id) => {
        inside.must(['start', id]);
        t.match(inside.must(['exec', id, '/bin/ls', '/']).stdout, 'mark\n');
      });
    },
  );

  inside.test('--no-pivot', async (t) => {
    const bundle = inside.script('sleep 1000; ls /');
    writeFileSync(join(bundle, 'rootfs/mark'), '');
    const id = inside.fresh();
    inside.must(['create', '--no-pivot', '-b', bundle, id]);
    inside.must(['start', id]);
    t.match(inside.must(['exec', id, 'ls', '/']).stdout, 'mark\n');
    inside.must(['delete', '--force', id]);
  });

  inside.test('a time namespace', async (t) => {
    const seen = inside.stdoutOf(
      'readlink /proc/self/ns/time; cat /proc/self/timens_offsets',
      (config) => {
        config.linux.namespaces.push({ type: 'time' });
      },
    );
    t.notMatch(seen, readlinkSync('/proc/self/ns/time'));
    t.match(seen, /monotonic +0 +0\nboottime +0 +0$/);
  });

  inside.test('a session keyring of its own, for exec and hooks too', async (t) => {
    const callers = spawnSync(program('session-keyring'), { encoding: 'utf8' });
    if (callers.status !== 0) {
      t.match(callers.stderr, 'Function not implemented', 'this kernel has no keyrings');
      return;
    }
    const bundle = inside.script('/keyring; sleep 1000', (config, rootfs) => {
      copyFileSync(staticProgram('session-keyring'), join(rootfs, 'keyring'));
      config.hooks = {
        startContainer: [{ path: '/bin/sh', args: ['sh', '-c', '/keyring >/of-hook'] }],
      };
    });
    await inside.created(bundle, (id) => {
      inside.must(['start', id]);
      const exec = inside.must(['exec', id, '/keyring']).stdout;
      t.match(exec, new RegExp(`^\\d+ _ses\\.${id}\n$`));
      t.equal(inside.must(['exec', id, '/keyring']).stdout, exec, 'the same for each');
      const hook = readFileSync(join(bundle, 'rootfs/of-hook'), 'utf8');
      t.match(hook, /^\d+ _ses\n$/, 'one without a name');
      t.not(hook, callers.stdout);
    });
    const id = inside.fresh();
    inside.must(['create', '--no-new-keyring', '-b', bundle, id]);
    inside.must(['start', id]);
    t.equal(
      inside.must(['exec', id, '/keyring']).stdout,
      callers.stdout,
      "the caller's, as was asked for",
    );
    inside.must(['delete', '--force', id]);
  });
}
