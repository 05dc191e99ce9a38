/** /sys/fs/cgroup of a container that may not mount a cgroup2 file system. */
import { OrdinaryUser, uid } from '../support/ordinary-user.js';
import { skipReason, type Config } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, mountAt } from '../support/inside.js';
import { chownSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const user = new OrdinaryUser(inside);

  const inCgroupOfHost = (config: Config): void => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
  };
  const script =
    'cat /proc/self/mountinfo; for d in $(find /sys/fs/cgroup -type d); do ' +
    'mkdir $d/made && echo "made $d/made"; echo 1 >$d/cgroup.procs && echo "wrote $d"; ' +
    'echo 0 >$d/cgroup.freeze && echo "wrote $d"; done 2>/tmp/errors; ' +
    'sed "s/.*: //" /tmp/errors | sort | uniq -c | sed "s/^ *[0-9]* //"';
  const check = (t: Test, stdout: string, name: string): void => {
    t.ok(mountAt(stdout, '/sys/fs/cgroup').options.includes('ro'), `${name}: read-only`);
    t.notMatch(stdout, /^(made|wrote)/m, name);
    t.match(stdout, /Read-only file system\n*$/, `${name}: that is why`);
  };

  // Weakened: add_file_system (plan/file_systems.cc) without set_attributes for its fallback. The mount
  // is not read-only.
  inside.test('CVE-2023-25809: the fall-back to a bind is read-only', async (t) => {
    const seen = inside.stdoutOf(script, (config, rootfs) => {
      inCgroupOfHost(config);
      inNewUserNamespace(config);
      chownSync(rootfs, mapped.first, mapped.first);
      chownSync(`${rootfs}/tmp`, mapped.first, mapped.first);
    });
    check(t, seen, 'a user namespace');
  });

  // Weakened: as above. The container makes cgroups.
  inside.test('CVE-2023-25809: of an ordinary user, too', async (t) => {
    const cgroup = `/sys/fs/cgroup/${inside.tag}-delegated`;
    mkdirSync(join(cgroup, 'session'), { recursive: true });
    for (const path of [cgroup, join(cgroup, 'session')]) {
      for (const file of ['', 'cgroup.procs', 'cgroup.subtree_control']) {
        chownSync(join(path, file), uid, uid);
      }
    }
    user.cgroup = join(cgroup, 'session');
    try {
      const bundle = user.bundle(['sh', '-c', script], (config) => {
        config.root.readonly = false;
        inCgroupOfHost(config);
      });
      const { status, stdout, stderr } = user.tare('run', '-b', bundle, inside.id('user'));
      t.match({ status, stderr }, { status: 0, stderr: '' });
      check(t, stdout, 'in a cgroup of their own');
      user.cgroup = '';
      const without = user.tare('run', '-b', bundle, inside.id('none'));
      t.match(without, { status: 1, stdout: '', error: /cgroup2/ }, 'where there is none');
    } finally {
      rmdirSync(join(cgroup, 'session'));
      rmdirSync(cgroup);
    }
  });
}
