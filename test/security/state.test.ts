/**
 * A state directory that is half-written, damaged or hostile: every verb reports the problem and
 * does not hang, and `delete --force` removes the container without touching anything else.
 */
import { spawn } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { call, cli, state, skipReason, type Result } from '../support/tare.js';
import { Inside } from '../support/inside.js';
import { Outside } from './outside.js';
import { allowTime } from '../support/timeout.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  allowTime(t, 180_000);
  const inside = new Inside(t);
  const bundle = inside.bundle(['sleep', '1000'], (config) => {
    config.hooks = { poststop: [{ path: '/bin/true' }] };
  });
  const tare = (...args: string[]): Result => inside.tare(args, { timeout: 15_000 });
  const mkfifo = (path: string): void => void call('mkfifo', [path]);
  const mknod = (path: string): void => void call('mknod', [path, 'c', '1', '5']);

  interface Damage {
    name: string;
    /** Damages the state directory of a container. */
    damage: (directory: string, outside: Outside) => void;
    /** The error of `state`; undefined if it does not need the damaged part. */
    says?: RegExp;
  }
  const replaced =
    (make: (path: string, outside: Outside) => void, file = 'state.json') =>
    (directory: string, outside: Outside): void => {
      rmSync(join(directory, file));
      make(join(directory, file), outside);
    };
  const written = (text: string) =>
    replaced((path) => {
      writeFileSync(path, text);
    });
  const edited =
    (edit: (record: Record<string, unknown>) => void) =>
    (directory: string): void => {
      const path = join(directory, 'state.json');
      const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
      edit(record);
      writeFileSync(path, JSON.stringify(record));
    };

  const damages: Damage[] = [
    { name: 'an empty state.json', damage: written(''), says: /state\.json: line 1/ },
    {
      name: 'half a state.json',
      damage: (directory) => {
        const path = join(directory, 'state.json');
        truncateSync(path, Math.floor(readFileSync(path).length / 2));
      },
      says: /state\.json: line 1/,
    },
    { name: 'null', damage: written('null'), says: /state\.json: .*expected an object/ },
    {
      name: 'a field that is missing',
      damage: edited((record) => delete record['cgroupPath']),
      says: /state\.json: cgroupPath: /,
    },
    {
      name: 'a pid that is text',
      damage: edited((record) => (record['pid'] = '1')),
      says: /state\.json: pid: expected an integer/,
    },
    {
      name: 'a pid that is negative: kill(2) would take it for a group',
      damage: edited((record) => (record['pid'] = -1)),
      says: /state\.json: .*not this container's record; remove it with `delete --force`/,
    },
    {
      name: 'a number that is too large',
      damage: edited((record) => (record['pid'] = 2 ** 40)),
      says: /state\.json: pid: /,
    },
    { name: 'depth', damage: written('['.repeat(1e6)), says: /state\.json: line 1/ },
    {
      name: 'a huge state.json',
      damage: (directory) => {
        truncateSync(join(directory, 'state.json'), 2 ** 40);
      },
      says: /state\.json: larger than 67108864 bytes/,
    },
    { name: 'a FIFO', damage: replaced(mkfifo), says: /state\.json: line 1/ },
    { name: 'a device without end', damage: replaced(mknod), says: /state\.json: larger than / },
    {
      name: 'a directory',
      damage: replaced((path) => {
        mkdirSync(join(path, 'in/it'), { recursive: true });
      }),
      says: /state\.json: read: EISDIR/,
    },
    {
      name: 'a symlink',
      damage: replaced((path, outside) => {
        symlinkSync(join(outside.path, 'file'), path);
      }),
      says: /state\.json: open: ELOOP/,
    },
    {
      name: 'none',
      damage: (directory) => {
        unlinkSync(join(directory, 'state.json'));
      },
      says: /^container \S+ does not exist/,
    },
    {
      name: 'a config.json that is no JSON',
      damage: (directory) => {
        writeFileSync(join(directory, 'config.json'), '{');
      },
    },
    { name: 'a FIFO for a config.json', damage: replaced(mkfifo, 'config.json') },
    {
      name: 'a symlink for a config.json',
      damage: replaced((path, outside) => {
        symlinkSync(join(outside.path, 'file'), path);
      }, 'config.json'),
    },
    {
      name: 'a cgroup that leads out of the tree',
      damage: edited((record) => (record['cgroupPath'] = '/../../../tmp')),
      says: /state\.json: cgroupPath: leads out of the cgroup tree/,
    },
    {
      name: 'much else, and symlinks to elsewhere',
      damage: (directory, outside) => {
        mkdirSync(join(directory, 'a/b/c'), { recursive: true });
        for (let i = 0; i < 300; i++) writeFileSync(join(directory, `a/b/${i}`), '');
        symlinkSync(outside.path, join(directory, 'a/b/c/out'));
        symlinkSync(outside.path, join(directory, 'out'));
        symlinkSync(outside.path, join(directory, 'notify'));
        mkfifo(join(directory, 'a/fifo'));
      },
    },
  ];

  for (const { name, damage, says } of damages) {
    inside.test(name, async (t) => {
      const outside = new Outside(join(inside.directory, 'outside', inside.fresh()), [
        'directory/',
      ]);
      const id = inside.fresh();
      const other = inside.fresh();
      inside.must(['create', '-b', bundle, id]);
      inside.must(['create', '-b', bundle, other]);
      damage(join(inside.root, id), outside);
      for (const args of [
        ['state', id],
        ['kill', id, '0'],
        ['start', id],
        ['exec', id, 'true'],
      ]) {
        const result = tare(...args);
        t.equal(result.signal, null, `${args.join(' ')}: it ends`);
        t.ok([0, 1, 255].includes(result.status ?? -1), args.join(' '));
        if (says === undefined) continue;
        t.not(result.status, 0, args.join(' '));
        t.match(result.error, says, args.join(' '));
      }
      const list = tare('list', '-q');
      t.equal(list.status, 0, 'a damaged one hides no other');
      t.match(list.stdout, `${other}\n`);
      t.match(tare('create', '-b', bundle, id), { status: 1, error: 'already exists' });
      const removed = tare('delete', '--force', id);
      t.match(removed, { status: 0, signal: null }, removed.stderr);
      t.notOk(existsSync(join(inside.root, id)));
      t.notOk(existsSync(join('/sys/fs/cgroup', id)), 'nor its cgroup');
      t.strictSame(outside.changes(), [], 'what symlinks led to is as it was');
      t.equal(state(tare('state', other).stdout).status, 'created');
      inside.must(['delete', '--force', other]);
    });
  }

  inside.test('the directory is a symlink, or a file', async (t) => {
    const outside = new Outside(join(inside.directory, 'stray'), ['directory/']);
    for (const make of [
      (path: string): void => {
        symlinkSync(outside.path, path);
      },
      (path: string): void => {
        writeFileSync(path, '');
      },
      mkfifo,
    ]) {
      const id = inside.fresh();
      mkdirSync(inside.root, { recursive: true });
      make(join(inside.root, id));
      for (const args of [
        ['state', id],
        ['kill', id],
        ['start', id],
        ['exec', id, 'true'],
        ['delete', id],
      ]) {
        t.match(
          tare(...args).error,
          /: not a directory, so not a container's state; remove it with `delete --force`/,
          args.join(' '),
        );
      }
      t.match(tare('create', '-b', bundle, id), { status: 1, error: 'already exists' });
      t.equal(tare('list', '-q').stdout, '');
      t.equal(tare('delete', '--force', id).status, 0);
      t.notOk(readdirSync(inside.root).includes(id));
      t.strictSame(outside.changes(), []);
    }
  });

  inside.test("a copy of another container's directory: that one lives on", async (t) => {
    const [id, copy] = [inside.fresh(), inside.fresh()];
    inside.must(['run', '-d', '-b', bundle, id]);
    cpSync(join(inside.root, id), join(inside.root, copy), {
      recursive: true,
      verbatimSymlinks: true,
    });
    for (const args of [
      ['state', copy],
      ['kill', copy, 'KILL'],
      ['exec', copy, 'true'],
      ['delete', copy],
    ]) {
      t.match(
        tare(...args).error,
        /id: .*not this container's record|not this container's record/,
        args.join(' '),
      );
    }
    t.equal(tare('delete', '--force', copy).status, 0);
    t.notOk(existsSync(join(inside.root, copy)));
    t.equal(state(tare('state', id).stdout).status, 'running');
    t.equal(tare('exec', id, 'echo', 'here').stdout, 'here\n');
    inside.must(['delete', '--force', id]);
  });

  inside.test('a create() that died before it knew whether the cgroup was its own', async (t) => {
    const strangers = join('/sys/fs/cgroup', inside.id('strangers'));
    mkdirSync(join(strangers, 'below'), { recursive: true });
    const stranger = spawn('sleep', ['1000']);
    writeFileSync(join(strangers, 'cgroup.procs'), String(stranger.pid));
    const id = inside.fresh();
    mkdirSync(join(inside.root, id), { recursive: true, mode: 0o700 });
    symlinkSync(`/${inside.id('strangers')}`, join(inside.root, id, 'cgroup'));
    t.match(tare('state', id).error, 'does not exist');
    t.equal(tare('delete', '--force', id).status, 0);
    t.notOk(existsSync(join(inside.root, id)));
    t.equal(readFileSync(join(strangers, 'cgroup.procs'), 'utf8'), `${stranger.pid}\n`);
    t.ok(existsSync(join(strangers, 'below')));
    for (const note of ['/../../../tmp', '..', '/', 'x', '/x/'.repeat(1000)]) {
      mkdirSync(join(inside.root, id), { mode: 0o700 });
      symlinkSync(note, join(inside.root, id, 'cgroup'));
      t.match(tare('delete', '--force', id), { status: 0, stderr: '' }, note.slice(0, 20));
      t.notOk(existsSync(join(inside.root, id)));
    }
    stranger.kill('SIGKILL');
    await new Promise((resolve) => stranger.once('exit', resolve));
    rmdirSync(join(strangers, 'below'));
    rmdirSync(strangers);
  });

  inside.test('a create() that died when it had made groups in resctrl', async (t) => {
    // Plain directories stand in for the groups; in resctrl the second one is below mon_groups.
    const group = join(inside.directory, 'group');
    mkdirSync(join(group, 'monitor'), { recursive: true });
    const id = inside.fresh();
    mkdirSync(join(inside.root, id), { recursive: true, mode: 0o700 });
    symlinkSync(group, join(inside.root, id, 'resctrl0'));
    symlinkSync(join(group, 'monitor'), join(inside.root, id, 'resctrl1'));
    t.match(tare('delete', '--force', id), { status: 0, stderr: '' });
    t.notOk(existsSync(group));
    t.notOk(existsSync(join(inside.root, id)));
  });

  inside.test('a cgroup that another process removed', async (t) => {
    const elsewhere = join('/sys/fs/cgroup', inside.id('elsewhere'));
    mkdirSync(elsewhere);
    const id = inside.fresh();
    inside.must(['run', '-d', '-b', bundle, id]);
    const { pid } = state(tare('state', id).stdout);
    writeFileSync(join(elsewhere, 'cgroup.procs'), String(pid));
    rmdirSync(join('/sys/fs/cgroup', id));
    t.equal(state(tare('state', id).stdout).status, 'running');
    t.equal(tare('exec', id, 'echo', 'here').stdout, 'here\n', 'exec goes to where it is');
    for (const [args, input] of [
      [['pause', id], ''],
      [['update', '-r', '-', id], '{"unified": {"cgroup.max.depth": "7"}}'],
      [['events', '--stats', id], ''],
    ] as const) {
      const result = inside.tare([...args], { input, timeout: 15_000 });
      t.equal(result.status, 1, args.join(' '));
      t.match(result.error, /cgroup/, args.join(' '));
    }
    t.equal(tare('kill', id, 'KILL').status, 0);
    while (state(tare('state', id).stdout).status !== 'stopped');
    t.equal(tare('delete', id).status, 0);
    rmdirSync(elsewhere);
  });

  inside.test('the cgroup of a stopped container, and of one that is deleted', async (t) => {
    const id = inside.fresh();
    inside.must(['run', '-d', '-b', bundle, id]);
    inside.must(['kill', id, 'KILL']);
    while (state(tare('state', id).stdout).status !== 'stopped');
    const cgroup = join('/sys/fs/cgroup', id);
    while (existsSync(cgroup)) {
      try {
        rmdirSync(cgroup);
      } catch {
        // The last process of the cgroup is still ending.
      }
    }
    t.equal(state(tare('state', id).stdout).status, 'stopped');
    t.equal(tare('ps', '--format', 'json', id).stdout, '[]\n');
    t.equal(tare('delete', id).status, 0);
  });

  inside.test('a pid that was given to another process', async (t) => {
    const id = inside.fresh();
    const file = join(inside.directory, 'reused.json');
    // Runs in a pid namespace of its own, where the next pid can be chosen.
    const script = `
      "$1" --root "$2" run -d -b "$3" "$4"
      pid=$("$1" --root "$2" state "$4" | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')
      "$1" --root "$2" kill "$4" KILL
      while [ "$("$1" --root "$2" ps --format json "$4")" != '[]' ]; do :; done
      while [ -e "/proc/$pid" ]; do wait; done
      # Times of start are counted in hundredths of a second.
      sleep 0.02
      until [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sleep ]; do
        echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
        sleep 1000 &
      done
      cp "$2/$4/state.json" "$5"
      set +e
      "$1" --root "$2" state "$4" | grep status
      "$1" --root "$2" kill "$4" KILL; echo "kill $?"
      "$1" --root "$2" kill --all "$4" KILL; echo "kill --all $?"
      "$1" --root "$2" exec "$4" true; echo "exec $?"
      "$1" --root "$2" start "$4"; echo "start $?"
      "$1" --root "$2" delete "$4"; echo "delete $?"
      cat "/proc/$pid/comm"
      kill -KILL $(jobs -p)`;
    const args = ['-c', script, 'sh', cli, inside.root, bundle, id, file];
    const result = call('unshare', ['-p', '--fork', '--mount-proc', 'sh', '-e', ...args], {
      timeout: 30_000,
    });
    t.equal(
      result.stdout,
      '  "status": "stopped",\nkill 1\nkill --all 0\nexec 255\nstart 1\ndelete 0\nsleep\n',
      result.stderr,
    );
    t.match(result.stderr, `kill ${id}: container not running`);
    t.match(result.stderr, `exec in ${id}: cannot exec in a stopped container`);
    t.match(result.stderr, `start ${id}: cannot start a container that has stopped`);
  });

  inside.test('a directory that goes while a verb is waiting for it', async (t) => {
    const id = inside.fresh();
    inside.must(['create', '-b', bundle, id]);
    const away = join(inside.directory, 'away');
    renameSync(join(inside.root, id), away);
    t.match(tare('start', id).error, `container ${id} does not exist`);
    renameSync(away, join(inside.root, id));
    copyFileSync(join(inside.root, id, 'state.json'), join(inside.directory, 'copy'));
    inside.must(['start', id]);
    inside.must(['delete', '--force', id]);
  });
}
