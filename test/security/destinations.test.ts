/** Mounts, and the files made for them, stay below the root, whatever symlinks the image has. */
import { exitOf, staticProgram, skipReason } from '../support/tare.js';
import { Inside, mountAt } from '../support/inside.js';
import { Outside } from './outside.js';
import { once } from 'node:events';
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const up = '../'.repeat(20);
  const outside = (name: string, names?: string[]): Outside =>
    new Outside(join(inside.directory, name), names);

  // Weakened: openat2 (path.cc) without RESOLVE_IN_ROOT, on the path without its first "/". Nothing
  // is mounted at the link's target inside the root.
  inside.test('CVE-2019-18837: a destination through symlinks', async (t) => {
    const host = outside('links');
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
      const seen = inside.stdoutOf('cat /proc/self/mountinfo', (config, rootfs) => {
        mkdirSync(join(rootfs, 'real'));
        mkdirSync(join(rootfs, 'sub/real'), { recursive: true });
        symlinkSync(link, join(rootfs, 'link'));
        config.mounts.push({ destination: '/link', type: 'tmpfs', source: 'tmpfs' });
      });
      t.equal(mountAt(seen, where).type, 'tmpfs', name);
      t.strictSame(host.changes(), [], name);
    }
    const through = inside.stdoutOf('cat /proc/self/mountinfo', (config, rootfs) => {
      symlinkSync(host.path, join(rootfs, 'link'));
      config.mounts.push({ destination: '/link/a/b', type: 'tmpfs', source: 'tmpfs' });
    });
    t.equal(mountAt(through, `${host.path}/a/b`).type, 'tmpfs', 'a link on the way');
    t.strictSame(host.changes(), []);
  });

  // Weakened: as above. A file, a directory, a device and a FIFO are made on the host.
  inside.test('CVE-2025-24965: what is made in the root for the container', async (t) => {
    const made: Record<string, (config: Parameters<Parameters<Inside['edit']>[1]>[0]) => void> = {
      'a file': ({ mounts }) => {
        const source = staticProgram('swap');
        mounts.push({ destination: '/link/x/y', type: 'bind', source, options: ['bind'] });
      },
      'a directory': ({ mounts }) => {
        mounts.push({ destination: '/link/x/y', type: 'tmpfs', source: 'tmpfs' });
      },
      'a device': (config) => {
        config.linux['devices'] = [{ path: '/link/null', type: 'c', major: 1, minor: 3, uid: 7 }];
      },
      'a FIFO': (config) => {
        config.linux['devices'] = [{ path: '/link/pipe', type: 'p', fileMode: 0o600, uid: 7 }];
      },
      'the working directory': (config) => {
        config.process.cwd = '/link/work';
      },
    };
    for (const [name, edit] of Object.entries(made)) {
      for (const [how, prefix] of Object.entries({ absolute: '/', relative: up })) {
        const host = outside(`made-${name}-${how}`);
        inside.stdoutOf('true', (config, rootfs) => {
          symlinkSync(prefix + host.path.slice(1), join(rootfs, 'link'));
          edit(config);
        });
        t.strictSame(host.changes(), [], `${name}, ${how}`);
      }
    }
    const host = outside('run');
    const bundle = inside.script('test -S $NOTIFY_SOCKET', (_config, rootfs) => {
      rmdirSync(join(rootfs, 'run'));
      symlinkSync(host.path, join(rootfs, 'run'));
    });
    const socket = join(inside.directory, 'notify.sock');
    writeFileSync(socket, '');
    const run = inside.tare(['run', '-b', bundle, inside.fresh()], {
      env: { NOTIFY_SOCKET: socket },
    });
    t.match(run, { status: 0, stderr: '' }, 'the socket is there, inside');
    t.strictSame(host.changes(), [], 'the directory of the socket for readiness');
  });

  // Weakened: fchmodat(2) on the socket's name after bind(2) in NotifySocket (notify.cc). The
  // host's file gets mode 777.
  inside.test('CVE-2025-24965: the readiness socket, while another process swaps it', async (t) => {
    const host = outside('mode');
    const socket = join(inside.directory, 'manager.sock');
    writeFileSync(socket, '');
    const env = { NOTIFY_SOCKET: socket };
    const bundle = inside.script('exec sleep 1000', (_config, rootfs) => {
      copyFileSync(staticProgram('swap'), join(rootfs, 'bin/swap'));
    });
    const id = inside.fresh();
    const create = inside.tare(['create', '-b', bundle, id], { env });
    t.equal(create.status, 0);
    const names = ['/run/notify/notify.sock', '/run/notify/link'];
    // The directory is mounted read-only; only a process that may mount can change that.
    const swap =
      `mount -o remount,bind,rw /run/notify && ln -s ${host.path}/file ${names[1]} && ` +
      `exec swap ${names.join(' ')}`;
    const exec = inside.spawn(
      ['exec', '--cap', 'CAP_SYS_ADMIN', id, '/bin/busybox', 'sh', '-c', swap],
      { stdio: 'pipe' },
    );
    await once(exec.stdout!, 'data');
    const [name, link] = names.map((path) => join(inside.root, id, path.slice('/run/'.length)));
    const isLink = (path: string): boolean =>
      lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    inside.must(['start', id]);
    // Each start removes the file with the socket's name and binds another socket, before it finds
    // that the container is running.
    for (let i = 0; i < 200; i++) {
      while (!isLink(name!) && !isLink(link!)) {
        rmSync(link!, { force: true });
        symlinkSync(`${host.path}/file`, link!);
      }
      t.not(inside.tare(['start', id], { env }).status, 0);
    }
    inside.must(['delete', '--force', id]);
    await exitOf(exec);
    t.strictSame(host.changes(), []);
  });
}
