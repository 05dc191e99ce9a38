/** Masked and read-only paths: they fail closed. */
import { whyNot } from '../cli/tare.js';
import { Inside, mountAt, mounts, type Edit } from './inside.js';
import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const inside = new Inside();
  t.teardown(() => inside.remove());

  const mask =
    (...paths: string[]): Edit =>
    (config) => {
      config.linux['maskedPaths'] = paths;
    };
  /** The config without a /dev of its own: the image's is used. */
  const imageDev: Edit = (config) => {
    config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
  };

  inside.test(
    'a masked file is empty, a masked directory too, and an absent one is fine',
    async (t) => {
      const seen = inside.says(
        'cat /etc/secret; echo x >/etc/secret; ls -a /secrets; ! touch /secrets/x 2>&1; ' +
          'stat -c "%t:%T %F" /etc/secret; cat /proc/self/mountinfo',
        (config, rootfs) => {
          writeFileSync(join(rootfs, 'etc/secret'), 'secret');
          mask('/etc/secret', '/secrets', '/more/secrets', '/absent', '/absent/x')(config, rootfs);
          config.mounts.push({ destination: '/secrets', type: 'tmpfs', source: 'tmpfs' });
          config.mounts.push({ destination: '/more/secrets', type: 'tmpfs', source: 'tmpfs' });
        },
      );
      t.match(
        seen,
        '.\n..\ntouch: /secrets/x: Read-only file system\n1:3 character special file\n',
      );
      for (const path of ['/secrets', '/more/secrets']) {
        const mount = mountAt(seen, path);
        t.equal(mount.type, 'tmpfs');
        t.strictSame(mount.options.slice(0, 4), ['ro', 'nosuid', 'nodev', 'noexec']);
      }
    },
  );

  inside.test('the default paths are hidden, as far as the kernel has them', async (t) => {
    let masked: string[] = [];
    let readOnly: string[] = [];
    const seen = inside.says('cat /proc/self/mountinfo; echo 1 >/proc/keys', (config) => {
      masked = config.linux['maskedPaths'] as string[];
      readOnly = config.linux['readonlyPaths'] as string[];
    });
    t.ok(masked.length > 5 && readOnly.length > 3);
    for (const path of masked.filter((path) => existsSync(path))) {
      const { root, options } = mountAt(seen, path);
      t.ok(root === '/null' || (root === '/' && options.includes('ro')), path);
    }
    for (const path of readOnly.filter((path) => existsSync(path))) {
      t.ok(mountAt(seen, path).options.includes('ro'), path);
    }
  });

  inside.test(
    '/dev/null that is none does not mask, and nothing starts (CVE-2025-31133)',
    async (t) => {
      const replacements: Record<string, (path: string) => void> = {
        'a symlink': (path) => symlinkSync('/proc/sys/kernel/core_pattern', path),
        'a file': (path) => writeFileSync(path, ''),
      };
      for (const [name, replace] of Object.entries(replacements)) {
        const edit: Edit = (config, rootfs) => {
          imageDev(config, rootfs);
          replace(join(rootfs, 'dev/null'));
          mask('/proc/sys/kernel/hostname')(config, rootfs);
        };
        const result = inside.run('cat /proc/sys/kernel/hostname', edit);
        t.equal(result.status, 1);
        t.equal(result.stdout, '', name);
        t.match(
          result.error,
          /mknod -m 0666 \/dev\/null c 1 3: what is there is not the device that it must be/,
          name,
        );
      }
      // Where /dev is not ours to fill, the mask looks at it itself.
      const dev = join(inside.directory, 'dev');
      for (const name of ['null', undefined]) {
        rmSync(dev, { recursive: true, force: true });
        const result = inside.run('cat /proc/version', (config, rootfs) => {
          imageDev(config, rootfs);
          inside.makeDirectory(dev);
          if (name !== undefined) symlinkSync('/proc/sys/kernel/core_pattern', join(dev, name));
          config.mounts.push({ destination: '/dev', type: 'bind', source: dev, options: ['bind'] });
          mask('/proc/version')(config, rootfs);
        });
        t.equal(result.status, 1);
        t.equal(result.stdout, '');
        t.match(
          result.error,
          name === undefined
            ? /mask \/proc\/version: .*linux\.maskedPaths\[0\]: open: ENOENT/
            : /mask \/proc\/version: .*linux\.maskedPaths\[0\]: what is there is not the device/,
        );
      }
    },
  );

  inside.test('a path that is listed twice is one mount', async (t) => {
    const seen = inside.says('cat /proc/self/mountinfo', (config, rootfs) => {
      writeFileSync(join(rootfs, 'etc/secret'), 'secret');
      mask('/etc/secret', '/tmp', '/etc/secret', '/tmp')(config, rootfs);
      config.linux['readonlyPaths'] = ['/bin', '/bin'];
    });
    for (const path of ['/etc/secret', '/tmp', '/bin']) {
      t.equal(mounts(seen).filter((mount) => mount.path === path).length, 1, path);
    }
  });

  inside.test('read-only paths, with all that is mounted below them', async (t) => {
    const seen = inside.says(
      '! touch /ro/x 2>&1; ! touch /ro/below/x 2>&1; touch /rw; ! touch /file 2>&1; cat /file',
      (config, rootfs) => {
        writeFileSync(join(rootfs, 'file'), 'content');
        config.mounts.push({ destination: '/ro', type: 'tmpfs', source: 'tmpfs' });
        config.mounts.push({ destination: '/ro/below', type: 'tmpfs', source: 'tmpfs' });
        config.linux['readonlyPaths'] = ['/ro', '/file', '/absent'];
      },
    );
    t.equal(
      seen,
      ['/ro/x', '/ro/below/x', '/file']
        .map((path) => `touch: ${path}: Read-only file system\n`)
        .join('') + 'content',
    );
  });

  inside.test('a symlink of the image is followed below the root only', async (t) => {
    const result = inside.run('cat /real; cat /link', (config, rootfs) => {
      writeFileSync(join(rootfs, 'real'), 'content');
      symlinkSync('/../../real', join(rootfs, 'link'));
      mask('/link')(config, rootfs);
    });
    t.match(result, { status: 0, stdout: '' });
  });
}
