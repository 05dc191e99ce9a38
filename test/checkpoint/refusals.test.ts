/**
 * Refusals of checkpoint and restore: nothing is changed, and the error says what to do.
 * checkpoint.guest.ts tests that both work, since Debian's criu does not support every kernel.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { inNewUserNamespace } from '../support/inside.js';
import { Output, Sandbox, cli, exitOf, errorIn, skipReason, type Config } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  const images = join(sandbox.directory, 'images');

  const running = async (t: Test, name: string): Promise<string> => {
    const id = sandbox.id(name);
    const bundle = sandbox.bundle(['sleep', '1000']);
    const child = sandbox.spawn(['run', '-d', '-b', bundle, id], { stdio: 'ignore' });
    t.equal(await exitOf(child), 0);
    return id;
  };
  /** Returns the message of a refused checkpoint without its frame. The container keeps running. */
  const refused = (t: Test, id: string, flags: string[], env?: NodeJS.ProcessEnv): string => {
    const result = sandbox.tare(['checkpoint', '--image-path', images, ...flags, id], { env });
    t.equal(result.status, 1);
    t.notOk(existsSync(images), 'no image directory is made');
    return result.error.replace(`checkpoint ${id}: `, '');
  };

  sandbox.test('flags of checkpoint that say nothing', async (t) => {
    const id = await running(t, 'flags');
    writeFileSync(join(sandbox.directory, 'file'), '');
    for (const [flags, message] of [
      [
        ['--manage-cgroups-mode', 'hard'],
        'invalid manage-cgroups-mode value "hard": expected soft, full, strict or ignore',
      ],
      [
        ['--empty-ns', 'ipc'],
        '--empty-ns: namespace "ipc" is not supported: it can only be network, which is always restored empty',
      ],
      ...['1234', ':27', 'host:', '::1:27'].map(
        (server) =>
          [
            ['--page-server', server],
            `--page-server ${server}: Use --page-server ADDRESS:PORT to specify page server`,
          ] as const,
      ),
      ...['host:0', 'host:65536', 'host:http'].map(
        (server) =>
          [
            ['--page-server', server],
            `--page-server ${server}: Invalid port number, expected 1 to 65535`,
          ] as const,
      ),
      [['--status-fd', '77'], 'invalid --status-fd argument 77: EBADF (Bad file descriptor)'],
      [
        ['--pre-dump', '--lazy-pages'],
        '--pre-dump and --lazy-pages cannot be combined: --pre-dump saves the memory, --lazy-pages leaves it in the processes',
      ],
      [
        ['--parent-path', '/absolute'],
        '--parent-path /absolute: must be relative to --image-path, as criu records it',
      ],
      [
        ['--parent-path', 'absent'],
        `invalid --parent-path absent: ${images}/absent: ENOENT (No such file or directory); it must be the directory of an earlier --pre-dump`,
      ],
      [
        ['--parent-path', '../file'],
        `invalid --parent-path ../file: ${sandbox.directory}/file: ENOTDIR (Not a directory); it must be the directory of an earlier --pre-dump`,
      ],
    ] as const) {
      t.equal(refused(t, id, [...flags]), message);
    }
    const file = openSync(cli, 'r');
    const child = sandbox.spawn(['checkpoint', '--image-path', images, '--status-fd', '3', id], {
      stdio: ['ignore', 'ignore', 'pipe', file],
    });
    const said = await new Output(child.stderr).all();
    closeSync(file);
    t.match(said, 'invalid --status-fd argument 3: not writable');
    t.notOk(existsSync(images), 'no image directory is made');
    t.equal(sandbox.must(['state', id]).stdout.includes('"running"'), true, 'it goes on');
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('a container that is not running', async (t) => {
    t.match(refused(t, sandbox.id('none'), []), / does not exist /);
    const id = sandbox.id('created');
    sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
    t.equal(
      refused(t, id, []),
      'a container that is created cannot be checkpointed; start it first',
    );
    sandbox.must(['start', id]);
    while (sandbox.must(['state', id]).stdout.includes('"running"'));
    t.equal(refused(t, id, []), 'a container that is stopped cannot be checkpointed');
    sandbox.must(['delete', id]);
    await Promise.resolve();
  });

  /** Creates a criu that answers the request for its version with 3.15, see criu.proto. */
  const oldCriu = (directory: string): void => {
    mkdirSync(directory);
    const answer = [8, 10, 16, 1, 82, 4, 8, 3, 16, 15];
    const program = `#!${process.execPath}
require('node:fs').writeSync(3, Buffer.from(${JSON.stringify(answer)}));
setTimeout(() => {}, 1000);
`;
    writeFileSync(join(directory, 'criu'), program);
    chmodSync(join(directory, 'criu'), 0o755);
  };

  sandbox.test('a host without criu, or with an old one', async (t) => {
    const id = await running(t, 'hosts');
    const directory = join(sandbox.directory, 'old');
    oldCriu(directory);
    const env = { PATH: `${directory}:${process.env['PATH']}` };
    t.equal(refused(t, id, [], env), 'criu 3.15 is too old; install 3.16 or newer');
    const script =
      'for place in /usr/local/sbin /usr/sbin /sbin /usr/local/bin /usr/bin /bin; do ' +
      '[ ! -e "$place/criu" ] || mount --bind /dev/null "$place/criu"; done; exec "$@"';
    const words = [cli, '--root', sandbox.root, 'checkpoint', '--image-path', images, id];
    const { status, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...words], {
      env: { PATH: '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin' },
      encoding: 'utf8',
    });
    t.equal(status, 1);
    t.equal(
      errorIn(stderr),
      `checkpoint ${id}: criu(8) is not in PATH; install version 3.16 or newer, on Debian by \`apt-get install criu\``,
    );
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('what cannot be restored', async (t) => {
    const whole = join(sandbox.directory, 'whole');
    mkdirSync(whole);
    writeFileSync(join(whole, 'descriptors.json'), '["/dev/null","/dev/null","/dev/null"]');
    const edited = (edit: (config: Config) => void): string => sandbox.bundle(['true'], edit);
    const plain = edited(() => undefined);
    const namespaces = (change: Record<string, string | null>) => (config: Config) => {
      const list = config.linux.namespaces.filter(({ type }) => change[type] !== null);
      config.linux.namespaces = list.map(({ type }) => ({
        type,
        ...(change[type] ? { path: change[type] } : {}),
      }));
    };
    const annotated = (key: string, value: string) => (config: Config) => {
      config['annotations'] = { [key]: value };
    };
    const from = ['--image-path', whole];
    for (const [words, message] of [
      [
        ['-b', plain, '--image-path', '/nowhere'],
        '--image-path: /nowhere: descriptors.json is missing; give the directory of a complete checkpoint, since a --pre-dump alone cannot be restored',
      ],
      [
        ['-b', plain, ...from, '--console-socket', '/nowhere'],
        '--console-socket: cannot use console socket without --detach: in the foreground the terminal is attached to standard input and output',
      ],
      [
        ['-d', '-b', edited((config) => (config.process.terminal = true)), ...from],
        'cannot allocate tty if tare will detach without setting console socket; give --console-socket, or set process.terminal to false',
      ],
      [
        [
          '-b',
          edited((config) => {
            namespaces({ mount: null })(config);
            config.linux['maskedPaths'] = config.linux['readonlyPaths'] = [];
          }),
          ...from,
        ],
        'config.json: linux.namespaces: a container without a mount namespace of its own cannot be restored; add {"type": "mount"}',
      ],
      [
        ['-b', edited(namespaces({ cgroup: '/proc/1/ns/cgroup' })), ...from],
        'config.json: linux.namespaces[5].path: criu(8) cannot restore into an existing cgroup namespace; remove the path',
      ],
      [
        ['-b', edited(inNewUserNamespace), ...from],
        "config.json: linux.namespaces[6]: a container with a user namespace cannot be restored: criu(8) opens its images, which only the host's root may read, as the container's root",
      ],
      [
        ['-b', edited(annotated('run.oci.delegate-cgroup', 'below')), ...from],
        'config.json: annotations["run.oci.delegate-cgroup"]: criu(8) cannot restore into a cgroup below the container\'s; remove the annotation',
      ],
      [
        ['-b', edited(annotated('run.oci.pidfd_receiver', '/nowhere')), ...from],
        'config.json: annotations["run.oci.pidfd_receiver"]: /nowhere: connect: ENOENT (No such file or directory); a process must be listening on it',
      ],
      [
        ['-b', edited(namespaces({ network: '/nowhere' })), ...from],
        'config.json: linux.namespaces[1].path: /nowhere: open: ENOENT (No such file or directory); the namespace that the container joins must exist',
      ],
    ] as const) {
      const id = sandbox.id('refused');
      const result = sandbox.tare(['restore', ...words, id]);
      t.equal(result.status, 1);
      t.equal(result.error.replace(`restore ${id}: `, ''), message);
    }
    const directory = join(sandbox.directory, 'older');
    oldCriu(directory);
    const env = { PATH: `${directory}:${process.env['PATH']}` };
    const result = sandbox.tare(['restore', '-b', plain, ...from, sandbox.id('old')], { env });
    t.match(result.error, / criu 3\.15 is too old; install 3\.16 or newer$/);
    t.notOk(existsSync(join(whole, 'restore.log')), 'nothing is written to the images');
    await Promise.resolve();
  });

  sandbox.test('an ordinary user', async (t) => {
    const id = await running(t, 'user');
    const words = ['--root', sandbox.root, 'checkpoint', '--image-path', images, id];
    const script = 'exec "$0" "$@"';
    const { status, stderr } = spawnSync('unshare', ['-Ur', 'sh', '-c', script, cli, ...words], {
      encoding: 'utf8',
    });
    t.equal(status, 1);
    t.equal(
      errorIn(stderr),
      `checkpoint ${id}: criu(8) saves and restores only containers of the host's root; call tare as root, outside of any user namespace`,
    );
    sandbox.must(['delete', '--force', id]);
  });
}
