/**
 * Flags of bind mounts, as in runc: if the options name any flag, flags that they do not name are
 * cleared. In a user namespace the flags that the host has set stay, and clearing one by name is
 * refused.
 */
import { skipReason } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, mountAt, whileMounted } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const source = join(inside.directory, 'source');
  mkdirSync(source);

  /** Returns the flags of the bind mount, or the error if it is refused. */
  const flags = (host: string, options: string, userns: boolean): string[] | string => {
    execFileSync('mount', ['--bind', '-o', `remount,${host}`, source]);
    const result = inside.run('cat /proc/self/mountinfo', (config, rootfs) => {
      config.mounts.push({ destination: '/m', type: 'bind', source, options: options.split(',') });
      if (userns) {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
      }
    });
    return result.status === 0 ? mountAt(result.stdout, '/m').options.sort() : result.error;
  };
  const refused = /mount_setattr: EPERM/;
  const rows: [host: string, options: string, plain: string, userns: string | RegExp][] = [
    ['ro,noexec,nodiratime', 'bind', 'nodiratime,noexec,ro', 'nodiratime,noexec,ro'],
    ['ro,noexec,nodiratime', 'bind,dev', 'nodiratime,relatime,rw', 'nodiratime,noexec,relatime,ro'],
    ['ro', 'bind,nosuid,nodev,rprivate', 'nodev,nosuid,rw', 'nodev,nosuid,ro'],
    ['ro', 'bind,rw,nosuid', 'nosuid,rw', refused],
    ['nosuid,nodev,noexec,noatime', 'bind,dev,suid,exec,atime', 'noatime,rw', refused],
    ['nodev,nosuid,noatime', 'bind,ro,exec', 'noatime,ro', 'noatime,nodev,nosuid,ro'],
    ['nodev,nosymfollow', 'bind,ro,symfollow', 'ro', 'nodev,ro'],
    ['nodev,nosymfollow', 'bind,rw', 'rw', 'nodev,rw'],
    ['noatime', 'bind,norelatime', 'noatime,rw', 'noatime,rw'],
    ['noatime', 'bind,relatime', 'relatime,rw', refused],
    ['noatime', 'bind,nodiratime', 'nodiratime,relatime,rw', refused],
    ['nodiratime', 'bind,strictatime', 'rw', refused],
    ['noatime', 'bind,nodiratime,strictatime', 'nodiratime,rw', refused],
    ['noatime,nodiratime', 'bind,norelatime,ro', 'noatime,nodiratime,ro', 'noatime,nodiratime,ro'],
    ['relatime', 'bind,noatime', 'noatime,rw', refused],
    ['relatime', 'bind,relatime,ro', 'relatime,ro', 'relatime,ro'],
  ];
  for (const [host, options, plain, userns] of rows) {
    inside.test(`${options} of a mount that is ${host}`, async (t) => {
      // After a remount with nodiratime alone, mount(8) adds relatime or not, depending on its
      // version.
      const told = (found: string[] | string): string =>
        typeof found === 'string' ? found : found.join();
      const loose = (text: string): string =>
        host.includes('nodiratime') && !/atime/.test(options)
          ? text.replace('relatime,', '')
          : text;
      await whileMounted(['-t', 'tmpfs', '-o', 'diratime,strictatime', 'tmpfs', source], () => {
        t.equal(loose(told(flags(host, options, false))), loose(plain));
        const seen = told(flags(host, options, true));
        if (userns instanceof RegExp) t.match(seen, userns);
        else t.equal(loose(seen), loose(userns));
      });
    });
  }
}
