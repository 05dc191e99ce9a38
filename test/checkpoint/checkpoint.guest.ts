/**
 * checkpoint and restore with Debian's criu: a restored container has the same mounts, streams,
 * credentials and limits as before.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Counter, comes, counting, loadModules } from '../support/counter.js';
import { mountAt } from '../support/inside.js';
import { recvtty } from '../support/recvtty.js';
import { Sandbox, cli, exitOf, state, type Config } from '../support/tare.js';

const sandbox = new Sandbox(t);
loadModules();

sandbox.test('a counter goes on, in its own id and in another one', async (t) => {
  const one = await Counter.run(sandbox, 'plain');
  const other = sandbox.id('other');
  for (const id of [one.id, other]) {
    const from = one.checkpoint(t);
    t.equal(sandbox.must(['list', '-q']).stdout, '', 'the saved container is gone');
    t.ok(existsSync(join(one.images, 'dump.log')));
    await one.restoreAs(t, id, ['--pid-file', join(one.directory, 'pid')]);
    await one.goesOn(t, from);
    t.equal(readFileSync(join(one.directory, 'pid'), 'utf8'), String(one.pid(id)));
  }
  const { stdout } = sandbox.must(['exec', other, 'sh', '-c', 'cat /proc/self/cgroup; id -u']);
  t.equal(stdout, '0::/\n0\n', 'a process can be executed in it, and is in its cgroup');
  t.match(readFileSync(`/proc/${one.pid(other)}/cgroup`, 'utf8'), new RegExp(`/${other}$`, 'm'));
  const kept = ['pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup', 'time'].map((name) => [
    readlinkSync(`/proc/${one.pid(other)}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`),
    sandbox.must(['exec', other, 'readlink', `/proc/self/ns/${name}`]).stdout.trim() ===
      readlinkSync(`/proc/${one.pid(other)}/ns/${name}`),
  ]);
  t.same(
    kept,
    kept.map(() => [true, true]),
    'it has its namespaces, and exec enters them',
  );
  sandbox.must(['kill', other, 'KILL']);
  t.ok(await comes(() => state(sandbox.must(['state', other]).stdout).status === 'stopped'));
  sandbox.must(['delete', other]);
});

sandbox.test('directories that absolute links name, as containerd has them', async (t) => {
  const one = await Counter.run(sandbox, 'linked');
  const directory = mkdtempSync(join(sandbox.directory, 'real-'));
  const link = `${directory}.link`;
  symlinkSync(directory, link);
  const from = one.checkpoint(t, '--work-path', link);
  await one.restore(t, '--work-path', link);
  await one.goesOn(t, from);
  t.same(
    readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .sort(),
    ['dump.log', 'restore.log'],
  );
  one.remove();
});

sandbox.test('where mounts are shared, as on a host that systemd has booted', async (t) => {
  const shared = (how: string) => execFileSync('mount', [`--make-${how}`, '/']);
  shared('rshared');
  t.teardown(() => shared('rprivate'));
  const one = await Counter.run(sandbox, 'shared');
  const from = one.checkpoint(t);
  await one.restore(t);
  await one.goesOn(t, from);
  one.remove();
});

sandbox.test('a mount whose destination is a symlink', async (t) => {
  const bundleLink = (config: Config, directory: string): void => {
    mkdirSync(join(directory, 'links'));
    config.mounts.push({
      destination: '/conf',
      type: 'bind',
      source: join(directory, 'links'),
      options: ['bind'],
    });
    // A relative root.path begins at the bundle, the directory of config.json.
    const rootfs = join(config.root.path.startsWith('/') ? '' : sandboxBundle(), config.root.path);
    mkdirSync(join(rootfs, 'real/conf'), { recursive: true });
    symlinkSync('/real/conf', join(rootfs, 'conf'));
  };
  const sandboxBundle = (): string => join(sandbox.directory, `bundle${bundles()}`);
  const bundles = (): number => {
    let last = 0;
    while (existsSync(join(sandbox.directory, `bundle${last + 1}`))) last++;
    return last;
  };
  const one = await Counter.run(sandbox, 'symlink', { edit: bundleLink });
  t.ok(mountAt(one.mountinfo(), '/real/conf'));
  const from = one.checkpoint(t);
  await one.restore(t);
  await one.goesOn(t, from);
  t.ok(mountAt(one.mountinfo(), '/real/conf'));
  one.remove();
});

sandbox.test('a terminal', async (t) => {
  const script = 'n=0; while read x; do n=$((n+1)); echo "$n:$x:$(stty size)"; done';
  const socket = (number: number): string => join(sandbox.directory, `console${number}`);
  const one = await (async () => {
    const receiver = await recvtty(socket(0));
    const counter = await Counter.run(sandbox, 'terminal', {
      script: `echo 1 >/data/count; ${script}`,
      edit: (config) => {
        config.process.terminal = true;
        config.process['consoleSize'] = { height: 20, width: 70 };
      },
      flags: ['--console-socket', socket(0)],
    });
    receiver.stdin.write('first\n');
    await receiver.output.until('1:first:20 70');
    counter.checkpoint(t);
    await exitOf(receiver.process);
    return counter;
  })();
  for (const n of [2, 3]) {
    const receiver = await recvtty(socket(n));
    await one.restore(t, '--console-socket', socket(n));
    receiver.stdin.write('again\n');
    await receiver.output.until(`${n}:again:20 70`);
    t.pass('the terminal has its size, and the shell its count');
    one.checkpoint(t);
    await exitOf(receiver.process);
  }
});

sandbox.test('pipes and files that are its standard streams', async (t) => {
  // Each run has its own file: the reader of the first run's pipe may still be writing.
  let out = '';
  const said = (): string[] =>
    existsSync(out) ? readFileSync(out, 'utf8').trim().split('\n') : [];
  const script =
    'n=0; echo 1 >/data/count; while :; do n=$((n+1)); echo "said $n"; sleep 0.02; done';
  // Node's own pipes are sockets, so a shell makes this pipe.
  const piped = async (words: string[]): Promise<void> => {
    const shell = '"$@" </dev/null 2>/dev/null | cat >"$0" &';
    await exitOf(spawn('sh', ['-c', shell, out, cli, '--root', sandbox.root, ...words]));
  };
  const filed = async (words: string[]): Promise<void> => {
    const log = openSync(out, 'a');
    t.equal(await exitOf(sandbox.spawn(words, { stdio: ['ignore', log, log] })), 0);
  };
  for (const [name, start] of Object.entries({ piped, filed })) {
    out = join(sandbox.directory, `${name}-1`);
    const { bundle, id, images } = Counter.prepare(sandbox, name, { script });
    await start(['run', '-d', '-b', bundle, id]);
    t.ok(await comes(() => said().length > 2), `${name} speaks`);
    sandbox.must(['checkpoint', '--image-path', images, id]);
    const before = said().length;
    out = join(sandbox.directory, `${name}-2`);
    await start(['restore', '-d', '-b', bundle, '--image-path', images, id]);
    // restore writes its warnings there, too.
    const numbers = (): number[] =>
      said()
        .slice(0, -1)
        .map((line) => Number(/^said (\d+)$/.exec(line)?.[1] ?? 0));
    const last = (): number => Math.max(0, ...numbers());
    t.ok(
      await comes(() => last() > before),
      `it goes on with ${last()}, where it had come to ${before}`,
    );
    sandbox.must(['delete', '--force', id]);
  }
});

sandbox.test('in the foreground, with its exit status', async (t) => {
  const script = `${counting.replace('while :', 'while [ ! -e /data/end ]')}; exit 7`;
  const one = await Counter.run(sandbox, 'foreground', { script });
  const from = one.checkpoint(t);
  const child = sandbox.spawn(['restore', '-b', one.bundle, '--image-path', one.images, one.id], {
    stdio: 'ignore',
  });
  await one.goesOn(t, from);
  writeFileSync(join(one.data, 'end'), '');
  t.equal(await exitOf(child), 7);
});

sandbox.test('credentials, filters and limits', async (t) => {
  const limits = {
    pids: { limit: 77 },
    memory: { limit: 64 << 20 },
    devices: [{ allow: false, access: 'rwm' }],
  };
  const one = await Counter.run(sandbox, 'limits', {
    edit(config) {
      const { capabilities } = config.process;
      for (const set of Object.values(capabilities ?? {})) set.push('CAP_MKNOD');
      config.root.readonly = false;
      config.linux['resources'] = limits;
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['sethostname'], action: 'SCMP_ACT_ERRNO' }],
      };
      config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }];
      config.process['oomScoreAdj'] = 321;
    },
  });
  // Debian 12's criu does not save no_new_privs; restore warns about it.
  const fields = /^(Uid|Gid|Groups|Cap\w+|Seccomp|Seccomp_filters):/;
  const facts = (): string[] => [
    ...readFileSync(`/proc/${one.pid()}/status`, 'utf8')
      .split('\n')
      .filter((line) => fields.test(line)),
    readFileSync(`/proc/${one.pid()}/limits`, 'utf8')
      .split('\n')
      .find((line) => line.startsWith('Max open'))!,
    readFileSync(`/proc/${one.pid()}/oom_score_adj`, 'utf8'),
    ...['pids.max', 'memory.max'].map((file) =>
      readFileSync(`/sys/fs/cgroup/${one.id}/${file}`, 'utf8'),
    ),
  ];
  const before = facts();
  const from = one.checkpoint(t);
  t.notOk(existsSync(`/sys/fs/cgroup/${one.id}`), 'the cgroup is gone');
  await one.restore(t);
  await one.goesOn(t, from);
  t.strictSame(facts(), before);
  const device = sandbox.tare([
    'exec',
    one.id,
    'sh',
    '-c',
    'mknod /dev/mem c 1 1; head -c 1 /dev/mem',
  ]);
  t.match(device.stderr, 'Operation not permitted', 'the device filter is there');
  sandbox.must(['update', '--pids-limit', '50', one.id]);
  t.equal(
    readFileSync(`/sys/fs/cgroup/${one.id}/pids.max`, 'utf8'),
    '50\n',
    'limits can be changed',
  );
  one.remove();
});

sandbox.test('hooks', async (t) => {
  const file = (name: string): string => join(sandbox.directory, `hook-${name}`);
  const one = await Counter.run(sandbox, 'hooks', {
    edit(config) {
      const kinds = [
        'prestart',
        'createRuntime',
        'createContainer',
        'startContainer',
        'poststart',
        'poststop',
      ];
      config.hooks = Object.fromEntries(
        kinds.map((kind) => [
          kind,
          kind.endsWith('Container')
            ? []
            : [
                {
                  path: '/bin/sh',
                  args: ['sh', '-c', `cat >>${file(kind)}; echo >>${file(kind)}`],
                },
              ],
        ]),
      );
    },
  });
  const states = (kind: string) =>
    existsSync(file(kind))
      ? readFileSync(file(kind), 'utf8')
          .trim()
          .split('\n')
          .map((line) => state(line))
      : [];
  const from = one.checkpoint(t);
  t.equal(states('poststop').length, 1, 'its life has ended');
  await one.restore(t);
  await one.goesOn(t, from);
  for (const kind of ['prestart', 'createRuntime']) {
    t.equal(states(kind).length, 2, `${kind} ran again`);
    t.match(states(kind)[1], {
      id: one.id,
      pid: one.pid(),
      status: 'creating',
      bundle: one.bundle,
    });
  }
  t.equal(states('poststart').length, 1, 'its program has started once');
  one.remove();
  t.equal(states('poststop').length, 2);
});

sandbox.test('run.oci.pidfd_receiver', async (t) => {
  const socket = join(sandbox.directory, 'receiver');
  const first = await recvtty(socket, '--pidfd');
  const one = await Counter.run(sandbox, 'received', {
    edit: (config) => {
      config['annotations'] = { 'run.oci.pidfd_receiver': socket };
    },
  });
  t.equal(await first.output.all(), `${one.pid()}\n`);
  const from = one.checkpoint(t);
  rmSync(socket, { force: true });
  const second = await recvtty(socket, '--pidfd');
  await one.restore(t);
  t.equal(await second.output.all(), `${one.pid()}\n`, 'of the restored one');
  await one.goesOn(t, from);
  one.remove();
});

sandbox.test('a hook that fails leaves nothing', async (t) => {
  const one = await Counter.run(sandbox, 'failing');
  one.checkpoint(t);
  sandbox.edit(one.bundle, (config) => {
    config.hooks = { prestart: [{ path: '/bin/sh', args: ['sh', '-c', 'echo no >&2; exit 3'] }] };
  });
  const args = ['restore', '-d', '-b', one.bundle, '--image-path', one.images, one.id];
  const { status, error } = sandbox.tare(args);
  t.equal(status, 1);
  t.match(
    error,
    'hooks.prestart[0]: error running prestart hook #0: /bin/sh: exited with status 3',
  );
});
