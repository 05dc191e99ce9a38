/**
 * Sources of bind mounts: many of them, paths that only the host's root can reach, and mounts of
 * the container itself.
 */
import { call, cli, skipReason, type Config } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped } from '../support/inside.js';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const userNamespace = (config: Config, rootfs: string): void => {
    inNewUserNamespace(config);
    chownSync(rootfs, mapped.first, mapped.first);
  };
  const variants: [name: string, edit: (config: Config, rootfs: string) => void][] = [
    ['without a user namespace', () => undefined],
    ['in a user namespace', userNamespace],
  ];

  for (const [name, edit] of variants) {
    inside.test(`600 bind mounts with few descriptors, ${name}`, async (t) => {
      const source = join(inside.directory, `many-${name.split(' ')[0] ?? ''}`);
      mkdirSync(source);
      writeFileSync(join(source, 'file'), 'x');
      const bundle = inside.script(
        'find /m -name file | wc -l; ls /proc/self/fd | wc -l',
        (config, rootfs) => {
          edit(config, rootfs);
          config.process['rlimits'] = [];
          for (let i = 0; i < 600; ++i) {
            config.mounts.push({ destination: `/m/${i}`, source, type: 'bind', options: ['bind'] });
          }
        },
      );
      for (const limit of [1024, 128]) {
        const done = call('prlimit', [
          `--nofile=${limit}:${limit}`,
          ...[cli, '--root', inside.root, 'run', '--bundle', bundle, inside.fresh()],
        ]);
        // 0, 1, 2, and the directory that ls reads.
        t.strictSame([done.status, done.stdout, done.stderr], [0, '600\n4\n', ''], String(limit));
      }
    });

    inside.test(
      `a tree of mounts whose sources are mounts of the container, ${name}`,
      async (t) => {
        const sources = join(inside.directory, `tree-${name.split(' ')[0] ?? ''}`);
        for (const below of ['a/x', 'b/y', 'c/z']) {
          mkdirSync(join(sources, below), { recursive: true });
          writeFileSync(join(sources, below, 'file'), below);
          symlinkSync(below.slice(0, 1), join(sources, `to-${below.slice(0, 1)}`));
        }
        // The container's root may not traverse this directory.
        chmodSync(sources, 0o700);
        for (const mapping of [false, true]) {
          const seen = inside.stdoutOf('cat /final/x/y/z/z/x/y/z/x/file', (config, rootfs) => {
            edit(config, rootfs);
            const ids = [{ containerID: 0, hostID: mapped.first, size: mapped.size }];
            const bind = (source: string, destination: string, map = false): void => {
              const mount = { destination, source, options: ['rbind', 'rprivate'] };
              config.mounts.push(map ? { ...mount, uidMappings: ids, gidMappings: ids } : mount);
            };
            bind(`${sources}/a`, '/mnt');
            bind(`${sources}/to-b`, '/mnt/x');
            bind(`${sources}/c`, '/mnt/x/y');
            bind(`${sources}/to-a`, '/mnt/x/y/z');
            bind(`${rootfs}/mnt/x`, '/mnt/x/y/z/x', mapping);
            bind(`${rootfs}/mnt/x/y`, '/mnt/x/y/z', mapping);
            bind(`${rootfs}/mnt`, '/final', mapping);
          });
          t.equal(seen, 'a/x');
        }
      },
    );
  }

  inside.test('a source that is missing when its turn comes is named', async (t) => {
    const missing = (source: (rootfs: string) => string) =>
      inside.run('true', (config, rootfs) => {
        userNamespace(config, rootfs);
        config.mounts.push({ destination: '/m', source: source(rootfs), options: ['bind'] });
      });
    for (const source of [() => '/nowhere/at/all', (rootfs: string) => `${rootfs}/nowhere`]) {
      const { status, error } = missing(source);
      t.equal(status, 1);
      t.match(
        error,
        /mounts\[7\]\.source: \/.*\/?nowhere.*: open_tree: ENOENT .*; the source of the mount does not exist: make it, or correct the path/,
      );
    }
  });

  inside.test('the host opens what the root of a user namespace may not walk to', async (t) => {
    const reached = 'wait for the host, if need be: the next';
    chmodSync(inside.directory, 0o755);
    t.teardown(() => chmodSync(inside.directory, 0o700));
    const closed = join(inside.directory, 'closed');
    mkdirSync(join(closed, 'open'), { recursive: true });
    writeFileSync(join(closed, 'open/file'), 'x');
    chmodSync(closed, 0o700);
    symlinkSync(join(closed, 'open'), join(inside.directory, 'to-open'));
    const log = join(inside.directory, 'log');
    const debug = (bundle: string, verb: string, id: string) => {
      const done = inside.tare(['--debug', '--log', log, verb, '--bundle', bundle, id]);
      const told = readFileSync(log, 'utf8');
      rmSync(log);
      return { ...done, told };
    };
    const bundleOf = (edit?: (config: Config, rootfs: string) => void) =>
      inside.script('cat /m/file', (config, rootfs) => {
        userNamespace(config, rootfs);
        config.mounts.push({ destination: '/m', source: `${closed}/open`, options: ['bind'] });
        edit?.(config, rootfs);
      });

    const bundle = bundleOf();
    const one = debug(bundle, 'run', inside.fresh());
    t.strictSame([one.status, one.stdout], [0, 'x'], 'a bind mount');
    t.match(one.told, reached, 'which it has tried itself');

    chmodSync(bundle, 0o700);
    const early = debug(bundle, 'run', inside.fresh());
    t.strictSame([early.status, early.stdout], [0, 'x'], 'all');
    t.notMatch(early.told, reached, 'and of a root that is out of reach by its modes, nothing');

    renameSync(join(bundle, 'rootfs'), join(closed, 'open/rootfs'));
    const behind = bundleOf((config) => {
      config.root.path = join(inside.directory, 'to-open/rootfs');
    });
    const led = debug(behind, 'run', inside.fresh());
    t.strictSame([led.status, led.stdout], [0, 'x'], 'the root itself, behind a symlink');
    t.match(led.told, reached);

    const hooked = bundleOf((config) => {
      const args = ['sh', '-c', `cat >> ${log}.hook`];
      config['hooks'] = { createRuntime: [{ path: '/bin/sh', args }] };
    });
    const id = inside.fresh();
    t.equal(debug(hooked, 'create', id).status, 0, 'before hooks, and the start gate');
    t.match(readFileSync(`${log}.hook`, 'utf8'), `"id":"${id}"`);
    t.equal(inside.tare(['start', id]).status, 0);
    inside.must(['delete', '--force', id]);

    const missing = bundleOf((config) => {
      config.mounts.push({ destination: '/n', source: '/nowhere', options: ['bind'] });
    });
    t.match(
      debug(missing, 'run', inside.fresh()).told,
      'mounts[8].source: /nowhere: open_tree: ENOENT',
    );
    t.strictSame(inside.leftovers(), []);
  });

  inside.test('a shared root with sources of its own', async (t) => {
    const seen = inside.stdoutOf(
      'cat /b/file; grep " / / " /proc/self/mountinfo; cat /proc/self/mountinfo',
      (config, rootfs) => {
        userNamespace(config, rootfs);
        config.linux['rootfsPropagation'] = 'shared';
        config.mounts.push({ destination: '/a', type: 'tmpfs', source: 'tmpfs' });
        mkdirSync(join(rootfs, 'c'));
        writeFileSync(join(rootfs, 'c/file'), 'c');
        config.mounts.push({ destination: '/b', source: `${rootfs}/c`, options: ['bind'] });
      },
    );
    t.match(seen, /^c/);
    t.match(seen, / \/ rw.* shared:/);
  });

  inside.test(
    "a small limit of files is the program's, and a destination may name the root",
    async (t) => {
      const source = join(inside.directory, 'limited');
      mkdirSync(source);
      writeFileSync(join(source, 'file'), 'x');
      for (const [, edit] of variants) {
        const seen = inside.run('ulimit -n; ulimit -Hn; cat /m/39/file', (config, rootfs) => {
          edit(config, rootfs);
          config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 12, hard: 16 }];
          for (let i = 0; i < 40; ++i) {
            const destination = `${i === 39 ? rootfs : ''}/m/${i}`;
            config.mounts.push({ destination, source, type: 'bind', options: ['bind'] });
          }
        });
        t.equal(seen.stdout, '12\n16\nx', seen.stderr);
        t.match(seen.stderr, 'begins with root.path; taking /m/39', 'a warning tells');
      }
    },
  );
}
