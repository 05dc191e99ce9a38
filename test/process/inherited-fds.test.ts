/**
 * What a container inherits besides its standard streams: descriptors, systemd sockets, readiness.
 */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, openSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  Output,
  Sandbox,
  cli,
  exitOf,
  program,
  state,
  staticProgram,
  skipReason,
} from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  const openFds = 'for f in /proc/self/fd/*; do echo ${f##*/}; done | sort -n | tr "\\n" " "';
  const file = (name: string): string => {
    const path = join(sandbox.directory, name);
    writeFileSync(path, `content of ${name}\n`);
    return path;
  };

  sandbox.test('--preserve-fds: N descriptors, in order, and no more', async (t) => {
    const bundle = sandbox.bundle([
      'sh',
      '-c',
      'cat <&3; cat <&4; if [ -e /proc/self/fd/5 ]; then echo five; fi',
    ]);
    const fds = ['a', 'b', 'c'].map((name) => openSync(file(name), 'r'));
    for (const verb of ['run', 'exec']) {
      const id = sandbox.id(`preserve-${verb}`);
      if (verb === 'exec') {
        sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
        fds.splice(0, 3).forEach((fd) => closeSync(fd));
        fds.push(...['a', 'b', 'c'].map((name) => openSync(file(name), 'r')));
      }
      const script = 'cat <&3; cat <&4; if [ -e /proc/self/fd/5 ]; then echo five; fi';
      const args =
        verb === 'run'
          ? ['run', '--preserve-fds', '2', '-b', bundle, id]
          : ['exec', '--preserve-fds=2', id, 'sh', '-c', script];
      const child = sandbox.spawn(args, { stdio: ['ignore', 'pipe', 'inherit', ...fds] });
      const output = new Output(child.stdout);
      t.equal(await exitOf(child), 0);
      t.equal(await output.all(), 'content of a\ncontent of b\n');
      sandbox.tare(['delete', '--force', id]);
    }
    for (const fd of fds) closeSync(fd);
  });

  sandbox.test('no other descriptor of the caller or of tare is there', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', openFds]);
    const extra = openSync(file('extra'), 'r');
    const child = sandbox.spawn(['run', '-b', bundle, sandbox.id('none')], {
      stdio: ['ignore', 'pipe', 'inherit', extra, extra],
      global: ['--log', join(sandbox.directory, 'log')],
    });
    const output = new Output(child.stdout);
    t.equal(await exitOf(child), 0);
    closeSync(extra);
    // The last one is the shell's own descriptor of the directory that it reads.
    t.equal(await output.all(), '0 1 2 3 ');
  });

  sandbox.test('--preserve-fds of one that is not open', async (t) => {
    const bundle = sandbox.bundle(['true']);
    // Descriptor 3 is then tare's own log, which must not be taken for the caller's.
    const log = ['--log', join(sandbox.directory, 'log')];
    for (const verb of ['run', 'create']) {
      const result = sandbox.tare([verb, '--preserve-fds', '1', '-b', bundle, sandbox.id('x')], {
        global: log,
      });
      t.equal(result.status, 1);
      t.match(result.stderr, '--preserve-fds 1: file descriptor 3 is not open');
    }
    const many = sandbox.tare([
      'run',
      '--preserve-fds',
      '4294967295',
      '-b',
      bundle,
      sandbox.id('x'),
    ]);
    t.equal(many.error, '--preserve-fds 4294967295: file descriptor 3 is not open');
  });

  sandbox.test('LISTEN_FDS come first, and the container is told of them', async (t) => {
    const script = 'echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3; cat <&4';
    const bundle = sandbox.bundle(['sh', '-c', script]);
    const shell =
      'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" --root "$1" run --preserve-fds 1 -b "$2" "$3" 3<"$4" 4<"$5"';
    const args = [cli, sandbox.root, bundle, sandbox.id('listen'), file('a'), file('b')];
    const result = spawnSync('sh', ['-c', shell, ...args], { encoding: 'utf8' });
    t.equal(result.stderr, '');
    t.equal(result.stdout, '1 1 web\ncontent of a\ncontent of b\n');

    const others = sandbox.must(['run', '-b', sandbox.bundle(['env']), sandbox.id('listen')], {
      env: { LISTEN_FDS: '1', LISTEN_PID: '1' },
    });
    t.notMatch(others.stdout, 'LISTEN', "another process's descriptors are none of ours");
  });

  sandbox.test('LISTEN_FDS that are not open', async (t) => {
    const shell = 'LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" --root "$1" run -b "$2" "$3" 3<"$4" 4<&-';
    const args = [cli, sandbox.root, sandbox.bundle(['true']), sandbox.id('listen'), file('a')];
    const result = spawnSync('sh', ['-c', shell, ...args], { encoding: 'utf8' });
    t.equal(result.status, 1);
    t.match(result.stderr, 'LISTEN_FDS 2: file descriptor 4 is not open');
  });

  /**
   * manager() creates a service manager's socket; notifying() makes a bundle whose program reports
   * readiness after a line of input.
   */
  async function manager(
    name: string,
  ): Promise<{ socket: string; output: Output; stop: () => void }> {
    const socket = join(sandbox.directory, `${name}.sock`);
    const child = spawn(program('notify'), ['listen', socket], { stdio: 'pipe' });
    await new Output(child.stderr).until('listening\n');
    return { socket, output: new Output(child.stdout), stop: () => void child.kill() };
  }
  function notifying(script: string): string {
    const bundle = sandbox.bundle(['sh', '-c', script]);
    copyFileSync(staticProgram('notify'), join(bundle, 'rootfs/bin/notify'));
    return bundle;
  }
  const ready =
    'notify send "STATUS=not yet"; read line; notify send "MAINPID=1\\nREADY=1"; echo sent; exec sleep 1000';

  sandbox.test('NOTIFY_SOCKET: start waits for READY and passes it on, with the pid', async (t) => {
    const { socket, output, stop } = await manager('start');
    const id = sandbox.id('notify');
    const env = { NOTIFY_SOCKET: socket };
    sandbox.must(['create', '-b', notifying(ready), id], { env });
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const start = sandbox.spawn(['start', id], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    t.equal(
      await output.until('BARRIER=1 (with a descriptor)\n'),
      `READY=1\nMAINPID=${pid}\nBARRIER=1 (with a descriptor)\n`,
    );
    t.equal(await exitOf(start), 0);
    t.match(state(sandbox.must(['state', id]).stdout), { status: 'running' });
    sandbox.must(['delete', '--force', id]);
    stop();
  });

  sandbox.test('NOTIFY_SOCKET: run --detach does so, too', async (t) => {
    const { socket, output, stop } = await manager('detach');
    const id = sandbox.id('notify');
    const run = sandbox.spawn(['run', '-d', '-b', notifying(ready), id], {
      env: { NOTIFY_SOCKET: socket },
    });
    run.stdin?.write('go\n');
    await output.until('BARRIER=1 (with a descriptor)\n');
    t.equal(await exitOf(run), 0);
    const { pid } = state(sandbox.must(['state', id]).stdout);
    t.match(output.text, `READY=1\nMAINPID=${pid}\n`);
    sandbox.must(['delete', '--force', id]);
    stop();
  });

  sandbox.test('NOTIFY_SOCKET: an attached run is the main process itself', async (t) => {
    const { socket, output, stop } = await manager('attached');
    const id = sandbox.id('notify');
    const run = sandbox.spawn(['run', '-b', notifying(ready), id], {
      env: { NOTIFY_SOCKET: socket },
    });
    run.stdin?.write('go\n');
    t.equal(await output.until(`MAINPID=${run.pid}\n`), `READY=1\nMAINPID=${run.pid}\n`);
    await new Output(run.stdout).until('sent\n');
    sandbox.must(['kill', id, 'KILL']);
    t.equal(await exitOf(run), 128 + 9);
    t.equal(output.text, `READY=1\nMAINPID=${run.pid}\n`, 'nothing else was passed on');
    stop();
  });

  sandbox.test('NOTIFY_SOCKET: a container that ends without READY delays no caller', async (t) => {
    const { socket, output, stop } = await manager('end');
    const id = sandbox.id('notify');
    const env = { NOTIFY_SOCKET: socket };
    sandbox.must(['create', '-b', notifying('notify send STATUS=bad; exit 1'), id], { env });
    t.equal(sandbox.tare(['start', id], { env }).status, 0);
    t.equal(output.text, '');
    sandbox.must(['delete', id]);
    stop();
  });

  sandbox.test('NOTIFY_SOCKET of a manager that is not there', async (t) => {
    const id = sandbox.id('notify');
    const env = { NOTIFY_SOCKET: '/nowhere/notify.sock' };
    const result = sandbox.tare(
      ['run', '-d', '-b', notifying('notify send READY=1; sleep 1000'), id],
      {
        env,
      },
    );
    t.equal(result.status, 1);
    t.equal(
      result.error,
      'NOTIFY_SOCKET /nowhere/notify.sock: sendmsg: ENOENT (No such file or directory)',
    );
    t.notOk(existsSync(join(sandbox.root, id)));
    const long = { NOTIFY_SOCKET: `/${'x'.repeat(107)}` };
    t.match(
      sandbox.tare(['run', '-b', sandbox.bundle(['true']), id], { env: long }).error,
      'an address has 1 to 107 bytes',
    );
  });
}
