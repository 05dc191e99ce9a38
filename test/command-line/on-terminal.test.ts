/** The output for a user at a terminal: plain sentences, and none of the forms for programs. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { cli, program, tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'terminal');
const root = ['--root', join(directory, 'state')];

/**
 * Runs a command on a terminal; returns its standard output and error as the terminal shows them,
 * and its status.
 */
function onTerminal(...args: string[]): { shown: string; status: number } {
  const pty = [program('pty'), '24x80', '24x80', cli, ...args].map((word) => `'${word}'`).join(' ');
  const text = execFileSync('sh', ['-c', `${pty} </dev/null; echo "status $?"`], {
    encoding: 'utf8',
  });
  const [, shown = '', status] = /^(.*)status (\d+)\n$/s.exec(text.replaceAll('\r\n', '\n')) ?? [];
  return { shown, status: Number(status) };
}

t.test('a container that does not exist: a sentence, and where to look', async (t) => {
  for (const verb of ['state', 'kill', 'delete']) {
    const { shown, status } = onTerminal(...root, verb, 'web');
    t.equal(status, 1);
    t.equal(
      shown,
      `tare: container web does not exist (in ${root[1]}); tare --root ${root[1]} list shows what there is\n`,
    );
  }
  const { stderr } = tare([...root, 'state', 'web']);
  t.match(stderr, /^time="[^"]+" level=error msg="container web does not exist \(in [^;]*\)"\n$/);
});

t.test('a command line that is wrong: no help that hides the sentence', async (t) => {
  const rows: [string[], string, number][] = [
    [['rnu', 'web'], 'tare: unknown command rnu; did you mean run?\n', 3],
    [['bogus'], 'tare: unknown command bogus; tare help lists the commands\n', 3],
    [
      ['run', '--bundel', '/', 'web'],
      'tare: flag provided but not defined: -bundel; did you mean --bundle?\n' +
        '  usage: tare run [option ...] <container-id>\n  see tare run --help\n',
      1,
    ],
    [
      ['--bogus'],
      'tare: flag provided but not defined: -bogus\n' +
        '  usage: tare [option ...] command [argument ...]\n  see tare --help\n',
      1,
    ],
    [
      ['run'],
      'tare: "run" requires exactly 1 argument(s)\n' +
        '  usage: tare run [option ...] <container-id>\n  see tare run --help\n',
      1,
    ],
  ];
  for (const [args, shown, status] of rows) {
    t.strictSame(onTerminal(...args), { shown, status }, args.join(' '));
  }
});

t.test('log lines stay where their form, a file or --debug is asked for', async (t) => {
  const line = /^time="[^"]+" level=error msg="container web does not exist \(in [^;]*\)"\n$/;
  t.match(onTerminal('--log-format', 'text', ...root, 'state', 'web').shown, line);
  const json = onTerminal('--log-format', 'json', ...root, 'state', 'web').shown;
  t.match(JSON.parse(json), { level: 'error', msg: /^container web / });
  const [command, ...rest] = onTerminal('--debug', ...root, 'state', 'web').shown.split(
    /^(?=time)/m,
  );
  t.match(command, 'level=debug msg="command: state"');
  t.match(rest.at(-1), line);
  const file = join(directory, 'log');
  t.match(onTerminal('--log', file, ...root, 'state', 'web').shown, /^tare: container web/);
  t.match(readFileSync(file, 'utf8'), line);
});
