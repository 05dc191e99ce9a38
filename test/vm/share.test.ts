import t from 'tap';
import { sharedMounts } from './share.js';

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
