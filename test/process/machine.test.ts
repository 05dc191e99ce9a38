/** The machine as the program sees it: linux.personality, linux.timeOffsets, linux.memoryPolicy. */
import { state, skipReason, type Config } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, type Edit } from '../support/inside.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const inUser: Edit = (config, rootfs) => {
    inNewUserNamespace(config);
    chownSync(rootfs, mapped.first, mapped.first);
  };
  const pidOf = (id: string): number => state(inside.must(['state', id]).stdout).pid;

  const refuseSystemCall = (config: Config, name: string): void => {
    config.linux['seccomp'] = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: [name], action: 'SCMP_ACT_ERRNO' }],
    };
  };

  for (const [domain, machine] of [
    ['LINUX32', process.arch === 'x64' ? 'i686' : 'armv8l'],
    ['LINUX', process.arch === 'x64' ? 'x86_64' : 'aarch64'],
  ] as const) {
    inside.test(`linux.personality ${domain}: for the container, exec and its hooks`, async (t) => {
      const bundle = inside.script('uname -m >/of-init; touch /done; sleep 1000', (config) => {
        config.linux['personality'] = { domain, flags: [] };
        refuseSystemCall(config, 'personality');
        config.process['noNewPrivileges'] = false;
        config.hooks = {
          startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'uname -m >/of-hook'] }],
        };
      });
      await inside.created(bundle, (id) => {
        inside.must(['start', id]);
        t.equal(inside.must(['exec', id, 'uname', '-m']).stdout, `${machine}\n`);
        const of = (name: string): string => readFileSync(join(bundle, 'rootfs', name), 'utf8');
        t.equal(of('of-hook'), `${machine}\n`);
        inside.must(['exec', id, 'sh', '-c', 'until [ -e /done ]; do sleep 0.1; done']);
        t.equal(of('of-init'), `${machine}\n`);
      });
    });
  }

  const offsets = {
    monotonic: { secs: 7881, nanosecs: 2718281 },
    boottime: { secs: 4_000_000_000 },
  };
  const seen = /^monotonic +7881 +2718281\nboottime +4000000000 +0\n(\d+)\./;
  const show = 'cat /proc/self/timens_offsets /proc/uptime';
  const withOffsets = (config: Config): void => {
    config.linux.namespaces.push({ type: 'time' });
    config.linux['timeOffsets'] = offsets;
  };

  for (const [what, edit] of [
    ['the host’s', () => undefined],
    ['a new', inUser],
  ] as const) {
    inside.test(`linux.timeOffsets in ${what} user namespace, for exec and hooks`, async (t) => {
      const bundle = inside.script(
        `${show} >/out/init; touch /out/init.done; sleep 1000`,
        (config, rootfs) => {
          edit(config, rootfs);
          withOffsets(config);
          config.mounts.push({ destination: '/out', type: 'tmpfs', options: ['mode=777'] });
          config.hooks = {
            startContainer: [
              { path: '/bin/sh', args: ['sh', '-c', `${show} >/out/hook; touch /out/hook.done`] },
            ],
          };
        },
      );
      await inside.created(bundle, (id) => {
        const pid = pidOf(id);
        t.not(readlinkSync(`/proc/${pid}/ns/time`), readlinkSync('/proc/self/ns/time'));
        t.equal(
          readlinkSync(`/proc/${pid}/ns/time`),
          readlinkSync(`/proc/${pid}/ns/time_for_children`),
          'init itself is in it, on kernels too where execve(2) does not lead there',
        );
        inside.must(['start', id]);
        const exec = inside.must(['exec', id, 'sh', '-c', show]).stdout;
        t.match(exec, seen);
        t.ok(Number(seen.exec(exec)?.[1]) > 4_000_000_000, 'the clocks go by it');
        for (const file of ['hook', 'init']) {
          const read = `until [ -e /out/${file}.done ]; do sleep 0.1; done; cat /out/${file}`;
          t.match(inside.must(['exec', id, 'sh', '-c', read]).stdout, seen, file);
        }
      });
    });
  }

  inside.test('an offset that no clock could have', async (t) => {
    const far = inside.run('true', (config) => {
      withOffsets(config);
      config.linux['timeOffsets'] = { boottime: { secs: -4_000_000_000 } };
    });
    t.match(
      far.error,
      'write boottime -4000000000 0 to /proc/self/timens_offsets: config.json: linux.timeOffsets: write: ERANGE (Numerical result out of range); a clock of the container would be below 0',
    );
  });

  inside.test('all namespaces of another container, time and user among them', async (t) => {
    await inside.created(
      inside.script('sleep 1000', (config, rootfs) => {
        inUser(config, rootfs);
        withOffsets(config);
      }),
      async (first) => {
        inside.must(['start', first]);
        const pid = pidOf(first);
        const files: Record<string, string> = { network: 'net' };
        const second = inside.script('sleep 1000', (config, rootfs) => {
          chownSync(rootfs, mapped.first, mapped.first);
          delete config['hostname'];
          config.linux.namespaces = [...config.linux.namespaces.map(({ type }) => type)]
            .concat('user', 'time')
            .map((type) =>
              type === 'mount'
                ? { type }
                : { type, path: `/proc/${pid}/ns/${files[type] ?? type}` },
            );
        });
        await inside.created(second, (id) => {
          inside.must(['start', id]);
          t.match(inside.must(['exec', id, 'sh', '-c', show]).stdout, seen);
          t.match(
            inside.must(['exec', id, 'cat', '/proc/self/uid_map']).stdout,
            new RegExp(`^ +0 +${mapped.first} +${mapped.size}\n$`),
          );
          t.equal(inside.must(['exec', id, 'ps']).stdout.match(/sleep 1000/g)?.length, 2);
        });
      },
    );
  });

  inside.test('a time namespace of the host beside a user namespace', async (t) => {
    const child: ChildProcess = spawn(
      'unshare',
      [
        '-T',
        '--monotonic',
        '7881',
        '--boottime',
        '4000000000',
        'sh',
        '-c',
        'echo; exec sleep 1000',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(child.stdout!, 'data');
    const path = `/proc/${child.pid}/ns/time_for_children`;
    const theirs = readlinkSync(path).replace('_for_children', '');
    const bundle = inside.script('sleep 1000', (config, rootfs) => {
      inUser(config, rootfs);
      config.linux.namespaces.push({ type: 'time', path });
      config.hooks = {
        startContainer: [
          { path: '/bin/sh', args: ['sh', '-c', 'readlink /proc/self/ns/time >/time'] },
        ],
      };
      writeFileSync(join(rootfs, 'time'), '');
      chownSync(join(rootfs, 'time'), mapped.first, mapped.first);
    });
    await inside.created(bundle, (id) => {
      inside.must(['start', id]);
      t.equal(readlinkSync(`/proc/${pidOf(id)}/ns/time`), theirs);
      t.equal(inside.must(['exec', id, 'readlink', '/proc/self/ns/time']).stdout, `${theirs}\n`);
      t.equal(readFileSync(join(bundle, 'rootfs/time'), 'utf8'), `${theirs}\n`);
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  if (!existsSync('/proc/self/numa_maps')) {
    t.test('linux.memoryPolicy', { skip: 'the kernel has no NUMA' }, () => undefined);
  } else {
    // A mapping that the program itself has made shows the policy of the process.
    const policy = "sed -n '1s/^[0-9a-f]* \\([^ ]*\\).*/\\1/p' /proc/self/numa_maps";
    const refuseIt = (config: Config, value: Record<string, unknown>): void => {
      config.linux['memoryPolicy'] = value;
      refuseSystemCall(config, 'set_mempolicy');
      config.process['noNewPrivileges'] = false;
    };
    for (const [value, shown] of [
      [{ mode: 'MPOL_INTERLEAVE', nodes: '0' }, 'interleave:0'],
      [{ mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES'] }, 'bind=static:0'],
      [{ mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_NUMA_BALANCING'] }, /^bind=.*:0$/],
      [
        { mode: 'MPOL_PREFERRED', nodes: '0', flags: ['MPOL_F_RELATIVE_NODES'] },
        /^prefer=relative:0$/,
      ],
      [{ mode: 'MPOL_PREFERRED_MANY', nodes: '0' }, /^prefer \(many\):0|^prefer/],
      [{ mode: 'MPOL_PREFERRED' }, /^(local|prefer)$/],
      [{ mode: 'MPOL_LOCAL' }, 'local'],
      [{ mode: 'MPOL_DEFAULT', nodes: '' }, 'default'],
    ] as const) {
      inside.test(`linux.memoryPolicy ${JSON.stringify(value)}`, async (t) => {
        const bundle = inside.script('sleep 1000', (config) => refuseIt(config, value));
        await inside.created(bundle, (id) => {
          inside.must(['start', id]);
          for (const pid of ['1', 'self']) {
            const command = policy.replace('self', pid);
            t.match(inside.must(['exec', id, 'sh', '-c', command]).stdout.trimEnd(), shown, pid);
          }
        });
      });
    }
    inside.test('memory nodes that are not there', async (t) => {
      const absent = inside.run('true', (config) => {
        config.linux['memoryPolicy'] = { mode: 'MPOL_BIND', nodes: '1023' };
      });
      t.match(
        absent.error,
        /config\.json: linux\.memoryPolicy: set_mempolicy: EINVAL \(Invalid argument\); the nodes must be online/,
      );
    });
  }
}
