/** src-no-symlinks and src-within: limits on the symlinks in the source of a bind mount. */
import { skipReason, type Config } from '../support/tare.js';
import { OrdinaryUser } from '../support/ordinary-user.js';
import { Inside, inNewUserNamespace, mapped } from '../support/inside.js';
import { chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const user = new OrdinaryUser(inside);

  const top = join(inside.directory, 'top');
  mkdirSync(join(top, 'work/sub'), { recursive: true });
  mkdirSync(join(top, 'secret'));
  writeFileSync(join(top, 'work/sub/file'), 'inside\n');
  writeFileSync(join(top, 'secret/file'), 'outside\n');
  const links: [string, string][] = [
    ['work/beneath', 'sub'],
    ['work/up', '../secret'],
    ['work/absolute', join(top, 'secret')],
    ['work/magic', '/proc/self/cwd'],
    ['to-work', 'work'],
  ];
  for (const [name, target] of links) symlinkSync(target, join(top, name));

  type Case = [source: string, option: string | undefined, said: string | RegExp];
  const work = `src-within=${top}/work`;
  const cases: Case[] = [
    [`${top}/work/beneath`, undefined, 'inside\n'],
    [`${top}/work/sub`, 'src-no-symlinks', 'inside\n'],
    [`${top}/work/beneath`, 'src-no-symlinks', /ELOOP.*a symlink is on the way/],
    [`${top}/to-work/sub`, 'src-no-symlinks', /ELOOP.*a symlink is on the way/],
    [`${top}/nowhere`, 'src-no-symlinks', /ENOENT.*does not exist/],
    ['sub', work, 'inside\n'],
    ['beneath', work, 'inside\n'],
    ['./up/../beneath', work, /EXDEV.*below the directory of src-within/],
    ['up', work, /EXDEV.*below the directory of src-within/],
    ['absolute', work, /EXDEV.*below the directory of src-within/],
    ['../secret', work, /EXDEV.*below the directory of src-within/],
    ['magic', work, /ELOOP|EXDEV/],
    ['sub', `src-within=${top}/to-work`, 'inside\n'],
    ['sub', `src-within=${top}/nowhere`, /ENOENT/],
  ];
  const check = async (
    test: Tap,
    run: (edit: (config: Config) => void) => ReturnType<Inside['tare']>,
  ): Promise<void> => {
    for (const [source, option, said] of cases) {
      const done = run((config) => {
        const options = ['rbind', 'ro', ...(option === undefined ? [] : [option])];
        config.mounts.push({ destination: '/mnt', source, options });
      });
      const message = `${source} ${option ?? ''}`;
      if (typeof said === 'string')
        test.strictSame([done.stdout, done.stderr], [said, ''], message);
      else test.match(done.stderr, said, message);
    }
  };
  type Tap = Parameters<Parameters<typeof inside.test>[1]>[0];

  inside.test('without a user namespace', (t) =>
    check(t, (edit) => inside.run('cat /mnt/file', edit)),
  );

  inside.test('in a user namespace', (t) =>
    check(t, (edit) =>
      inside.run('cat /mnt/file', (config, rootfs) => {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
        edit(config);
      }),
    ),
  );

  inside.test('as an ordinary user', (t) =>
    check(t, (edit) => {
      const bundle = user.bundle(['sh', '-c', 'cat /mnt/file'], (config) => {
        config.root.readonly = false;
        edit(config);
      });
      return user.tare('run', '--bundle', bundle, inside.fresh());
    }),
  );
}
