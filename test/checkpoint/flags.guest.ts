/** The flags of checkpoint and restore, with Debian's criu. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Counter, comes, counting, loadModules } from '../support/counter.js';
import {
  Output,
  Sandbox,
  cli,
  exitOf,
  state,
  staticProgram,
  type Config,
} from '../support/tare.js';

const sandbox = new Sandbox(t);
loadModules();

/** Returns the error of a checkpoint that must fail. */
function failure(t: Test, one: Counter, ...flags: string[]): string {
  const result = sandbox.tare(['checkpoint', '--image-path', one.images, ...flags, one.id]);
  t.equal(result.status, 1);
  return result.error;
}

sandbox.test('--leave-running', async (t) => {
  const one = await Counter.run(sandbox, 'leave');
  const from = one.checkpoint(t, '--leave-running');
  t.equal(state(sandbox.must(['state', one.id]).stdout).status, 'running');
  await one.goesOn(t, from);
  const later = one.count();
  one.remove();
  await one.restore(t);
  // The restored container continues from the checkpoint, not from the later count.
  t.ok(await comes(() => one.count() > from));
  t.ok(later > from);
  one.remove();
});

sandbox.test('--pre-dump, and dumps that are differences', async (t) => {
  const script = `busybox dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null; x=$(busybox base64 /tmp/x); ${counting}`;
  const one = await Counter.run(sandbox, 'pre', {
    script,
    edit: (config) => config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }),
  });
  const images = (name: string): string => join(one.directory, name);
  const take = (name: string, ...flags: string[]): void =>
    void sandbox.must(['checkpoint', '--image-path', images(name), ...flags, one.id]);
  take('first', '--pre-dump');
  take('second', '--pre-dump', '--parent-path', '../first');
  t.equal(state(sandbox.must(['state', one.id]).stdout).status, 'running');
  const from = one.count();
  take('images', '--parent-path', '../second', '--auto-dedup');
  t.equal(readlinkSync(join(one.images, 'parent')), '../second');
  const pages = (name: string): number =>
    readdirSync(images(name))
      .filter((file) => file.startsWith('pages-'))
      .reduce((size, file) => size + statSync(join(images(name), file)).size, 0);
  // If the shell's memory grows between two dumps, the kernel counts all of it as changed.
  const least = Math.min(pages('second'), pages('images'));
  t.ok(least < pages('first') / 2, `${least} of ${pages('first')} bytes`);
  await one.restore(t, '--auto-dedup');
  await one.goesOn(t, from);
  one.remove();
  const alone = sandbox.tare([
    'restore',
    '-d',
    '-b',
    one.bundle,
    '--image-path',
    images('first'),
    one.id,
  ]);
  t.match(alone.error, 'a --pre-dump alone cannot be restored');
});

