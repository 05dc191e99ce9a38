/** Terminals: attached to the caller's terminal, and sent to a console socket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { recvtty } from '../support/recvtty.js';
import { Output, Sandbox, cli, exitOf, program, skipReason, type Config } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  const terminal = (config: Config): void => {
    config.process.terminal = true;
  };
  /**
   * Runs a host command on a terminal of 30 rows and 90 columns; SIGUSR1 resizes it to 40 by 100.
   */
  const onTerminal = (...command: string[]): ChildProcess =>
    spawn(program('pty'), ['30x90', '40x100', ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
  const isTerminal = 'for f in 0 1 2; do [ -t $f ] && echo terminal $f; done; tty; stty size';

  sandbox.test('an attached run: a terminal of the size of the caller', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', isTerminal], terminal);
    const run = onTerminal(cli, '--root', sandbox.root, 'run', '-b', bundle, sandbox.id('size'));
    const output = new Output(run.stdout);
    t.equal(await exitOf(run), 0);
    // The caller's terminal turns \n into \r\n; the container's terminal must not do so as well.
    t.equal(
      await output.all(),
      'terminal 0\r\nterminal 1\r\nterminal 2\r\n/dev/pts/0\r\n30 90\r\n',
    );
  });

  sandbox.test('without a terminal of the caller the output is as it was written', async (t) => {
    const bundle = sandbox.bundle(
      ['sh', '-c', 'printf "a\\nb\\n"; stty size; exit 6'],
      (config) => {
        terminal(config);
        config.process.consoleSize = { height: 12, width: 34 };
      },
    );
    t.match(sandbox.tare(['run', '-b', bundle, sandbox.id('plain')]), {
      status: 6,
      stdout: 'a\nb\n12 34\n',
      stderr: '',
    });
  });

  sandbox.test('the last output is not lost, however much it is', async (t) => {
    const bundle = sandbox.bundle(['seq', '1', '20000'], terminal);
    const lines = sandbox
      .must(['run', '-b', bundle, sandbox.id('much')])
      .stdout.trimEnd()
      .split('\n');
    t.equal(lines.length, 20000);
    t.equal(lines.at(-1), '20000');
    const short = sandbox.bundle(['echo', 'last'], terminal);
    for (let i = 0; i < 50; i++) {
      const { stdout } = sandbox.must(['run', '-b', short, sandbox.id('last')]);
      if (stdout !== 'last\n') t.equal(stdout, 'last\n', `time ${i}`);
    }
    t.pass('50 times');
  });

  sandbox.test('the last output comes though a daemon keeps the terminal open', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', 'sleep 1000 & echo last'], (config) => {
      terminal(config);
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    });
    t.equal(sandbox.must(['run', '-b', bundle, sandbox.id('daemon')]).stdout, 'last\n');
  });

  sandbox.test('keys reach the container as they are, and the terminal is restored', async (t) => {
    const bundle = sandbox.bundle(
      ['sh', '-c', 'trap "echo interrupted; exit 5" INT; echo ready; read line; echo "got $line"'],
      terminal,
    );
    const script =
      'before=$(stty -g); "$0" --root "$1" run -b "$2" "$3"; echo "status $?"; [ "$before" = "$(stty -g)" ] && echo restored';
    for (const [keys, answer, status] of [
      ['\u0003', 'interrupted', 5],
      ['abc\r', 'got abc', 0],
    ] as const) {
      const shell = onTerminal('sh', '-c', script, cli, sandbox.root, bundle, sandbox.id('keys'));
      const output = new Output(shell.stdout);
      await output.until('ready\r\n');
      shell.stdin?.write(keys);
      const rest = await output.all();
      t.ok(rest.endsWith(`${answer}\r\nstatus ${status}\r\nrestored\r\n`), JSON.stringify(rest));
      t.equal(await exitOf(shell), 0);
    }
  });

  sandbox.test('the size follows that of the caller', async (t) => {
    const bundle = sandbox.bundle(
      [
        'sh',
        '-c',
        'trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 1000 & wait; done',
      ],
      terminal,
    );
    const run = onTerminal(cli, '--root', sandbox.root, 'run', '-b', bundle, sandbox.id('winch'));
    const output = new Output(run.stdout);
    await output.until('ready\r\n');
    run.kill('SIGUSR1');
    t.equal(await output.until('\r\n'), '40 100\r\n');
    t.equal(await exitOf(run), 0);
  });

  sandbox.test('exec --tty', async (t) => {
    const id = sandbox.id('exec');
    sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
    const exec = onTerminal(cli, '--root', sandbox.root, 'exec', '-t', id, 'sh', '-c', isTerminal);
    const output = new Output(exec.stdout);
    t.equal(await exitOf(exec), 0);
    t.match(
      await output.all(),
      /^terminal 0\r\nterminal 1\r\nterminal 2\r\n\/dev\/pts\/\d\r\n30 90\r\n$/,
    );
    t.match(
      sandbox.tare(['exec', id, 'tty']),
      { status: 1, stdout: 'not a tty\n' },
      'only with -t',
    );
    sandbox.must(['delete', id]);
  });

  for (const verb of ['create', 'run', 'exec']) {
    sandbox.test(`${verb}: the master goes to the console socket`, async (t) => {
      const socket = join(sandbox.directory, `${verb}.sock`);
      const receiver = await recvtty(socket);
      const id = sandbox.id(`console-${verb}`);
      const script = `${isTerminal}; echo ready; read line; echo "got $line"`;
      const bundle = sandbox.bundle(['sh', '-c', script], terminal);
      let result;
      if (verb === 'create') {
        result = sandbox.must(['create', '--console-socket', socket, '-b', bundle, id]);
        sandbox.must(['start', id]);
      } else if (verb === 'run') {
        result = sandbox.must(['run', '-d', '--console-socket', socket, '-b', bundle, id]);
      } else {
        sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
        const flags = ['-d', '-t', '--console-socket', socket];
        result = sandbox.must(['exec', ...flags, id, 'sh', '-c', script]);
      }
      t.strictSame([result.stdout, result.stderr], ['', '']);
      await receiver.output.until('ready\r\n');
      receiver.stdin.write('abc\r');
      await receiver.output.until('got abc\r\n');
      t.match(
        await receiver.output.all(),
        /^terminal 0\r\nterminal 1\r\nterminal 2\r\n\/dev\/pts\/\d\r\n/,
      );
      sandbox.must(['delete', '--force', id]);
    });
  }

  sandbox.test('/dev/console is the terminal, and the owner of it is the user', async (t) => {
    const bundle = sandbox.bundle(
      ['sh', '-c', 'stat -c %u $(tty); echo x > /dev/console'],
      (config) => {
        terminal(config);
        config.process.user = { uid: 12, gid: 13 };
      },
    );
    t.equal(sandbox.must(['run', '-b', bundle, sandbox.id('owner')]).stdout, '12\nx\n');
  });

  const refusals: [string, string[], boolean, RegExp][] = [
    ['create without socket', ['create'], true, /cannot allocate tty.*console socket/],
    ['run -d without socket', ['run', '-d'], true, /cannot allocate tty.*console socket/],
    [
      'an attached run with one',
      ['run', '--console-socket', '/s'],
      true,
      /cannot use console socket/,
    ],
    [
      'create with one but no terminal',
      ['create', '--console-socket', '/s'],
      false,
      /console socket/,
    ],
    [
      'a socket that is not there',
      ['create', '--console-socket', '/nowhere/s'],
      true,
      /\/nowhere\/s.*ENOENT/,
    ],
    [
      'one without a listener',
      ['create', '--console-socket', '/dev/null'],
      true,
      /\/dev\/null.*ECONNREFUSED/,
    ],
    [
      'a pidfd socket that is not there',
      ['create', '--pidfd-socket', '/nowhere/s'],
      false,
      /\/nowhere\/s.*ENOENT/,
    ],
  ];
  for (const [what, args, tty, message] of refusals) {
    sandbox.test(`refused: ${what}`, async (t) => {
      const bundle = sandbox.bundle(['true'], tty ? terminal : undefined);
      const result = sandbox.tare([...args, '-b', bundle, sandbox.id('refused')]);
      t.equal(result.status, 1);
      t.match(result.error, message);
      t.equal(result.stdout, '');
    });
  }

  sandbox.test('refused: exec with a terminal, detached, without socket', async (t) => {
    const id = sandbox.id('exec');
    sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
    const result = sandbox.tare(['exec', '-d', '-t', id, 'true']);
    t.equal(result.status, 255);
    t.match(result.error, /cannot allocate tty.*console socket/);
    sandbox.must(['delete', id]);
  });
}
