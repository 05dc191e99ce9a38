/** Masked and read-only paths fail closed. */
import { skipReason } from '../support/tare.js';
import { Inside, mountAt, mounts, type Edit } from '../support/inside.js';
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const mask =
    (...paths: string[]): Edit =>
    (config) => {
      config.linux['maskedPaths'] = paths;
    };
  inside.test(
    'a masked file is empty, a masked directory too, and an absent one is fine',
    async (t) => {
      const seen = inside.stdoutOf(
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

  inside.test('the default paths are masked, as far as the kernel has them', async (t) => {
    let masked: string[] = [];
    let readOnly: string[] = [];
    const seen = inside.stdoutOf('cat /proc/self/mountinfo; echo 1 >/proc/keys', (config) => {
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

  inside.test("paths through /proc's own links, and with dots and slashes", async (t) => {
    const seen = inside.stdoutOf(
      'wc -c </proc/1/mounts; wc -c </proc/version; wc -c </proc/uptime; ls /sys/kernel',
      mask('/proc/mounts', '/proc/../proc/version', '//proc/./uptime', '/sys//kernel/'),
    );
    t.equal(seen, '0\n0\n0');
  });

  inside.test(
    'a ".." takes back what is written before it, not where a symlink leads',
    async (t) => {
      const seen = inside.stdoutOf(
        'cat /etc/secret; cat /elsewhere/secret; echo x >/tmp/x',
        (config, rootfs) => {
          inside.makeDirectory(join(rootfs, 'elsewhere/etc'));
          for (const path of ['etc/secret', 'elsewhere/secret', 'elsewhere/etc/secret']) {
            writeFileSync(join(rootfs, path), `${path}\n`);
          }
          symlinkSync('/elsewhere/etc', join(rootfs, 'link'));
          mask('/link/../etc/secret', '/../../etc/secret', '/etc//secret/')(config, rootfs);
        },
      );
      t.equal(seen, 'elsewhere/secret');
    },
  );

  inside.test('a path that is listed twice is one mount', async (t) => {
    const seen = inside.stdoutOf('cat /proc/self/mountinfo', (config, rootfs) => {
      writeFileSync(join(rootfs, 'etc/secret'), 'secret');
      mask('/etc/secret', '/tmp', '/etc/./secret', '/tmp/')(config, rootfs);
      config.linux['readonlyPaths'] = ['/bin', '/bin'];
    });
    for (const path of ['/etc/secret', '/tmp', '/bin']) {
      t.equal(mounts(seen).filter((mount) => mount.path === path).length, 1, path);
    }
  });

  inside.test('read-only paths, with all that is mounted below them', async (t) => {
    const seen = inside.stdoutOf(
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
