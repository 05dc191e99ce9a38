/** crun's mount options: dest-nofollow, copy-symlink, idmap=…. */
import { chownSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { skipReason, type Result } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, type Edit } from '../support/inside.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const source = join(inside.directory, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'bound\n');
  symlinkSync('/etc/plain', join(source, 'link'));

  /**
   * Runs `script` in a root with a file /etc/plain, a symlink /link to it, and the changes of
   * `edit`.
   */
  const run = (script: string, edit: Edit): Result =>
    inside.run(script, (config, rootfs) => {
      writeFileSync(join(rootfs, 'etc/plain'), 'plain\n');
      symlinkSync('etc/plain', join(rootfs, 'link'));
      edit(config, rootfs);
    });
  const bound = (destination: string, name: string, ...options: string[]): Edit => {
    return (config) => {
      config.mounts.push({
        ...{ destination, type: 'bind', source: join(source, name) },
        options: ['bind', ...options],
      });
    };
  };
  const script = 'cat /link /etc/plain; readlink /link; true';
  const inUserNamespace =
    (edit: Edit): Edit =>
    (config, rootfs) => {
      edit(config, rootfs);
      inNewUserNamespace(config);
      chownSync(rootfs, mapped.first, mapped.first);
    };

  for (const [where, wrap] of [
    ['', (edit: Edit) => edit],
    [', in a user namespace', inUserNamespace],
  ] as const) {
    inside.test(`dest-nofollow: the symlink itself is covered${where}`, async (t) => {
      const followed = run(script, wrap(bound('/link', 'file')));
      t.equal(followed.stdout, 'bound\nbound\netc/plain\n', followed.stderr);
      const covered = run(script, wrap(bound('/link', 'file', 'dest-nofollow')));
      t.equal(covered.stdout, 'bound\nplain\n', covered.stderr);
      const both = wrap(bound('/link', 'link', 'src-nofollow', 'dest-nofollow'));
      t.equal(run('readlink /link', both).stdout, '/etc/plain\n');
      const absent = run('true', wrap(bound('/absent', 'file', 'dest-nofollow')));
      t.match(absent, { status: 1, error: /mounts\[\d+\]: openat2: ENOENT/ });
    });

    inside.test(`copy-symlink: a symlink stays one${where}`, async (t) => {
      const copied = run('readlink /a/copied', wrap(bound('/a/copied', 'link', 'copy-symlink')));
      t.equal(copied.stdout, '/etc/plain\n', copied.stderr);
      const file = run('cat /copied', wrap(bound('/copied', 'file', 'copy-symlink')));
      t.equal(file.stdout, 'bound\n', 'and what is none is bound');
      const there = (target: string): Result =>
        run(
          'readlink /copied',
          wrap((config, rootfs) => {
            symlinkSync(target, join(rootfs, 'copied'));
            bound('/copied', 'link', 'copy-symlink')(config, rootfs);
          }),
        );
      t.equal(there('/etc/plain').stdout, '/etc/plain\n', 'the same one is there');
      t.match(there('/etc/plainer'), { status: 1, error: /mounts\[\d+\]: symlinkat?: EEXIST/ });
      t.match(there('/etc/plai'), { status: 1, error: /EEXIST/ });
    });
  }

  inside.test('dest-nofollow: another file system, and nothing in /proc', async (t) => {
    const tmpfs: Edit = (config, rootfs) => {
      mkdirSync(join(rootfs, 'real'));
      symlinkSync('real', join(rootfs, 'alias'));
      config.mounts.push({
        ...{ destination: '/real', type: 'tmpfs', source: 'tmpfs' },
        options: ['dest-nofollow', 'mode=700'],
      });
    };
    t.equal(run('stat -c %a /real', tmpfs).stdout, '700\n');
    const ontoSymlink: Edit = (config, rootfs) => {
      tmpfs(config, rootfs);
      const last = config.mounts.at(-1);
      if (last) last.destination = '/alias';
    };
    t.match(run('true', ontoSymlink), { status: 1, error: /move_mount: EINVAL/ });
    const proc = run('true', (config, rootfs) => {
      symlinkSync('proc/self', join(rootfs, 'way'));
      bound('/way/comm', 'file', 'dest-nofollow')(config, rootfs);
    });
    t.match(proc, { status: 1, error: /inside \/proc/ });
  });

  inside.test('copy-symlink: a source that is not there', async (t) => {
    const { error } = run('true', bound('/copied', 'absent', 'copy-symlink'));
    t.match(error, /config\.json: mounts\[\d+\]: open_tree: ENOENT/);
    t.equal(readlinkSync(join(source, 'link')), '/etc/plain', 'the host’s is as it was');
  });

  inside.test('idmap=…: the mapping in an option', async (t) => {
    const owned = join(inside.directory, 'owned');
    mkdirSync(owned);
    for (const [name, uid, gid] of [
      ['a', 0, 0],
      ['b', 10, 3],
    ] as const) {
      writeFileSync(join(owned, name), '');
      chownSync(join(owned, name), uid, gid);
    }
    const ids = (option: string, wrap = (edit: Edit) => edit): Result =>
      inside.run(
        'stat -c %u:%g /m/a /m/b',
        wrap((config) => {
          config.mounts.push({
            ...{ destination: '/m', type: 'bind', source: owned, options: ['bind', option] },
          });
        }),
      );
    const plain = ids('idmap=uids=0-1000-5#10-3000-1;gids=0-2000-100');
    t.equal(plain.stdout, '1000:2000\n3000:2003\n', plain.stderr);
    t.equal(ids('ridmap=gids=0-7-10;uids=0-5-100').stdout, '5:7\n15:10\n');
    const relative = ids('idmap=uids=@0-1-100;gids=@0-2-100', inUserNamespace);
    t.equal(relative.stdout, '1:2\n11:5\n', relative.stderr);
    for (const bad of [
      ...['idmap=', 'idmap=uids=', 'idmap=uids=0-1', 'idmap=uids=0-1-2-3', 'idmap=pids=0-1-2'],
      ...['idmap=uids=a-1-2', 'idmap=uids=@0-0-1', 'idmap=uids=0-1-10;'],
    ]) {
      const { error, status } = ids(bad);
      t.equal(status, 1, bad);
      t.ok(error.includes(`options[1]: "${bad}": expected a mapping such as`), error);
    }
    t.match(ids('idmap=uids=0-1-10').error, 'gidMappings: is missing');
  });
}
