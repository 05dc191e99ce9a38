/** mounts add and remove: mounts that are added to a running container, and removed again. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { OrdinaryUser } from '../support/ordinary-user.js';
import { Sandbox, exitOf, state, skipReason, type Config, type Result } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  const user = new OrdinaryUser(sandbox);
  const file = join(sandbox.directory, 'mounts.json');
  const data = join(sandbox.directory, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'word'), 'here\n');

  async function running(
    t: Test,
    name: string,
    edit?: (config: Config) => void,
    rootfs: (path: string) => void = () => undefined,
  ): Promise<string> {
    const id = sandbox.id(name);
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      config.root.readonly = false;
      edit?.(config);
    });
    rootfs(join(bundle, 'rootfs'));
    const child = sandbox.spawn(['run', '--detach', '--bundle', bundle, id], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.equal(await exitOf(child), 0);
    return id;
  }

  const mounts = (action: string, id: string, list: unknown, cwd?: string): Result => {
    writeFileSync(file, typeof list === 'string' ? list : JSON.stringify(list));
    return sandbox.tare(['mounts', action, id, file], cwd === undefined ? {} : { cwd });
  };
  const inside = (id: string, ...command: string[]): string =>
    sandbox.must(['exec', id, ...command]).stdout;
  /** Returns the options of each mount at `place`. */
  const optionsAt = (id: string, place: string): string[] =>
    inside(id, 'cat', '/proc/self/mountinfo')
      .split('\n')
      .map((line) => line.split(' '))
      .filter((fields) => fields[4] === place)
      .map((fields) => fields[5]!);
  const bind = (destination: string, source = data, ...options: string[]): object => ({
    destination,
    source,
    type: 'bind',
    options: ['bind', ...options],
  });
  const userNamespace = (config: Config): void => {
    config.linux.namespaces.push({ type: 'user' });
    for (const key of ['uidMappings', 'gidMappings'])
      config.linux[key] = [{ containerID: 0, hostID: 100000, size: 65536 }];
    for (const set of ['bounding', 'effective', 'permitted'])
      config.process.capabilities![set]!.push('CAP_SYS_ADMIN');
  };

  sandbox.test('a directory, a file and a tmpfs, and the way back', async (t) => {
    const id = await running(t, 'life');
    const list = [
      bind('/a/dir', data, 'ro', 'nosuid'),
      bind('/b/file', join(data, 'word')),
      { destination: '/c', type: 'tmpfs', source: 'tmpfs', options: ['size=64k', 'ro'] },
      bind('/c/below', data),
    ];
    const { status, stdout, stderr } = mounts('add', id, list);
    t.strictSame([status, stdout, stderr], [0, '', '']);
    t.equal(inside(id, 'cat', '/a/dir/word', '/b/file', '/c/below/word'), 'here\nhere\nhere\n');
    t.match(optionsAt(id, '/a/dir'), [/^ro,nosuid/]);
    t.match(optionsAt(id, '/c'), [/^ro/], 'read-only when there is a place for what is below');
    t.equal(existsSync(join(data, 'below')), false);
    const propagation = inside(id, 'grep', ' /a/dir ', '/proc/self/mountinfo');
    t.notMatch(propagation, /shared:|master:/, 'private');

    // Only the destinations matter, in any order.
    const places = ['/c', '/b/file', '/c/below', '/a/dir'];
    const removed = mounts(
      'remove',
      id,
      places.map((destination) => ({ destination })),
    );
    t.strictSame([removed.status, removed.stderr], [0, '']);
    for (const place of places) t.strictSame(optionsAt(id, place), [], place);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('in every status but stopped; one over the other', async (t) => {
    const id = sandbox.id('statuses');
    const child = sandbox.spawn(['create', '--bundle', sandbox.bundle(['sleep', '1000']), id], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.equal(await exitOf(child), 0);
    t.equal(mounts('add', id, [bind('/tmp')]).status, 0, 'created');
    sandbox.must(['start', id]);
    t.equal(inside(id, 'cat', '/tmp/word'), 'here\n');
    sandbox.must(['pause', id]);
    t.equal(mounts('add', id, [bind('/tmp', '/etc')]).status, 0, 'paused');
    t.equal(mounts('remove', id, [bind('/tmp')]).status, 0, 'the last one');
    sandbox.must(['resume', id]);
    t.equal(inside(id, 'cat', '/tmp/word'), 'here\n', 'the first one is below it');
    t.equal(mounts('remove', id, [bind('/tmp')]).status, 0);
    t.equal(
      mounts('remove', id, [bind('/tmp')]).error,
      `mounts remove ${id}: ${file}: [0].destination: "/tmp": not mounted by \`mounts add\`; ` +
        'only such mounts can be removed',
    );
    sandbox.must(['kill', id, 'KILL']);
    while (state(sandbox.must(['state', id]).stdout).status !== 'stopped');
    for (const action of ['add', 'remove'])
      t.equal(
        mounts(action, id, [bind('/tmp')]).error,
        `mounts ${action} ${id}: container not running`,
      );
    sandbox.must(['delete', id]);
    t.match(mounts('add', id, []).error, /does not exist/);
  });

  sandbox.test('what is wrong is refused by its place', async (t) => {
    const id = await running(t, 'wrong');
    const before = inside(id, 'cat', '/proc/self/mountinfo');
    for (const [list, message] of [
      ['{}', ': expected an array, got an object'],
      ['[', ': line 1'],
      ['[{}]', ': [0].destination: is missing'],
      [[bind('/')], ': [0].destination: is the root itself'],
      [
        [bind('/x'), bind('/proc')],
        ': [1].destination: "/proc" cannot be covered in a running container',
      ],
      [[bind('/sys/')], ': [0].destination: "/sys" cannot be covered'],
      [
        [bind('/proc/sys')],
        ': [0].destination: "/proc/sys" cannot be mounted because it is inside /proc',
      ],
      [
        [{ destination: '/x', type: 'proc' }],
        ': [0].type: "proc" cannot be added to a running container',
      ],
      [
        [{ destination: '/x', type: 'ext4', source: '/dev/sda' }],
        ': [0].type: "ext4" cannot be added to a running container',
      ],
      [[{ destination: '/x', type: 'bind' }], ': [0].source: is missing'],
      [[bind('/x', data, 'remount')], ': [0].options[1]: "remount" does not make a mount'],
      [
        [bind('/x', data, 'copy-symlink')],
        ': [0].options[1]: "copy-symlink" does not make a mount',
      ],
      [[bind('/x', data, 'nosiud')], ': [0].options[1]: invalid mount option "nosiud"'],
      [[bind('/x', data, 'idmap=x')], ': [0].options[1]: "idmap=x": expected a mapping'],
      [Array.from({ length: 49 }, () => bind('/x')), ': 49 mounts; the limit of one call is 48'],
      [[bind('/x', '/nonesuch')], ': [0].source: open_tree: ENOENT'],
    ] as const) {
      const result = mounts('add', id, list);
      t.equal(result.status, 1);
      t.match(result.error, `mounts add ${id}: `);
      t.match(result.error, `${file}${message}`);
    }
    const [unknown, few, missing] = [
      mounts('change', id, []).error,
      sandbox.tare(['mounts', 'add', id]).error,
      sandbox.tare(['mounts', 'add', id, `${file}-none`]).error,
    ];
    t.equal(unknown, 'mounts: unknown command "change"; use add or remove');
    t.match(few, /mounts/);
    t.match(missing, `${file}-none: open: ENOENT`);
    t.equal(inside(id, 'cat', '/proc/self/mountinfo'), before, 'nothing is mounted');
    sandbox.must(['delete', '--force', id]);

    const foreign = await running(t, 'foreign', userNamespace);
    t.match(
      mounts('add', foreign, [bind('/x')]).error,
      /\[0\]: mkdirat: EACCES .*; the mount point does not exist, and the container's root may not create it/,
    );
    sandbox.must(['delete', '--force', foreign]);

    const host = await running(t, 'host', (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'mount');
      config.mounts = [];
      config.linux['maskedPaths'] = [];
      config.linux['readonlyPaths'] = [];
    });
    t.match(
      mounts('add', host, [bind('/x')]).error,
      `${file}: the container has no mount namespace of its own`,
    );
    sandbox.must(['delete', '--force', host]);
  });

  sandbox.test('all of them, or none; sources from the working directory', async (t) => {
    const id = await running(t, 'none');
    const before = inside(id, 'cat', '/proc/self/mountinfo');
    for (const last of [bind('/bin/busybox/x'), bind('/proc/1/root/x')]) {
      const failed = mounts('add', id, [bind('/one'), bind('/two'), last]);
      t.equal(failed.status, 1);
      t.match(failed.error, `${file}: [2]`);
      t.equal(inside(id, 'cat', '/proc/self/mountinfo'), before);
      t.match(mounts('remove', id, [bind('/one')]).error, 'not mounted by `mounts add`');
    }
    t.equal(mounts('add', id, [bind('/one', 'data')], sandbox.directory).status, 0);
    t.equal(inside(id, 'cat', '/one/word'), 'here\n');
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('destinations stay below the root, whatever links it has', async (t) => {
    const outside = join(sandbox.directory, 'outside');
    mkdirSync(outside);
    const up = '../'.repeat(20);
    const id = await running(t, 'links', undefined, (rootfs) => {
      symlinkSync(outside, join(rootfs, 'absolute'));
      symlinkSync(`${up}${outside.slice(1)}`, join(rootfs, 'upwards'));
      symlinkSync('/not/there', join(rootfs, 'dangling'));
      symlinkSync('/proc/sys', join(rootfs, 'kernel'));
      symlinkSync('/proc/1/root', join(rootfs, 'magic'));
    });
    const list = [bind('/absolute/a'), bind('/upwards/b'), bind('/dangling'), bind(`/${up}c`)];
    t.equal(mounts('add', id, list).status, 0);
    t.strictSame(readdirSync(outside), [], 'nothing is made outside');
    for (const place of [`${outside}/a`, `${outside}/b`, '/not/there', '/c'])
      t.equal(optionsAt(id, place).length, 1, place);
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), `${outside} `);
    t.equal(mounts('remove', id, list).status, 0, 'and is found again by the same links');
    t.match(mounts('add', id, [bind('/kernel')]).error, 'a symlink leads it inside /proc');
    t.match(mounts('add', id, [bind('/magic')]).error, /ELOOP/);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('what the container puts in its place is not taken away', async (t) => {
    const id = await running(
      t,
      'swapped',
      (config) => {
        config.linux['maskedPaths'] = ['/secret/word'];
        config.mounts.push({ destination: '/mine', type: 'tmpfs', source: 'tmpfs' });
      },
      (rootfs) => {
        mkdirSync(join(rootfs, 'secret'));
        writeFileSync(join(rootfs, 'secret/word'), 'secret\n');
      },
    );
    t.equal(inside(id, 'cat', '/secret/word'), '', 'masked');
    t.match(mounts('remove', id, [bind('/secret/word')]).error, 'not mounted by `mounts add`');
    t.match(mounts('remove', id, [bind('/mine')]).error, 'not mounted by `mounts add`');
    t.equal(mounts('add', id, [bind('/play/word', join(data, 'word'))]).status, 0);
    inside(id, 'sh', '-c', 'busybox mv /play /gone && busybox mv /secret /play');
    t.equal(
      mounts('remove', id, [bind('/play/word')]).error,
      `mounts remove ${id}: umount -l /play/word: ${file}: [0].destination: what is mounted there ` +
        'is not what `mounts add` has mounted there',
    );
    t.equal(inside(id, 'cat', '/play/word'), '', 'still masked');
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('a user namespace: the host opens sources, and its flags are locked', async (t) => {
    const closed = join(sandbox.directory, 'closed');
    const locked = join(closed, 'locked');
    mkdirSync(locked, { recursive: true });
    writeFileSync(join(locked, 'word'), 'locked\n');
    chmodSync(closed, 0o700);
    const made = spawnSync('sh', [
      '-ec',
      `mount --bind "$1" "$1"; mount -o remount,bind,ro,nosuid,nodev "$1"`,
      'sh',
      locked,
    ]);
    t.equal(made.status, 0);
    try {
      const id = await running(t, 'userns', userNamespace, (rootfs) => {
        spawnSync('chown', ['-R', '100000:100000', rootfs]);
      });
      const mapped = {
        ...bind('/mapped', data),
        uidMappings: [{ containerID: 0, hostID: 100005, size: 65536 }],
        gidMappings: [{ containerID: 0, hostID: 100005, size: 65536 }],
      };
      const tmpfs = { destination: '/t', type: 'tmpfs', source: 'tmpfs' };
      const list = [bind('/locked', locked), mapped, tmpfs];
      const { status, stderr } = mounts('add', id, list);
      t.strictSame([status, stderr], [0, '']);
      t.equal(inside(id, 'cat', '/locked/word'), 'locked\n');
      t.equal(inside(id, 'stat', '-c', '%u', '/mapped/word'), '5\n', 'ids are mapped');
      t.equal(inside(id, 'stat', '-c', '%u', '/t'), '0\n');
      t.match(optionsAt(id, '/locked'), [/^ro,nosuid,nodev/]);
      const remount = ['mount', '-o', 'remount,bind,rw', '/locked'];
      t.not(sandbox.tare(['exec', id, ...remount]).status, 0, 'its root cannot unlock them');
      t.equal(mounts('remove', id, list).status, 0);
      t.strictSame(optionsAt(id, '/locked'), []);
      sandbox.must(['delete', '--force', id]);
    } finally {
      spawnSync('umount', [locked]);
      rmSync(closed, { recursive: true });
    }
  });

  sandbox.test('an ordinary user', async (t) => {
    const id = sandbox.id('rootless');
    const bundle = user.bundle(['sleep', '1000'], (config) => {
      config.root.readonly = false;
    });
    t.equal(user.tare('run', '--detach', '--bundle', bundle, id).status, 0);
    const own = join(user.directory, 'mounts.json');
    const list = (source: string): void =>
      writeFileSync(
        own,
        JSON.stringify([bind('/data', source), { destination: '/t', type: 'tmpfs' }]),
      );
    list(data);
    chmodSync(data, 0o755);
    const added = user.tare('mounts', 'add', id, own);
    t.strictSame([added.status, added.stderr], [0, '']);
    t.equal(user.tare('exec', id, 'cat', '/data/word').stdout, 'here\n');
    t.equal(user.tare('mounts', 'remove', id, own).status, 0);
    t.not(user.tare('exec', id, 'cat', '/data/word').status, 0);
    chmodSync(data, 0o700);
    list(join(data, 'word'));
    t.match(user.tare('mounts', 'add', id, own).error, '[0].source: open_tree: EACCES');
    chmodSync(data, 0o755);
    t.equal(user.tare('delete', '--force', id).status, 0);
    t.strictSame(user.containers(), []);
  });
}
