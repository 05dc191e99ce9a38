/** Paths of the image and of racing containers: whatever they are made of, they stay below the root. */
import { cli, program, whyNot } from '../cli/tare.js';
import { Inside, mountAt, mounts, type Edit } from './inside.js';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const inside = new Inside();
  t.teardown(() => inside.remove());

  /** A host directory that nobody may touch, with a proof that nobody did. */
  const outside = (name: string) => {
    const path = join(inside.directory, name);
    mkdirSync(path);
    writeFileSync(join(path, 'file'), 'host');
    return { path, names: () => readdirSync(path) };
  };

  inside.test('a destination through symlinks stays in the root', async (t) => {
    const host = outside('links');
    const up = '../'.repeat(20);
    const targets: Record<string, [link: string, where: string]> = {
      absolute: ['/real', '/real'],
      'absolute, of the host': [host.path, host.path],
      relative: ['sub/real', '/sub/real'],
      'relative, upwards': [`${up}real`, '/real'],
      'upwards, to a path of the host': [`${up}${host.path.slice(1)}`, host.path],
      dangling: ['/not/there/yet', '/not/there/yet'],
      'dangling, upwards': [`${up}not/there`, '/not/there'],
    };
    for (const [name, [link, where]] of Object.entries(targets)) {
      const seen = inside.says('cat /proc/self/mountinfo', (config, rootfs) => {
        mkdirSync(join(rootfs, 'real'));
        mkdirSync(join(rootfs, 'sub/real'), { recursive: true });
        symlinkSync(link, join(rootfs, 'link'));
        config.mounts.push({ destination: '/link', type: 'tmpfs', source: 'tmpfs' });
      });
      t.equal(mountAt(seen, where).type, 'tmpfs', name);
      t.strictSame(host.names(), ['file'], name);
    }
    const through = inside.says('cat /proc/self/mountinfo', (config, rootfs) => {
      symlinkSync(host.path, join(rootfs, 'link'));
      config.mounts.push({ destination: '/link/a/b', type: 'tmpfs', source: 'tmpfs' });
    });
    t.equal(mountAt(through, `${host.path}/a/b`).type, 'tmpfs', 'a link on the way');
    t.strictSame(host.names(), ['file']);
  });

  inside.test('a loop of symlinks ends', async (t) => {
    const result = inside.run('true', (config, rootfs) => {
      symlinkSync('b', join(rootfs, 'a'));
      symlinkSync('a', join(rootfs, 'b'));
      config.mounts.push({ destination: '/a/x', type: 'tmpfs', source: 'tmpfs' });
    });
    t.match(result.error, /mounts\[\d+\]: openat2: ELOOP/);
  });

  inside.test(
    'proc and sysfs go on real directories only (CVE-2019-19921, CVE-2023-27561)',
    async (t) => {
      for (const [name, fs] of [
        ['proc', 'proc'],
        ['sys', 'sysfs'],
      ] as const) {
        for (const target of ['/tmp', 'dev', '/not/there']) {
          const result = inside.run('true', (_config, rootfs) => {
            rmdirSync(join(rootfs, name));
            symlinkSync(target, join(rootfs, name));
          });
          t.equal(result.status, 1);
          t.match(
            result.error,
            new RegExp(
              `mount -t ${fs} .*: config\\.json: mounts\\[\\d+\\]: it must be mounted on ordinary directory`,
            ),
            `${name} -> ${target}`,
          );
        }
      }
      const file = inside.run('true', (_config, rootfs) => {
        rmdirSync(join(rootfs, 'proc'));
        writeFileSync(join(rootfs, 'proc'), '');
      });
      t.match(file.error, 'must be mounted on ordinary directory');
    },
  );

  inside.test('no symlink leads a mount into procfs (CVE-2019-16884)', async (t) => {
    for (const target of ['/proc/self', '/proc', '../proc/sys']) {
      for (const mount of [
        { type: 'bind', source: '/etc', options: ['bind'] },
        { type: 'tmpfs', source: 'tmpfs' },
      ]) {
        const { status, error } = inside.run('true', (config, rootfs) => {
          symlinkSync(target, join(rootfs, 'lead'));
          config.mounts.push({
            destination: target === '/proc' ? '/lead' : '/lead/attr',
            ...mount,
          });
        });
        t.equal(status, 1);
        t.match(
          error,
          target === '../proc/sys'
            ? /mounts\[7\]: /
            : /mounts\[7\]: a symlink leads it inside \/proc/,
        );
      }
    }
  });

  inside.test('what is bound on /proc is a procfs (CVE-2019-16884)', async (t) => {
    const host = outside('no-proc');
    const bindProc =
      (source: string): Edit =>
      (config) => {
        config.mounts = config.mounts.filter(({ destination }) => destination !== '/proc');
        config.mounts.push({ destination: '/proc/', type: 'bind', source, options: ['rbind'] });
        delete config.linux['maskedPaths'];
        delete config.linux['readonlyPaths'];
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
      };
    const refused = inside.run('true', bindProc(host.path));
    t.match(refused.error, /mounts\[\d+\]: \/proc is not a procfs/);
    t.match(inside.says('cat /proc/self/comm', bindProc('/proc')), 'cat');
  });

  inside.test('/dev as a symlink leads nowhere but into the root (CVE-2026-41579)', async (t) => {
    const up = '../'.repeat(20);
    for (const absolute of [true, false]) {
      const host = outside(`dev-${absolute}`);
      symlinkSync('pts', join(host.path, 'ptmx'));
      const before = host.names();
      const edit: Edit = (config, rootfs) => {
        rmdirSync(join(rootfs, 'dev'));
        symlinkSync(absolute ? host.path : `${up}${host.path.slice(1)}`, join(rootfs, 'dev'));
        config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
      };
      const ran = inside.run('ls /dev/', edit);
      t.strictSame(host.names(), before, 'run');
      t.match(ran.stdout, /null\n/, 'it is filled inside');
      await inside.created(inside.script('true', edit), (id) => {
        inside.must(['start', id]);
      });
      t.strictSame(host.names(), before, 'create and start');
    }
  });

  inside.test('a working directory through an open file is refused (CVE-2024-21626)', async (t) => {
    const host = openSync('/', 'r');
    const passed = Array.from({ length: 6 }, () => host);
    const attempts = [...Array.from({ length: 40 }, (_, fd) => fd), 100, 1023];
    const bundle = inside.script('pwd; ls');
    for (const fd of attempts) {
      inside.edit(bundle, (config) => {
        config.process.cwd = `/proc/self/fd/${fd}`;
      });
      const result = inside.tare(['run', '-b', bundle, inside.fresh()]);
      if (result.status === 0) t.fail(`fd ${fd}: ${result.stdout}`);
    }
    await inside.created(inside.script('sleep 1000'), async (id) => {
      inside.must(['start', id]);
      for (const suffix of ['', '/..', '/../../..']) {
        for (const fd of [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) {
          const cwd = `/proc/self/fd/${fd}${suffix}`;
          const args = ['exec', '--cwd', cwd, '--preserve-fds', '6', id, 'pwd'];
          const exec = inside.spawn(args, { stdio: [host, 'pipe', 'pipe', ...passed] });
          const chunks: Buffer[] = [];
          exec.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
          const [status] = (await once(exec, 'close')) as [number];
          const said = Buffer.concat(chunks).toString();
          if (status === 0) t.equal(said, '/\n', `${cwd} is the root of the container`);
        }
      }
    });
  });

  inside.test(
    'a program named by an open file of init is not found (CVE-2024-21626)',
    async (t) => {
      writeFileSync(join(inside.directory, 'escaped'), '#!/bin/sh\necho escaped\n', {
        mode: 0o755,
      });
      const found: string[] = [];
      const bundle = inside.script('');
      for (let fd = 3; fd < 24; fd++) {
        for (const up of ['..', '../..', '../../..']) {
          // From the rootfs, or the bundle, to what lies beside it; and a program that the host has anyway.
          const program = `/proc/self/fd/${fd}/${up}/escaped`;
          inside.edit(bundle, (config) => {
            config.process.args = [program];
          });
          const result = inside.tare(['run', '-b', bundle, inside.fresh()]);
          if (!/executable|no such file|not a directory|permission denied/.test(result.error)) {
            found.push(`${program}: ${result.stdout}${result.error}`);
          }
        }
      }
      t.strictSame(found, []);
    },
  );

  inside.test(
    'a directory that turns into a symlink meanwhile (CVE-2021-30465, CVE-2024-45310)',
    async (t) => {
      const volume = join(inside.directory, 'volume');
      const host = outside('swapped');
      mkdirSync(join(volume, 'a'), { recursive: true });
      symlinkSync(host.path, join(volume, 'b'));
      const swapper = spawn(program('swap'), [join(volume, 'a'), join(volume, 'b')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(swapper.stdout, 'data');
      const bundle = inside.script('cat /proc/self/mountinfo', (config) => {
        config.mounts.push(
          { destination: '/volume', type: 'bind', source: volume, options: ['rbind'] },
          { destination: '/volume/a/made', type: 'tmpfs', source: 'swapped' },
          { destination: '/volume/a/x/y', type: 'bind', source: cli, options: ['bind'] },
        );
      });
      let started = 0;
      for (let i = 0; i < 60; i++) {
        const result = inside.tare(['run', '-b', bundle, inside.fresh()]);
        if (result.status !== 0) continue;
        started++;
        const wrong = mounts(result.stdout).filter(
          ({ path, source }) => source === 'swapped' && !/^\/(volume|tmp)\//.test(path),
        );
        if (wrong.length > 0) t.strictSame(wrong, []);
      }
      swapper.kill('SIGKILL');
      await once(swapper, 'close');
      t.ok(started > 0, `${started} of 60 started`);
      t.strictSame(host.names(), ['file'], 'the host has nothing new');
      t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), 'swapped ');
    },
  );

  inside.test('the working directory is made below the root', async (t) => {
    t.equal(
      inside.says('pwd; stat -c %a:%u /a/b', (config) => {
        config.process.cwd = '/a/b/c';
        config.process.user['uid'] = 1000;
      }),
      '/a/b/c\n755:0',
    );
    const host = outside('cwd');
    t.equal(
      inside.says('pwd', (config, rootfs) => {
        symlinkSync(host.path, join(rootfs, 'link'));
        config.process.cwd = '/link/new';
      }),
      `${host.path}/new`,
    );
    t.notOk(existsSync(join(host.path, 'new')));
  });
}
