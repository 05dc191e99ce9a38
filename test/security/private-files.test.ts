/**
 * tare's files on the host are accessible to its caller only, and no other process can connect to
 * tare.
 */
import { OrdinaryUser, uid } from '../support/ordinary-user.js';
import { Output, call, cli, exitOf, program, state, skipReason } from '../support/tare.js';
import { Inside } from '../support/inside.js';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const user = new OrdinaryUser(inside);

  /** Path and mode of everything that other users may access, except symlinks. */
  const open = (path: string): string[] => {
    const status = lstatSync(path);
    if (status.isSymbolicLink()) return [];
    const here =
      (status.mode & 0o077) === 0 ? [] : [`${path} ${(status.mode & 0o7777).toString(8)}`];
    if (!status.isDirectory()) return here;
    return [...here, ...readdirSync(path).flatMap((name) => open(join(path, name)))];
  };

  // Weakened: 0755 and 0644 in state/directory.cc. The directories, config.json and the FIFOs are listed.
  inside.test('CVE-2024-25621: states are not readable for other users', async (t) => {
    const root = join(inside.directory, 'new/state');
    const loose = (args: string[]) =>
      call('sh', ['-c', 'umask 0; exec "$@"', 'sh', cli, '--root', root, ...args]);
    const bundle = inside.script('sleep 1000', (config) => {
      config.linux['resources'] = {};
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['reboot'], action: 'SCMP_ACT_ERRNO' }],
      };
    });
    const id = inside.fresh();
    t.equal(loose(['create', '-b', bundle, id]).status, 0);
    t.strictSame(open(join(inside.directory, 'new')), [], 'created');
    t.ok(readdirSync(join(root, id)).length > 3, 'there is something');
    t.equal(loose(['start', id]).status, 0);
    t.equal(loose(['pause', id]).status, 0);
    t.strictSame(open(root), [], 'paused');
    t.equal(loose(['resume', id]).status, 0);
    t.equal(loose(['exec', id, 'true']).status, 0);
    t.strictSame(open(root), [], 'running');
    t.equal(loose(['delete', '--force', id]).status, 0);

    const theirs = inside.id('theirs');
    const done = user.tare('create', '-b', user.bundle(['sleep', '1000']), theirs);
    t.equal(done.status, 0);
    t.strictSame(open(join(user.runtime, 'tare')), [], 'an ordinary user’s');
    user.tare('delete', '--force', theirs);
  });

  // Weakened: state/directory.cc without refuse_unsafe_root(). Other users can put their own states in the
  // place of those that root reads and acts on.
  inside.test('CVE-2024-25621: a state root that is there already', async (t) => {
    const bundle = inside.script('sleep 1000');
    const create = (root: string, id: string) =>
      call(cli, ['--root', root, 'create', '-b', bundle, id]);
    const made = (name: string, mode: number, owner = 0): string => {
      const root = join(inside.directory, name);
      mkdirSync(root);
      chownSync(root, owner, owner);
      chmodSync(root, mode);
      return root;
    };

    // Others may list it, as a directory that several tools share, but cannot read below it.
    const readable = made('readable', 0o755);
    const id = inside.fresh();
    t.equal(create(readable, id).status, 0);
    t.strictSame(open(readable), [`${readable} 755`]);
    t.equal(call(cli, ['--root', readable, 'delete', '--force', id]).status, 0);

    const theirs = made('theirs', 0o700, uid);
    const link = join(inside.directory, 'link');
    symlinkSync(readable, link);
    lchownSync(link, uid, uid);
    const writable = made('writable', 0o777);
    for (const [root, problem] of [
      [theirs, `it belongs to uid ${uid}, which could change the state of containers`],
      [link, `it belongs to uid ${uid}, which could change the state of containers`],
      [writable, 'other users can write to it and could replace the state of containers'],
    ] as const) {
      const refused = create(root, inside.fresh());
      t.equal(refused.status, 1);
      t.match(refused.error, `state root ${root}: ${problem}; use a directory that`);
      t.strictSame(
        readdirSync(root).filter((name) => !name.startsWith('@')),
        [],
      );
    }
    // As in /tmp, a user cannot replace another user's entries there.
    const sticky = made('sticky', 0o1777);
    const own = inside.fresh();
    t.equal(create(sticky, own).status, 0);
    t.equal(call(cli, ['--root', sticky, 'delete', '--force', own]).status, 0);
    // An ordinary user's command does not trust states in a root of another user either.
    const readByUser = user.tare('--root', made('roots', 0o755, 1), 'list');
    t.match(readByUser.error, 'it belongs to uid 1, which could change the state of containers');
  });

  /**
   * Sockets that listen or are bound to a name that any process of the network namespace can reach.
   */
  const reachable = (): string[] =>
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.split(/\s+/))
      .filter(
        ([, , , flags = '0', , , , path = '']) =>
          path.startsWith('@') || (parseInt(flags, 16) & 0x10000) !== 0,
      )
      .map(([, , , , , , inode = '', path = '']) => `${inode} ${path}`);

  // Weakened: Container::create (container/create.cc) listens on "@tare/ID". The hooks see the
  // socket, and it is there while the container runs.
  inside.test('CVE-2020-15257: no socket that others can reach', async (t) => {
    const before = new Set(reachable());
    const seen = join(inside.directory, 'unix');
    writeFileSync(seen, '');
    const kinds = ['createRuntime', 'createContainer', 'poststart', 'poststop'];
    const bundle = inside.script('read line; exit', (config) => {
      const hook = { path: '/bin/sh', args: ['sh', '-c', `cat /proc/net/unix >>${seen}`] };
      config.hooks = Object.fromEntries(kinds.map((kind) => [kind, [hook]]));
      // As with the host's network namespace, where such a socket could be reached from inside.
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network');
      config.mounts = config.mounts.filter(({ type }) => type !== 'sysfs');
    });
    const socket = join(inside.directory, 'manager.sock');
    const manager = spawn(program('notify'), ['listen', socket], { stdio: 'pipe' });
    await new Output(manager.stderr).until('listening\n');
    const id = inside.fresh();
    const run = inside.spawn(['run', '-b', bundle, id], { env: { NOTIFY_SOCKET: socket } });
    while (inside.tare(['exec', id, 'true']).status !== 0);
    t.equal(state(inside.must(['state', id]).stdout).status, 'running');
    const now = reachable().filter((one) => !before.has(one) && !one.endsWith(socket));
    t.strictSame(now, [], 'while it runs');
    run.stdin?.end('\n');
    t.equal(await exitOf(run), 0);
    manager.kill();
    const during = readFileSync(seen, 'utf8')
      .split('\n')
      .filter(
        (line) =>
          / @\S*$/.test(line) && ![...before].some((one) => line.endsWith(one.split(' ')[1] ?? '')),
      );
    t.ok(readFileSync(seen, 'utf8').length > 0, 'hooks looked');
    t.strictSame(during, [], 'while it starts and ends');
  });
}
