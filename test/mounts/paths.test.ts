/**
 * Paths below the root that do not exist yet, or form a loop; test/security tests those that lead
 * outside.
 */
import { skipReason } from '../support/tare.js';
import { Inside } from '../support/inside.js';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  inside.test('a loop of symlinks ends', async (t) => {
    const result = inside.run('true', (config, rootfs) => {
      symlinkSync('b', join(rootfs, 'a'));
      symlinkSync('a', join(rootfs, 'b'));
      config.mounts.push({ destination: '/a/x', type: 'tmpfs', source: 'tmpfs' });
    });
    t.match(result.error, /mounts\[\d+\]: openat2: ELOOP/);
  });

  inside.test('the working directory is made below the root', async (t) => {
    t.equal(
      inside.stdoutOf('pwd; stat -c %a:%u /a/b', (config) => {
        config.process.cwd = '/a/b/c';
        config.process.user['uid'] = 1000;
      }),
      '/a/b/c\n755:0',
    );
    const host = join(inside.directory, 'cwd');
    mkdirSync(host);
    t.equal(
      inside.stdoutOf('pwd', (config, rootfs) => {
        symlinkSync(host, join(rootfs, 'link'));
        config.process.cwd = '/link/new';
      }),
      `${host}/new`,
    );
    t.notOk(existsSync(join(host, 'new')));
  });
}
