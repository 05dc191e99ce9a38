import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { sharedMounts, spawnInView, treeOf, view } from './share.js';
import { temporaryDirectory } from '../support/directory.js';

t.test('real file systems are shared, parents first', (t) => {
  const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /sys rw shared:2 master:1 - sysfs sysfs rw
25 22 0:5 / /dev rw - devtmpfs devtmpfs rw
26 25 0:23 / /dev/shm rw - tmpfs tmpfs rw
27 22 0:24 / /run rw - tmpfs tmpfs rw
40 30 0:40 / /srv/my\\040data/deep rw - xfs /dev/vdc rw
30 22 0:30 / /srv/my\\040data rw - btrfs /dev/vdb rw
31 22 0:31 / /tmp rw - tmpfs tmpfs rw
32 22 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
33 22 0:33 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
`;
  t.same(sharedMounts(mountinfo), ['/', '/srv/my data', '/srv/my data/deep', '/tmp']);
  t.end();
});

t.test('a checkout anywhere is at its place in a root that lacks that', async (t) => {
  const directory = temporaryDirectory(t, 'share');
  const put = (path: string): string => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), `${path}\n`);
    return path;
  };
  for (const file of ['etc/file', 'var/file', 'var/lib/deep/file', 'usr/bin/file'])
    put(`root/${file}`);
  mkdirSync(join(directory, 'root/var/tmp'));
  chmodSync(join(directory, 'root/var/tmp'), 0o1777);
  symlinkSync('usr/bin', join(directory, 'root/bin'));
  const root = join(directory, 'root');
  const checkouts = ['var/tmp/a clone', 'var/lib/deep/er/ ends with a space ', 'srv/new/clone'];
  const shared = checkouts.map((path) => {
    put(`host/${path}/file`);
    return `/${path}`;
  });
  // The sources have other paths here than in the guest, because those of a machine are in use.
  const tree = treeOf(root, shared).map(({ source, ...rest }) => ({
    ...rest,
    source: shared.includes(source) ? join(directory, 'host', source) : source,
  }));
  if (process.getuid!() !== 0) {
    t.pass('the view', { skip: 'mounting needs root' });
  } else {
    const show = `cd ${view}; find . -type f -exec cat {} +; readlink bin; stat -c %a var/tmp`;
    const child = spawnInView(tree, ['sh', '-c', show]);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    t.strictSame(
      [stdout.split('\n').sort(), stderr],
      [
        [
          ...['', '1777', 'usr/bin', 'root/etc/file', 'root/var/file', 'root/var/lib/deep/file'],
          ...['root/usr/bin/file', ...checkouts.map((path) => `host/${path}/file`)],
        ].sort(),
        '',
      ],
    );
  }
  t.throws(() => treeOf(root, ['/bin/clone']), /\/bin is no directory in the guest/);
});
