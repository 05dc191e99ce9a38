/** What of the host is left below a container's root: in a chroot, and without pivot_root(2). */
import { call, cli, whyNot } from '../cli/tare.js';
import { Inside, mounts } from './inside.js';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const inside = new Inside();
  t.teardown(() => inside.remove());

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
      // nsenter(1) goes to the root of the namespace, not to that of the process.
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
