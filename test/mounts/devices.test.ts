/** /dev: nodes, links, and files that the image has there. */
import { skipReason } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, mountAt, type Edit } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { chownSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const device =
    (path: string, type: string, more: Record<string, unknown> = {}): Edit =>
    (config) => {
      config.linux['devices'] = [{ path, type, ...more }];
    };
  const imageDev: Edit = (config) => {
    config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
  };
  const stat = (path: string): string => `stat -c "%F %a %u:%g %t:%T" ${path}`;

  inside.test('the default devices and links', async (t) => {
    const seen = inside.stdoutOf(
      'cd /dev; stat -c "%n %F %a %u:%g %t:%T" null zero full random urandom tty; ' +
        'for link in ptmx fd stdin stdout stderr core; do echo $link $(readlink $link); done; ' +
        'head -c 4 zero | wc -c; ! echo 2>&1 >full; ls -ld pts/ptmx | cut -c1-10',
    );
    t.equal(
      seen.replaceAll(/^sh: .*$/gm, 'full is full'),
      `null character special file 666 0:0 1:3
zero character special file 666 0:0 1:5
full character special file 666 0:0 1:7
random character special file 666 0:0 1:8
urandom character special file 666 0:0 1:9
tty character special file 666 0:0 5:0
ptmx pts/ptmx
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
core /proc/kcore
4
full is full
crw-rw-rw-`,
    );
  });

  inside.test(
    'listed devices: type, mode whatever the umask, owner; directories above them',
    async (t) => {
      const fuse = { major: 10, minor: 229, fileMode: 0o640, uid: 3, gid: 4 };
      t.equal(
        inside.stdoutOf(`${stat('/dev/a/b/fuse')}; stat -c %a /dev/a/b`, (config, rootfs) => {
          config.process.user['umask'] = 0o77;
          device('/dev/a/b/fuse', 'c', fuse)(config, rootfs);
        }),
        'character special file 640 3:4 a:e5\n755',
      );
      t.equal(
        inside.stdoutOf(stat('/dev/disk'), device('/dev/disk', 'b', { major: 259, minor: 70_000 })),
        'block special file 666 0:0 103:11170',
      );
      t.equal(
        inside.stdoutOf(stat('/elsewhere'), device('/elsewhere', 'p', { fileMode: 0o600 })),
        'fifo 600 0:0 0:0',
      );
      t.equal(
        inside.stdoutOf(
          stat('/dev/null'),
          device('/dev/null', 'c', { major: 1, minor: 3, fileMode: 0o600 }),
        ),
        'character special file 600 0:0 1:3',
        'a default device may be told otherwise',
      );
    },
  );

  inside.test('what the image has in place of a device', async (t) => {
    const fuse = { major: 10, minor: 229 };
    const same = inside.run(stat('/dev/fuse'), (config, rootfs) => {
      imageDev(config, rootfs);
      execFileSync('mknod', ['-m', '600', join(rootfs, 'dev/fuse'), 'c', '10', '229']);
      device('/dev/fuse', 'c', fuse)(config, rootfs);
    });
    t.match(same.stdout, /^character special file 600 0:0 a:e5/, 'the same is fine');
    const others: Record<string, (path: string) => void> = {
      'another device': (path) => void execFileSync('mknod', [path, 'c', '1', '3']),
      'a block device': (path) => void execFileSync('mknod', [path, 'b', '10', '229']),
      'a file': (path) => writeFileSync(path, ''),
      'a directory': (path) => void execFileSync('mkdir', [path]),
      'a symlink to the same': (path) => void execFileSync('ln', ['-s', '/dev/real', path]),
    };
    for (const [name, make] of Object.entries(others)) {
      const result = inside.run('true', (config, rootfs) => {
        imageDev(config, rootfs);
        execFileSync('mknod', [join(rootfs, 'dev/real'), 'c', '10', '229']);
        make(join(rootfs, 'dev/fuse'));
        device('/dev/fuse', 'c', fuse)(config, rootfs);
      });
      t.equal(result.status, 1);
      t.match(
        result.error,
        'mknod -m 0666 /dev/fuse c 10 229: config.json: linux.devices[0]: what is there is not the device',
        name,
      );
    }
  });

  inside.test("a ptmx of the image's makes way, other links of it stay", async (t) => {
    const seen = inside.stdoutOf('readlink /dev/ptmx; readlink /dev/fd', (config, rootfs) => {
      imageDev(config, rootfs);
      execFileSync('ln', ['-s', '/etc/passwd', join(rootfs, 'dev/ptmx')]);
      execFileSync('ln', ['-s', 'own', join(rootfs, 'dev/fd')]);
    });
    t.equal(seen, 'pts/ptmx\nown');
  });

  inside.test('a /dev that is bound stays as it is', async (t) => {
    const dev = join(inside.directory, 'bound-dev');
    inside.makeDirectory(dev);
    writeFileSync(join(dev, 'mine'), '');
    const seen = inside.stdoutOf('ls /dev', (config, rootfs) => {
      imageDev(config, rootfs);
      config.mounts.push({ destination: '/dev/.', type: 'bind', source: dev, options: ['rbind'] });
      delete config.linux['maskedPaths'];
    });
    t.equal(seen, 'mine');
  });

  inside.test('in a user namespace: a device at another path than on the host', async (t) => {
    const seen = inside.stdoutOf(
      `${stat('/dev/myzero')}; ${stat('/dev/zero')}; ${stat('/data/full')}; head -c 3 /dev/myzero | wc -c; ` +
        stat('/whiteout'),
      (config, rootfs) => {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
        config.linux['devices'] = [
          { path: '/dev/myzero', type: 'c', major: 1, minor: 5 },
          { path: '/dev/zero', type: 'c', major: 1, minor: 7 },
          { path: '/data/full', type: 'c', major: 1, minor: 7 },
          { path: '/whiteout', type: 'c', major: 0, minor: 0 },
        ];
      },
    );
    t.strictSame(seen.replaceAll(/ \d+ [\d:]+ /g, ' ').split('\n'), [
      'character special file 1:5',
      'character special file 1:7',
      'character special file 1:7',
      '3',
      'character special file 0:0',
    ]);
  });

  inside.test('… and one that the host does not have', async (t) => {
    const missing = [
      ['/dev/other', /linux\.devices\[0\]: \/dev\/other: open_tree: ENOENT/],
      ['/dev/zero', /linux\.devices\[0\]: what is there is not the device that it must be/],
    ] as const;
    for (const [path, message] of missing) {
      const result = inside.run('true', (config, rootfs) => {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
        config.linux['devices'] = [{ path, type: 'c', major: 4000, minor: 1 }];
      });
      t.equal(result.status, 1);
      t.match(result.error, message);
      t.match(result.error, "; the host's /dev has no node of this device to bind");
    }
    const fifo = inside.stdoutOf(
      'test -p /dev/pipe && stat -c %a:%u:%g /dev/pipe',
      (config, rootfs) => {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
        config.linux['devices'] = [
          { path: '/dev/pipe', type: 'p', fileMode: 0o620, uid: 3, gid: 4 },
        ];
      },
    );
    t.equal(fifo, '620:3:4');
  });

  inside.test('in a new user namespace the nodes of the host are bound', async (t) => {
    const seen = inside.stdoutOf(
      'cd /dev; stat -c "%n %F %t:%T" null zero full random urandom tty; readlink ptmx; ' +
        'echo x >null; cat /proc/self/mountinfo',
      (config, rootfs) => {
        inNewUserNamespace(config);
        chownSync(rootfs, 200_000, 200_000);
      },
    );
    t.equal(
      seen.split('\n').slice(0, 7).join('|'),
      'null character special file 1:3|zero character special file 1:5|' +
        'full character special file 1:7|random character special file 1:8|' +
        'urandom character special file 1:9|tty character special file 5:0|pts/ptmx',
    );
    t.match(mountAt(seen, '/dev/null').root, '/null');
  });

  inside.test('the host keeps its own', async (t) => {
    t.doesNotThrow(() => execFileSync('test', ['-c', '/dev/null']));
    t.notOk(inside.stdoutOf('ls -l /dev/fd').includes(inside.directory));
    t.match(readlinkSync('/dev/fd'), '/proc/self/fd');
  });
}
