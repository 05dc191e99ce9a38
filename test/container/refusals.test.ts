/** Refusals at run time: the exact message, the exit status, and that nothing is left behind. */
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Sandbox, skipReason, type Config } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  /** A bundle that both run, and create followed by start, refuse. BUNDLE stands for its path. */
  interface Refusal {
    what: string;
    args?: string[];
    config?: (config: Config) => void;
    bundle?: (bundle: string) => void;
    message: string;
  }
  /** Returns the message after "create ID: " and "start ID: ". */
  const withoutFrames = (error: string): string =>
    error.replace(/^((create|start) tare-test-[\w-]+: )+/, '');
  const rootfs = (bundle: string, path: string): string => join(bundle, 'rootfs', path);

  const refusals: Refusal[] = [
    {
      what: 'no config.json',
      bundle: (bundle) => rmSync(join(bundle, 'config.json')),
      message:
        'JSON specification file config.json not found in BUNDLE; name the bundle with --bundle, or make one with `tare spec`',
    },
    {
      what: 'a config.json that is a directory',
      bundle: (bundle) => {
        rmSync(join(bundle, 'config.json'));
        mkdirSync(join(bundle, 'config.json'));
      },
      message: 'BUNDLE/config.json: read: EISDIR (Is a directory)',
    },
    {
      what: 'bad JSON',
      bundle: (bundle) => writeFileSync(join(bundle, 'config.json'), '{"ociVersion": "1.2.0",\n]'),
      message: 'config.json: line 2, column 1: expected a member name in double quotes, or }',
    },
    {
      what: 'an empty config.json',
      bundle: (bundle) => writeFileSync(join(bundle, 'config.json'), ''),
      message: 'config.json: line 1, column 1: the text is empty',
    },
    {
      what: 'no rootfs',
      bundle: (bundle) => rmSync(join(bundle, 'rootfs'), { recursive: true }),
      message:
        "config.json: root.path: BUNDLE/rootfs: ENOENT (No such file or directory); it must be the directory with the container's files",
    },
    {
      what: 'a rootfs that is a file',
      bundle: (bundle) => {
        rmSync(join(bundle, 'rootfs'), { recursive: true });
        writeFileSync(join(bundle, 'rootfs'), '');
      },
      message: 'config.json: root.path: BUNDLE/rootfs: is not a directory',
    },
    {
      what: 'a command that is not in PATH',
      args: ['absent'],
      message: 'exec: "absent": executable file not found in $PATH',
    },
    {
      what: 'a command that does not exist',
      args: ['/bin/absent'],
      message: 'exec: "/bin/absent": stat /bin/absent: no such file or directory',
    },
    {
      what: 'a command that is a directory',
      args: ['/etc'],
      message: 'exec: "/etc": is a directory: permission denied',
    },
    {
      what: 'a command in PATH that is not executable',
      args: ['plain'],
      bundle: (bundle) => writeFileSync(rootfs(bundle, 'bin/plain'), 'x', { mode: 0o644 }),
      message: 'exec: "plain": executable file not found in $PATH',
    },
    {
      what: 'a command that is not executable',
      args: ['/bin/plain'],
      bundle: (bundle) => writeFileSync(rootfs(bundle, 'bin/plain'), 'x', { mode: 0o644 }),
      message:
        'exec: "/bin/plain": permission denied: the file is not executable for the container\'s user, or its mount is noexec',
    },
    {
      what: 'a command of no known format',
      args: ['/bin/text'],
      bundle: (bundle) => {
        writeFileSync(rootfs(bundle, 'bin/text'), 'no magic number\n');
        chmodSync(rootfs(bundle, 'bin/text'), 0o755);
      },
      message: 'exec /bin/text: exec format error',
    },
    {
      what: 'a script whose interpreter does not exist',
      args: ['/bin/script'],
      bundle: (bundle) => {
        writeFileSync(rootfs(bundle, 'bin/script'), '#!/bin/absent\n');
        chmodSync(rootfs(bundle, 'bin/script'), 0o755);
      },
      message: 'exec /bin/script: no such file or directory',
    },
    {
      what: 'a command that is a symlink to nothing',
      args: ['/bin/link'],
      bundle: (bundle) => symlinkSync('/nowhere', rootfs(bundle, 'bin/link')),
      message: 'exec: "/bin/link": stat /bin/link: no such file or directory',
    },
    {
      what: 'a cwd that is a file',
      config: (config) => {
        config.process.cwd = '/bin/busybox';
      },
      message:
        'cd /bin/busybox (if root may): config.json: process.cwd: chdir: ENOTDIR (Not a directory)',
    },
    {
      what: 'a mount whose source does not exist',
      config: (config) => {
        config.mounts.push({ destination: '/tmp', source: '/nowhere', options: ['bind'] });
      },
      message:
        'mount --bind /nowhere /tmp: config.json: mounts[7]: open_tree: ENOENT (No such file or directory); the source of the mount does not exist: make it, or correct the path',
    },
    {
      what: 'a file system that does not exist',
      config: (config) => {
        config.mounts.push({ destination: '/tmp', type: 'bogusfs', source: 'bogusfs' });
      },
      message:
        "mount -t bogusfs bogusfs /tmp: config.json: mounts[7]: fsopen: ENODEV (No such device); the kernel has no such file system: check the mount's type, or load its module",
    },
    {
      what: 'a bad mount option for a file system',
      config: (config) => {
        config.mounts.push({ destination: '/tmp', type: 'tmpfs', options: ['size=bogus'] });
      },
      message:
        "mount -t tmpfs tmpfs /tmp -o size=bogus: config.json: mounts[7]: fsconfig: EINVAL (Invalid argument) (e tmpfs: Bad value for 'size')",
    },
    {
      what: 'a namespace whose path does not exist',
      config: (config) => {
        config.linux.namespaces = config.linux.namespaces.map((namespace) =>
          namespace.type === 'network' ? { type: 'network', path: '/nowhere' } : namespace,
        );
      },
      message:
        'config.json: linux.namespaces[1].path: /nowhere: open: ENOENT (No such file or directory)',
    },
    {
      what: 'a namespace path that is of another type',
      config: (config) => {
        config.linux.namespaces = config.linux.namespaces.map((namespace) =>
          namespace.type === 'network' ? { type: 'network', path: '/proc/self/ns/uts' } : namespace,
        );
      },
      message:
        'nsenter network /proc/self/ns/uts: config.json: linux.namespaces[1]: setns: EINVAL (Invalid argument)',
    },
    {
      what: 'a sysctl that does not exist',
      config: (config) => {
        config.linux['sysctl'] = { 'net.bogus': '1' };
      },
      message:
        'sysctl -w net/bogus=1: config.json: linux.sysctl.net.bogus: open: ENOENT (No such file or directory)',
    },
    {
      what: 'a hook that fails',
      config: (config) => {
        const hook = { path: '/bin/sh', args: ['sh', '-c', 'echo why >&2; exit 3'] };
        config.hooks = { createRuntime: [hook] };
      },
      message:
        'config.json: hooks.createRuntime[0]: error running createRuntime hook #0: /bin/sh: exited with status 3; its last output: why',
    },
    {
      what: 'a hook that does not end in time',
      config: (config) => {
        config.hooks = { prestart: [{ path: '/bin/sleep', args: ['sleep', '1000'], timeout: 1 }] };
      },
      message:
        'config.json: hooks.prestart[0]: error running prestart hook #0: /bin/sleep: ran longer than its timeout of 1 s and was killed',
    },
    {
      what: 'a startContainer hook that fails',
      config: (config) => {
        config.hooks = { startContainer: [{ path: '/bin/false', args: ['false'] }] };
      },
      message:
        'config.json: hooks.startContainer[0]: error running startContainer hook #0: /bin/false: exited with status 1',
    },
  ];

  for (const { what, args = ['true'], config, bundle: prepare, message } of refusals) {
    sandbox.test(`refused: ${what}`, async (t) => {
      const bundle = sandbox.bundle(args, config);
      prepare?.(bundle);
      const id = sandbox.id('refused');
      const wanted = message.replaceAll('BUNDLE', bundle);
      const run = sandbox.tare(['run', '-b', bundle, id]);
      t.equal(run.status, 1);
      t.equal(withoutFrames(run.error), wanted, 'run');
      t.equal(run.stdout, '');
      t.strictSame(sandbox.leftovers(), [], 'nothing stays after run');
      const create = sandbox.tare(['create', '-b', bundle, id]);
      // start reports the errors that only executing the program can find.
      const last = create.status === 0 ? sandbox.tare(['start', id]) : create;
      t.equal(last.status, 1);
      t.equal(withoutFrames(last.error), wanted, create.status === 0 ? 'start' : 'create');
      if (create.status === 0) sandbox.must(['delete', '--force', id]);
    });
  }

  const badIds = ['', '.', '..', 'a/b', '../a', 'a b', 'a\n', 'ä', 'a:b', '-a@', 'x'.repeat(1025)];
  for (const id of badIds) {
    sandbox.test(`refused as an id: ${JSON.stringify(id.slice(0, 20))}`, async (t) => {
      const bundle = sandbox.bundle(['true']);
      const calls = [
        ['create', '-b', bundle, '--', id],
        ['run', '-b', bundle, '--', id],
        ...['start', 'state', 'kill', 'delete', 'ps'].map((verb) => [verb, '--', id]),
        ['delete', '--force', '--', id],
        ['exec', '--', id, 'true'],
      ];
      for (const call of calls) {
        const result = sandbox.tare(call);
        t.equal(result.status, call[0] === 'exec' ? 255 : 1);
        t.match(
          result.error,
          id === '' ? 'container id cannot be empty' : 'invalid container ID format: "',
          call.join(' '),
        );
      }
    });
  }

  sandbox.test('an unknown container, by each verb', async (t) => {
    const id = sandbox.id('unknown');
    for (const verb of ['start', 'state', 'kill', 'delete', 'ps', 'exec']) {
      const result = sandbox.tare([verb, id, ...(verb === 'exec' ? ['true'] : [])]);
      t.equal(result.status, verb === 'exec' ? 255 : 1);
      t.equal(result.error, `container ${id} does not exist (in ${sandbox.root})`, verb);
    }
  });

  sandbox.test('an id that is taken; the container there is not touched', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const id = sandbox.id('taken');
    sandbox.must(['create', '-b', bundle, id]);
    const before = sandbox.must(['state', id]).stdout;
    for (const verb of ['create', 'run']) {
      const result = sandbox.tare([verb, '-b', bundle, id]);
      t.equal(result.status, 1);
      t.match(result.error, /already exists/);
      t.equal(sandbox.must(['state', id]).stdout, before);
    }
    sandbox.must(['delete', id]);
  });

  sandbox.test('start of one that runs or has stopped, delete of one that runs', async (t) => {
    const id = sandbox.id('twice');
    sandbox.must(['create', '-b', sandbox.bundle(['sleep', '1000']), id]);
    sandbox.must(['start', id]);
    const again = sandbox.tare(['start', id]);
    t.equal(again.status, 1);
    t.match(again.error, 'cannot start an already running container');
    const removed = sandbox.tare(['delete', id]);
    t.equal(removed.status, 1);
    t.match(removed.error, 'is not stopped: running');
    t.match(sandbox.must(['state', id]).stdout, '"running"');
    sandbox.must(['kill', id, 'KILL']);
    sandbox.must(['delete', '--force', id]);

    const stopped = sandbox.id('stopped');
    sandbox.must(['run', '--keep', '-b', sandbox.bundle(['true']), stopped]);
    const third = sandbox.tare(['start', stopped]);
    t.equal(third.status, 1);
    t.match(third.error, 'cannot start a container that has stopped');
    sandbox.must(['delete', stopped]);
  });

  const badSignals = [
    'BOGUS',
    'SIG',
    '',
    '65',
    '-1',
    '9x',
    'RTMIN+31',
    'RTMIN-1',
    'RTMAX+1',
    'RTMIN+',
    '4294967297',
  ];
  sandbox.test('kill with what is no signal', async (t) => {
    const id = sandbox.id('signal');
    sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
    for (const signal of badSignals) {
      const result = sandbox.tare(['kill', id, signal]);
      t.equal(result.status, 1);
      t.equal(
        result.error,
        `unknown signal "${signal}": expected a name such as TERM or SIGTERM, or a number from 0 to 64`,
      );
    }
    t.match(sandbox.must(['state', id]).stdout, '"created"');
    sandbox.must(['delete', id]);
  });

  sandbox.test('a pid file that cannot be written', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    for (const args of [['create'], ['run', '-d']]) {
      const flags = ['--pid-file', '/nowhere/pid', '-b', bundle];
      const result = sandbox.tare([...args, ...flags, sandbox.id('pid')]);
      t.equal(result.status, 1);
      t.match(result.error, /\/nowhere.*ENOENT/);
    }
  });
}
