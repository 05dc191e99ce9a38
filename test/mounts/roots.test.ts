/**
 * The parts of the host that remain below a container's root: in a chroot, and without
 * pivot_root(2).
 */
import { call, cli, skipReason } from '../support/tare.js';
import { Inside, mountAt, mounts, type Edit } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  inside.test("in a chroot, the namespace of the container has the container's root", async (t) => {
    const host = join(inside.directory, 'chroot');
    mkdirSync(host);
    for (const own of [true, false]) {
      const bundle = inside.script('sleep 1000', (config, rootfs) => {
        writeFileSync(join(rootfs, 'mine'), '');
        if (!own) {
          config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
        }
      });
      const id = inside.fresh();
      // nsenter(1) uses the root of the mount namespace, not that of the process.
      const script = `set -e
        mount --rbind / "$1"
        chroot "$1" ${cli} --root ${inside.root} create --bundle ${bundle} ${id} >/dev/null 2>&1 </dev/null
        pid=$(${cli} --root ${inside.root} state ${id} | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')
        nsenter --mount=/proc/$pid/ns/mnt /bin/ls /
        ${cli} --root ${inside.root} delete --force ${id}`;
      const done = call('unshare', [
        '-m',
        '--propagation',
        'private',
        'sh',
        '-c',
        script,
        'sh',
        host,
      ]);
      t.equal(done.status, 0, done.stderr);
      t.match(done.stdout, /^mine$/m);
    }
  });

  const onHost: Edit = (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'mount');
    config.linux['maskedPaths'] = [];
    config.linux['readonlyPaths'] = [];
  };
  const below = (bundle: string) =>
    mounts(readFileSync('/proc/self/mountinfo', 'utf8'))
      .map(({ path }) => path)
      .filter((path) => path.startsWith(`${bundle}/rootfs`))
      .map((path) => path.slice(`${bundle}/rootfs`.length));

  inside.test("without a mount namespace, mounts are made in the caller's", async (t) => {
    const bundle = inside.script('sleep 1000', (config, rootfs) => {
      onHost(config, rootfs);
      config.root.readonly = true;
    });
    await inside.created(bundle, (id) => {
      t.strictSame(below(bundle), [
        ...['', '/proc', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue', '/sys', '/sys/fs/cgroup'],
      ]);
      inside.must(['start', id]);
      const script = 'ls /; test -c /dev/null && touch /x; readlink /proc/1/exe';
      const { stdout, stderr } = inside.tare(['exec', id, 'sh', '-c', script]);
      t.match(stdout, /^bin\ndev\n.*^\/bin\/busybox$/ms, "the container's root and processes");
      t.match(stderr, /read-only file system/i);
      const { propagation } = mountAt(
        readFileSync('/proc/self/mountinfo', 'utf8'),
        `${bundle}/rootfs`,
      );
      t.strictSame(propagation, [], 'no peer sees what is mounted below');
    });
    t.strictSame(below(bundle), [], 'delete takes them away');
  });

  inside.test('… and a create that fails or dies leaves none of them', async (t) => {
    const failing = inside.script('true', (config, rootfs) => {
      onHost(config, rootfs);
      config.process.args = ['/nothing'];
    });
    const refused = inside.tare(['create', '--bundle', failing, inside.fresh()]);
    t.equal(refused.status, 1);
    t.strictSame(below(failing), []);

    const dying = inside.script('true', (config, rootfs) => {
      onHost(config, rootfs);
      // The mounts exist by now, and the hook's parent is tare.
      config['hooks'] = {
        createRuntime: [{ path: '/bin/sh', args: ['sh', '-c', 'kill -KILL $PPID'] }],
      };
    });
    const id = inside.fresh();
    t.equal(inside.tare(['create', '--bundle', dying, id]).signal, 'SIGKILL');
    t.not(below(dying).length, 0);
    inside.must(['delete', '--force', id]);
    t.strictSame(below(dying), []);
  });

  inside.test('… and what others have mounted over them stays', async (t) => {
    const bundle = inside.script('sleep 1000', onHost);
    const id = inside.fresh();
    inside.must(['create', '--bundle', bundle, id]);
    execFileSync('mount', ['-t', 'tmpfs', 'other', join(bundle, 'rootfs')]);
    inside.must(['delete', '--force', id]);
    t.equal(
      mountAt(readFileSync('/proc/self/mountinfo', 'utf8'), `${bundle}/rootfs`).source,
      'other',
    );
    execFileSync('umount', ['--recursive', join(bundle, 'rootfs')]);
    execFileSync('umount', ['--recursive', '--lazy', join(bundle, 'rootfs')]);
  });

  inside.test('--no-pivot leaves no procfs and no sysfs of the host in view', async (t) => {
    const bundle = inside.script('cat /proc/self/mountinfo; sleep 1000');
    const id = inside.fresh();
    inside.must(['create', '--no-pivot', '--bundle', bundle, id]);
    const { pid } = JSON.parse(inside.must(['state', id]).stdout) as { pid: number };
    const seen = mounts(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    const kernel = seen.filter(({ type, root }) => /^(proc|sysfs)$/.test(type) && root === '/');
    t.strictSame(
      kernel.map(({ path }) => path),
      ['/proc', '/sys'],
    );
    inside.must(['delete', '--force', id]);

    const script = 'unshare -mrpf sh -c "mount -t proc none /proc"';
    const run = inside.script(script, (config, rootfs) => {
      execFileSync('ln', ['-s', 'busybox', join(rootfs, 'bin/unshare')]);
      for (const set of ['bounding', 'permitted'])
        config.process.capabilities![set]!.push('CAP_SETFCAP');
    });
    const refused = inside.tare(['run', '--no-pivot', '--bundle', run, inside.fresh()]);
    t.equal(refused.status, 1);
    t.match(refused.stderr, /mount: permission denied/);
  });
}
