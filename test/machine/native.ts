/** Whether this machine has what some tests need; otherwise they run in a guest. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Need =
  'controllers' | 'apparmor' | 'caps' | 'selinux-without-policy' | 'systemd-to-spare';

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Each returns a description of what is missing, or undefined. */
const checks: Record<Need, () => string | undefined> = {
  controllers() {
    const mount = /^\S+ (\S+) cgroup2 /m.exec(read('/proc/mounts'))?.[1];
    if (mount !== '/sys/fs/cgroup') return 'cgroup v2 is not what is mounted at /sys/fs/cgroup';
    const has = read(join(mount, 'cgroup.subtree_control')).split(' ');
    const lacks = ['cpu', 'cpuset', 'io', 'memory', 'pids'].filter((name) => !has.includes(name));
    if (lacks.length > 0) return `/sys/fs/cgroup delegates no ${lacks.join(', ')}`;
    return undefined;
  },
  apparmor() {
    const enabled = read('/sys/module/apparmor/parameters/enabled') === 'Y';
    if (!enabled || read('/sys/kernel/security/lsm') === '') return 'AppArmor is not enabled';
    return undefined;
  },
  // A suite that loads its own policy must not do so on this machine.
  'selinux-without-policy'() {
    return 'a policy of SELinux is loaded into a guest only';
  },
  // A suite must not reload the systemd that runs this machine.
  'systemd-to-spare'() {
    return 'only a guest’s systemd is there to be played with';
  },
  caps() {
    if (process.getuid?.() !== 0) return 'not root';
    const last = Number(read('/proc/sys/kernel/cap_last_cap'));
    const has = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(read('/proc/self/status'))?.[1] ?? '0'}`);
    for (let cap = 0; cap <= last; cap++) {
      if (!((has >> BigInt(cap)) & 1n)) return `root lacks capability ${cap}`;
    }
    return undefined;
  },
};

/**
 * Returns descriptions of those `needs` that this machine lacks; empty if the tests can run here.
 */
export function lacking(...needs: Need[]): string[] {
  return needs.flatMap((need) => checks[need]() ?? []);
}