sandbox.test('--work-path, and a failure that says why and where', async (t) => {
  const one = await Counter.run(sandbox, 'work', {
    script: `exec /data/locked /data/lock sh -c '${counting}'`,
    edit: (_config, directory) =>
      copyFileSync(staticProgram('locked'), join(directory, 'data/locked')),
  });
  const work = join(one.directory, 'a/work');
  const error = failure(t, one, '--work-path', work);
  t.match(error, `the last errors in its log ${work}/dump.log:`);
  t.match(error, /Error \(criu\/.*lock/);
  t.equal(state(sandbox.must(['state', one.id]).stdout).status, 'running', 'it goes on');
  await one.goesOn(t, one.count());
  const locked = (): boolean =>
    spawnSync('flock', ['-n', join(one.data, 'lock'), 'true']).status === 1;
  t.ok(locked());
  const from = one.checkpoint(t, '--file-locks', '--work-path', work);
  t.ok(existsSync(join(work, 'dump.log')) && !existsSync(join(one.images, 'dump.log')));
  t.notOk(locked());
  await one.restore(t, '--file-locks', '--work-path', work);
  t.ok(existsSync(join(work, 'restore.log')));
  await one.goesOn(t, from);
  t.ok(locked(), 'it has its lock again');
  one.remove();
});

sandbox.test('--tcp-established', async (t) => {
  const script =
    'echo 1 >/data/count; sleep 1000 | nc -l -p 99 >/data/out & sleep 0.5; ' +
    'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done | nc 127.0.0.1 99';
  const one = await Counter.run(sandbox, 'tcp', { script });
  const out = join(one.data, 'out');
  const said = (): string[] =>
    existsSync(out) ? readFileSync(out, 'utf8').trim().split('\n') : [];
  t.ok(await comes(() => said().length > 5), 'the connection is there');
  t.match(failure(t, one), /Error \(criu\/.*tcp/i);
  t.ok(await comes(() => said().length > 10), 'it goes on');
  one.checkpoint(t, '--tcp-established', '--tcp-skip-in-flight');
  const before = said().length;
  await one.restore(t, '--tcp-established');
  t.ok(await comes(() => said().length > before + 5), 'bytes arrive again', {
    before,
    now: said().length,
  });
  t.strictSame(
    said().slice(0, -1),
    said()
      .slice(0, -1)
      .map((_, i) => String(i + 1)),
    'each of them once',
  );
  one.remove();
});

sandbox.test('--page-server', async (t) => {
  const one = await Counter.run(sandbox, 'server');
  mkdirSync(one.images);
  const server = spawn(
    'criu',
    ['page-server', '-D', one.images, '--port', '27300', '--address', '127.0.0.1'],
    {
      stdio: 'ignore',
    },
  );
  t.ok(
    await comes(() => /:6AA4 .* 0A /.test(readFileSync('/proc/net/tcp', 'utf8'))),
    'the server listens',
  );
  const from = one.checkpoint(t, '--page-server', '127.0.0.1:27300');
  t.equal(await exitOf(server), 0);
  t.ok(
    readdirSync(one.images).some((file) => file.startsWith('pages-')),
    'it has the memory',
  );
  await one.restore(t);
  await one.goesOn(t, from);
  one.remove();
});

sandbox.test('--lazy-pages', async (t) => {
  const one = await Counter.run(sandbox, 'lazy');
  const fifo = join(one.directory, 'status');
  execFileSync('mkfifo', [fifo]);
  const both = openSync(fifo, 'r+');
  const save = sandbox.spawn(
    [
      ...['checkpoint', '--lazy-pages', '--page-server', '127.0.0.1:27301', '--status-fd', '3'],
      ...['--image-path', one.images, one.id],
    ],
    { stdio: ['ignore', 'ignore', 'inherit', both] },
  );
  const byte = Buffer.from('x');
  const waiting = new Promise<void>((ready) => {
    const poll = setInterval(() => {
      if (!existsSync(join(one.images, 'inventory.img'))) return;
      clearInterval(poll);
      ready();
    }, 20);
  });
  await waiting;
  t.equal(readSync(both, byte, 0, 1, null), 1);
  t.same(byte, Buffer.from([0]), 'it tells that pages can be fetched');
  closeSync(both);
  const from = one.count();
  const daemon = spawn(
    'criu',
    [
      ...['lazy-pages', '--page-server', '--address', '127.0.0.1', '--port', '27301'],
      ...['-D', one.images],
    ],
    { stdio: 'ignore' },
  );
  t.ok(await comes(() => existsSync(join(one.images, 'lazy-pages.socket'))), 'the daemon listens');
  const other = sandbox.id('lazy-other');
  await one.restoreAs(t, other, ['--lazy-pages']);
  await one.goesOn(t, from);
  t.equal(await exitOf(daemon), 0);
  t.equal(await exitOf(save), 0);
  t.equal(sandbox.tare(['state', one.id]).status, 1, 'the first one is gone');
  one.remove(other);
});

sandbox.test('delete --force while no process fetches lazy pages', async (t) => {
  const one = await Counter.run(sandbox, 'unfetched');
  const save = sandbox.spawn(
    [
      ...['checkpoint', '--lazy-pages', '--page-server', '127.0.0.1:27302'],
      ...['--image-path', one.images, one.id],
    ],
    { stdio: 'ignore' },
  );
  t.ok(await comes(() => existsSync(join(one.images, 'inventory.img'))));
  sandbox.must(['delete', '--force', one.id]);
  t.equal(await exitOf(save), 1, 'the checkpoint fails');
  t.equal(sandbox.tare(['state', one.id]).status, 1);
  t.notOk(existsSync(`/sys/fs/cgroup/${one.id}`));
  t.equal(spawnSync('pgrep', ['-x', 'criu']).status, 1, 'no criu stays');
  one.remove();
});

sandbox.test('--manage-cgroups-mode', async (t) => {
  const script = `mkdir /sys/fs/cgroup/sub; sh -c 'echo 0 >/sys/fs/cgroup/sub/cgroup.procs; exec sleep 1000' & echo 7 >/sys/fs/cgroup/sub/cgroup.max.depth; ${counting}`;
  const edit = (config: Config): void => {
    const cgroup = config.mounts.find(({ destination }) => destination === '/sys/fs/cgroup')!;
    cgroup.options = cgroup.options!.filter((option) => option !== 'ro');
    config.linux['resources'] = { pids: { limit: 99 } };
  };
  for (const mode of ['ignore', 'soft', 'full', 'strict']) {
    const one = await Counter.run(sandbox, mode, { script, edit });
    const procs = (path: string): string[] => {
      const file = `/sys/fs/cgroup/${path}/cgroup.procs`;
      return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    };
    t.ok(
      await comes(() => procs(`${one.id}/sub`).length === 1 && procs(`${one.id}/sub`)[0] !== ''),
    );
    const from = one.checkpoint(t, '--manage-cgroups-mode', mode);
    if (mode === 'strict') {
      mkdirSync(`/sys/fs/cgroup/${one.id}`);
      const words = ['restore', '-d', '-b', one.bundle, '--image-path', one.images];
      const refused = sandbox.tare([...words, '--manage-cgroups-mode', mode, one.id]);
      const path = `/${one.id}`;
      const message = `--manage-cgroups-mode strict: the cgroup ${path} already exists`;
      t.equal(refused.error, `restore ${one.id}: ${message}`);
      rmdirSync(`/sys/fs/cgroup/${one.id}`);
    }
    await one.restore(t, '--manage-cgroups-mode', mode);
    await one.goesOn(t, from);
    const sub = procs(`${one.id}/sub`);
    t.equal(sub.length, mode === 'ignore' ? 0 : 1, `${mode}: ${sub.join()}`);
    t.equal(readFileSync(`/sys/fs/cgroup/${one.id}/pids.max`, 'utf8'), '99\n');
    one.remove();
  }
});

sandbox.test('--link-remap', async (t) => {
  // The shell holds an open file whose name has been removed.
  const script = `exec 9<>/tmp/nameless; rm /tmp/nameless; echo kept >&9; ${counting}`;
  const one = await Counter.run(sandbox, 'remap', {
    script,
    edit: (config) => (config.root.readonly = false),
  });
  const from = one.checkpoint(t, '--link-remap');
  await one.restore(t);
  await one.goesOn(t, from);
  t.equal(readFileSync(`/proc/${one.pid()}/fd/9`, 'utf8'), 'kept\n');
  one.remove();
});

sandbox.test('--ext-unix-sk', async (t) => {
  // A log daemon of the host; the container is connected to its socket.
  const log = join(sandbox.directory, 'log');
  const daemon = spawn('busybox', ['syslogd', '-n', '-O', log], { stdio: 'ignore' });
  t.teardown(() => daemon.kill());
  t.ok(await comes(() => existsSync('/dev/log')));
  const last = (): number =>
    existsSync(log) ? Number(/line (\d+)\n$/.exec(readFileSync(log, 'utf8'))?.[1]) : 0;
  const one = await Counter.run(sandbox, 'socket', {
    script: `${counting.replace('sleep', 'echo line $i; sleep')} | logger`,
    edit(config) {
      config.mounts.push({
        destination: '/dev/log',
        type: 'bind',
        source: '/dev/log',
        options: ['bind'],
      });
      // criu knows the sockets of only one network namespace.
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network');
    },
  });
  t.ok(await comes(() => last() > 5));
  t.match(failure(t, one), /Error \(criu\/.*unix/);
  const from = one.checkpoint(t, '--ext-unix-sk');
  await one.restore(t, '--ext-unix-sk');
  await one.goesOn(t, from);
  t.ok(await comes(() => last() > from + 2), 'it is connected again');
  one.remove();
});

sandbox.test('the terminal of a caller, and then that of another one', async (t) => {
  for (const flags of [[], ['--shell-job']]) {
    const one = Counter.prepare(sandbox, `job${flags.length}`);
    const inTerminal = (verb: string, ...words: string[]): ChildProcess => {
      const line = [cli, '--root', sandbox.root, verb, '-b', one.bundle, ...words, one.id];
      return spawn('script', ['-qefc', line.join(' '), '/dev/null'], { stdio: 'pipe' });
    };
    const first = inTerminal('run');
    t.ok(await comes(() => one.count() > 0));
    const from = one.checkpoint(t, ...flags);
    await exitOf(first);
    const next = inTerminal('restore', ...flags, '--image-path', one.images);
    await one.goesOn(t, from);
    t.match(readlinkSync(`/proc/${one.pid()}/fd/0`), /^\/dev\/pts\/\d+$/);
    one.remove();
    t.equal(await exitOf(next), 137);
  }
});

sandbox.test('a paused container is saved as it is', async (t) => {
  const one = await Counter.run(sandbox, 'paused');
  sandbox.must(['pause', one.id]);
  const from = one.checkpoint(t, '--leave-running');
  t.equal(state(sandbox.must(['state', one.id]).stdout).status, 'paused', 'and stays so');
  one.checkpoint(t);
  await one.restore(t);
  await one.goesOn(t, from);
  one.remove();
});

sandbox.test('namespaces of others', async (t) => {
  const owner = spawn(
    'unshare',
    ['-n', '-i', '-u', 'sh', '-c', 'ip link set lo up; echo ready; exec sleep 1000'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await new Output(owner.stdout).until('ready\n');
  const path = (name: string): string => `/proc/${owner.pid}/ns/${name}`;
  const one = await Counter.run(sandbox, 'joined', {
    edit(config) {
      for (const one of config.linux.namespaces) {
        if (one.type === 'network') one.path = path('net');
      }
    },
  });
  const other = sandbox.id('joined-too');
  for (const id of [one.id, other]) {
    const from = one.checkpoint(t);
    await one.restoreAs(t, id);
    await one.goesOn(t, from);
    t.equal(readlinkSync(`/proc/${one.pid(id)}/ns/net`), readlinkSync(path('net')));
  }
  one.remove(other);
  owner.kill('SIGKILL');
  await exitOf(owner);
});

sandbox.test('org.criu.config', async (t) => {
  const config = join(sandbox.directory, 'criu.conf');
  writeFileSync(config, 'log-file=other.log\n');
  const one = await Counter.run(sandbox, 'config', {
    edit: (spec) => (spec.annotations = { 'org.criu.config': config }),
  });
  const from = one.checkpoint(t);
  t.ok(existsSync(join(one.images, 'other.log')) && !existsSync(join(one.images, 'dump.log')));
  await one.restore(t);
  await one.goesOn(t, from);
  one.remove();
});
