/** A first mount at "/", which is the container's root instead of root.path. */
import { call, cli, makeRootfs, skipReason, type Config } from '../support/tare.js';
import { OrdinaryUser } from '../support/ordinary-user.js';
import { Inside, inNewUserNamespace, mountAt, mounts } from '../support/inside.js';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const user = new OrdinaryUser(inside);

  const tmpfs = {
    destination: '/',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', 'mode=755', 'size=1m'],
  };
  // Outside the bundles: the mount covers everything below root.path.
  const programs = join(inside.directory, 'programs');
  makeRootfs(programs);
  /** Makes a tmpfs with a busybox the root, instead of `path`. */
  const onTmpfs = (config: Config, path: string): void => {
    config.root.path = path;
    const bin = { destination: '/bin', source: `${programs}/bin`, options: ['rbind', 'ro'] };
    config.mounts = [tmpfs, ...config.mounts, bin];
  };
  const script = 'touch /made; echo $(ls /); cat /proc/self/mountinfo';
  const check = (t: Test, said: { stdout: string; stderr: string }, message: string): void => {
    const lines = said.stdout.split('\n');
    t.equal(lines[0], 'bin dev made proc sys', `${message}: ${said.stderr}`);
    const seen = lines.slice(1).join('\n').trimEnd();
    t.match(mountAt(seen, '/'), { type: 'tmpfs', root: '/' });
    t.equal(mounts(seen).filter(({ path }) => path === '/').length, 1, 'the old root is gone');
    t.strictSame(mountAt(seen, '/').propagation, [], 'private');
  };
  const variants: [name: string, edit: (config: Config) => void][] = [
    ['without a user namespace', () => undefined],
    ['in a user namespace', inNewUserNamespace],
    ['with a propagation', (config) => (config.linux['rootfsPropagation'] = 'rprivate')],
  ];

  for (const [name, edit] of variants) {
    inside.test(`a tmpfs, ${name}`, async (t) => {
      for (const path of ['/', 'rootfs']) {
        const bundle = inside.script(script, (config) => {
          onTmpfs(config, path);
          edit(config);
        });
        const done = inside.tare(['run', '--bundle', bundle, inside.fresh()]);
        check(t, done, `root.path ${path}`);
        t.notOk(existsSync('/made') || existsSync(join(bundle, 'rootfs/made')));
      }
    });
  }

  inside.test('a tmpfs, as an ordinary user', async (t) => {
    for (const path of ['/', 'rootfs']) {
      const bundle = user.bundle(['sh', '-c', script], (config) => {
        config.root.readonly = false;
      });
      inside.edit(bundle, (config) => onTmpfs(config, path));
      const done = user.tare('run', '--bundle', bundle, inside.fresh());
      check(t, done, `root.path ${path}`);
    }
  });

  inside.test('a tmpfs, from within a chroot', async (t) => {
    const host = join(inside.directory, 'chroot');
    mkdirSync(host);
    const enter = 'mount --rbind / "$1"; shift; exec chroot "$@"';
    for (const path of ['/', 'rootfs']) {
      const bundle = inside.script(script, (config) => onTmpfs(config, path));
      const run = [cli, '--root', inside.root, 'run', '--bundle', bundle, inside.fresh()];
      const done = call('unshare', [
        ...['-m', '--propagation', 'private', 'sh', '-ec', enter, 'sh', host, host, ...run],
      ]);
      check(t, done, `root.path ${path}`);
    }
  });

  inside.test('exec, a read-only root, and mounts whose sources lie beneath it', async (t) => {
    const bundle = inside.script('sleep 1000', (config, rootfs) => {
      onTmpfs(config, '/');
      config.root.readonly = true;
      mkdirSync(join(rootfs, 'data'));
      writeFileSync(join(rootfs, 'data/file'), 'content\n');
      config.mounts.push({ destination: '/a/b', source: join(rootfs, 'data'), options: ['bind'] });
    });
    await inside.created(bundle, (id) => {
      inside.must(['start', id]);
      const seen = inside.tare(['exec', id, 'sh', '-c', 'cat /a/b/file; echo $(ls /); touch /x']);
      t.equal(seen.stdout, 'content\na bin dev proc sys\n');
      t.match(seen.stderr, /read-only file system/i);
    });
  });

  inside.test("a directory whose files are root's, with the ids of the container", async (t) => {
    const bundle = inside.script('touch /made; stat -c %u /bin /made', (config, rootfs) => {
      inNewUserNamespace(config);
      config.root.path = '/';
      config.mounts.unshift({ destination: '/', source: rootfs, options: ['rbind', 'idmap'] });
    });
    const done = inside.tare(['run', '--bundle', bundle, inside.fresh()]);
    t.strictSame([done.stdout, done.stderr], ['0\n0\n', '']);
    t.equal(statSync(join(bundle, 'rootfs/made')).uid, 0);
  });

  inside.test('hooks find it as their working directory', async (t) => {
    for (const path of ['/', 'rootfs']) {
      const said = join(inside.directory, `said-${path === '/' ? 'root' : path}`);
      const bundle = inside.script('true', (config) => {
        onTmpfs(config, path);
        const args = ['sh', '-c', `echo $(ls) >${said}`];
        config['hooks'] = { createContainer: [{ path: '/bin/sh', args, env: ['PATH=/bin'] }] };
      });
      inside.must(['run', '--bundle', bundle, inside.fresh()]);
      t.equal(readFileSync(said, 'utf8'), 'bin dev proc sys\n', path);
    }
  });

  inside.test('an overlay', async (t) => {
    const layers = join(inside.directory, 'layers');
    for (const name of ['upper', 'work']) mkdirSync(join(layers, name), { recursive: true });
    const bundle = inside.script('touch /made && echo made', (config, rootfs) => {
      const options = [`lowerdir=${rootfs}`, `upperdir=${layers}/upper`, `workdir=${layers}/work`];
      config.mounts.unshift({ destination: '/', type: 'overlay', source: 'overlay', options });
    });
    const done = inside.tare(['run', '--bundle', bundle, inside.fresh()]);
    t.strictSame([done.stdout, done.stderr], ['made\n', '']);
    t.ok(existsSync(join(layers, 'upper/made')));
    t.notOk(existsSync(join(bundle, 'rootfs/made')));
  });

  inside.test('what does not go with it', async (t) => {
    const bundle = inside.script('true', (config) => onTmpfs(config, '/'));
    const refused = inside.tare(['run', '--no-pivot', '--bundle', bundle, inside.fresh()]);
    t.match(refused.error, /--no-pivot: mounts\[0\] would be moved to "\/"/);
    const plan = inside.must(['plan', '--bundle', bundle]).stdout;
    t.match(plan, /use \/ as the root/);
    t.match(plan, /mount -t tmpfs tmpfs \/ as the root -o nodev,nosuid,rprivate/);
  });
}
