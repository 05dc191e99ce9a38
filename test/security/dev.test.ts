/** /dev: its contents, the terminal and the masks' /dev/null are devices, below the root. */
import { recvtty } from '../support/recvtty.js';
import { skipReason } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, mountAt, type Edit } from '../support/inside.js';
import { Outside } from './outside.js';
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const up = '../'.repeat(20);
  /** The config without mounts on /dev, so that the image's /dev is used. */
  const imageDev: Edit = (config) => {
    config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
  };
  const mask =
    (path: string): Edit =>
    (config) => {
      config.linux['maskedPaths'] = [path];
    };
  const names = ['ptmx', 'null', 'console', 'fuse', 'fd', 'pts/', 'pts/ptmx', 'shm/', 'mqueue/'];

  for (const [id, edit] of Object.entries<Edit>({
    // Weakened: openat2 (path.cc) without RESOLVE_IN_ROOT, on the path without its first "/". The
    // container's /dev is empty, and "create" fails.
    'CVE-2026-41579: /dev is a symlink of the image': imageDev,
    // Weakened: as above, with the same result.
    'CVE-2026-47766: with devices of its own, and file systems below': (config) => {
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
      config.linux['devices'] = [
        { path: '/dev/fuse', type: 'c', major: 10, minor: 229, uid: 7, gid: 8, fileMode: 0o640 },
        { path: '/dev/below/pipe', type: 'p', uid: 7 },
      ];
    },
  })) {
    inside.test(id, async (t) => {
      for (const user of [false, true]) {
        for (const absolute of [true, false]) {
          const host = new Outside(
            join(inside.directory, `dev-${id.slice(9, 14)}-${user}-${absolute}`),
            ['pts/', 'shm/', 'mqueue/'],
          );
          const linked: Edit = (config, rootfs) => {
            rmdirSync(join(rootfs, 'dev'));
            symlinkSync(absolute ? host.path : up + host.path.slice(1), join(rootfs, 'dev'));
            edit(config, rootfs);
            if (!user) return;
            inNewUserNamespace(config);
            config.linux['devices'] = [];
            chownSync(rootfs, mapped.first, mapped.first);
            chownSync(join(rootfs, 'tmp'), mapped.first, mapped.first);
          };
          const ran = inside.run('ls /dev/', linked);
          t.match(ran.stdout, /null\n/, 'it is filled inside');
          await inside.created(inside.script('true', linked), (container) => {
            inside.must(['start', container]);
          });
          t.strictSame(host.changes(), [], 'run, create and start');
        }
      }
      // The names already exist on the host: none is replaced, and none gets another owner.
      const host = new Outside(join(inside.directory, `full-${id.slice(9, 14)}`), names);
      inside.run('true', (config, rootfs) => {
        rmdirSync(join(rootfs, 'dev'));
        symlinkSync(host.path, join(rootfs, 'dev'));
        edit(config, rootfs);
        config.process.terminal = true;
      });
      t.strictSame(host.changes(), [], 'with the names there');
    });
  }

  // Weakened: no is_null_device in open_null, no comparison in do_make_device (device_ops.cc). The
  // container starts, and reads the link's target, the file and the device.
  inside.test('CVE-2025-31133: /dev/null that is none does not mask', async (t) => {
    const replacements: Record<string, (path: string) => void> = {
      'a symlink': (path) => symlinkSync('/proc/sys/kernel/core_pattern', path),
      'a file': (path) => writeFileSync(path, ''),
      'another device': (path) => void execFileSync('mknod', [path, 'c', '1', '5']),
    };
    for (const [name, replace] of Object.entries(replacements)) {
      const result = inside.run('head -c 99 /proc/sys/kernel/hostname', (config, rootfs) => {
        imageDev(config, rootfs);
        replace(join(rootfs, 'dev/null'));
        mask('/proc/sys/kernel/hostname')(config, rootfs);
      });
      t.match(result, { status: 1, stdout: '' }, name);
      t.match(
        result.error,
        /mknod -m 0666 \/dev\/null c 1 3: what is there is not the device that it must be/,
        name,
      );
    }
    // If tare does not fill /dev, the mask op checks /dev/null itself.
    const dev = join(inside.directory, 'dev');
    for (const [name, replace] of Object.entries(replacements)) {
      rmSync(dev, { recursive: true, force: true });
      mkdirSync(dev);
      replace(join(dev, 'null'));
      const result = inside.run('head -c 99 /proc/version', (config, rootfs) => {
        imageDev(config, rootfs);
        config.mounts.push({ destination: '/dev', type: 'bind', source: dev, options: ['bind'] });
        mask('/proc/version')(config, rootfs);
      });
      t.match(result, { status: 1, stdout: '' }, name);
      t.match(
        result.error,
        /mask \/proc\/version: .*linux\.maskedPaths\[0\]: what is there is not the device/,
        name,
      );
    }
  });

  // Weakened: mask_file (masked_paths.cc) takes a failure of open_null for success. The container
  // starts with the path unmasked.
  inside.test('CVE-2025-62161: without /dev/null nothing is left unmasked', async (t) => {
    const dev = join(inside.directory, 'no-dev');
    mkdirSync(dev);
    const result = inside.run('head -c 99 /proc/version', (config, rootfs) => {
      imageDev(config, rootfs);
      config.mounts.push({ destination: '/dev', type: 'bind', source: dev, options: ['bind'] });
      mask('/proc/version')(config, rootfs);
    });
    t.match(result, { status: 1, stdout: '' });
    t.match(result.error, /mask \/proc\/version: .*linux\.maskedPaths\[0\]: open: ENOENT/);
  });

  const terminal = async (edit: Edit): Promise<string> => {
    const receiver = await recvtty(join(inside.directory, `${inside.fresh()}.sock`));
    const id = inside.fresh();
    const bundle = inside.script('cat /proc/self/mountinfo', (config, rootfs) => {
      config.process.terminal = true;
      edit(config, rootfs);
    });
    const create = inside.tare(['create', '--console-socket', receiver.socket, '-b', bundle, id]);
    if (create.status !== 0) {
      receiver.process.kill();
      return create.error;
    }
    inside.must(['start', id]);
    const said = await receiver.output.all();
    inside.must(['delete', '--force', id]);
    return said;
  };

  // Weakened: bind_console (device_ops.cc) opens the console without O_NOFOLLOW. The container
  // starts for "/target" and the files of the host and of /proc.
  inside.test('CVE-2025-52565: /dev/console is a symlink', async (t) => {
    const host = new Outside(join(inside.directory, 'console'));
    for (const target of [
      '/proc/sys/kernel/core_pattern',
      '/target',
      join(host.path, 'new'),
      host.path,
    ]) {
      const said = await terminal((config, rootfs) => {
        config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
        writeFileSync(join(rootfs, 'target'), '');
        symlinkSync(target, join(rootfs, 'dev/console'));
      });
      t.match(said, 'what is there is not the device that it must be', target);
      t.strictSame(host.changes(), []);
    }
  });

  // Weakened: open_pty (device_ops.cc) without the comparison with DEVPTS_SUPER_MAGIC. "the image's
  // device" is opened, and the symlink is followed as far as O_NOFOLLOW allows.
  inside.test('CVE-2025-52565: /dev/pts/ptmx is not that of a devpts', async (t) => {
    const fakes: Record<string, (path: string) => void> = {
      "the image's device": (path) => void execFileSync('mknod', [path, 'c', '5', '2']),
      'another device': (path) => void execFileSync('mknod', [path, 'c', '1', '5']),
      'a file': (path) => writeFileSync(path, ''),
      'a FIFO': (path) => void execFileSync('mkfifo', [path]),
      'a symlink': (path) => symlinkSync('/dev/zero', path),
    };
    for (const [name, make] of Object.entries(fakes)) {
      const said = await terminal((config, rootfs) => {
        imageDev(config, rootfs);
        mkdirSync(join(rootfs, 'dev/pts'));
        make(join(rootfs, 'dev/pts/ptmx'));
      });
      t.match(said, 'what is there is not the device that it must be', name);
    }
    // exec looks for ptmx in the container as it is at that time.
    const edit: Edit = (config, rootfs) => {
      imageDev(config, rootfs);
      mkdirSync(join(rootfs, 'dev/pts'));
      execFileSync('mknod', [join(rootfs, 'dev/pts/ptmx'), 'c', '5', '2']);
    };
    await inside.created(inside.script('sleep 1000', edit), (id) => {
      inside.must(['start', id]);
      const exec = inside.tare(['exec', '--tty', id, 'true']);
      t.match(exec, { status: 255, error: /what is there is not the device that it must be/ });
    });
    const real = await terminal(() => undefined);
    t.equal(mountAt(real.replaceAll('\r', ''), '/dev/console').type, 'devpts', 'else it is');
  });
}
