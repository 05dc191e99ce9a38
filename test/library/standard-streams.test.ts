/**
 * The standard streams of the program that calls run(): they may be closed, and a terminal that it
 * gives to a command remains as it is.
 */
import { Containers, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { exitOf, Output } from '../support/tare.js';
import { allowTime } from '../support/timeout.js';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

// libuv does not close the descriptors 0 to 2: with a pipe there, the command would wait for the
// end of its input.
t.test('input, where the program has closed its own', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    const { closeSync, writeFileSync } = await import('node:fs');
    for (const fd of data.closed) closeSync(fd);
    const { stdout, stderr, exitCode } = await run(['sh', '-c', 'cat; cat /nowhere; exit 3'], {
      ...data.options, input: 'text', stdio: ['pipe', 'pipe', 'pipe', 'pipe'], timeout: 20_000,
      reject: false,
    });
    writeFileSync(data.file, JSON.stringify([stdout, stderr, exitCode]));
  `;
  for (const closed of [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]) {
    const file = join(containers.sandbox.directory, 'result');
    const { child } = program(body, { options: containers.options, closed, file });
    t.equal(await exitOf(child), 0, `closed: ${closed.join(' ')}`);
    const expected = ['text', 'cat: /nowhere: No such file or directory\n', 3];
    t.strictSame(JSON.parse(readFileSync(file, 'utf8')), expected, `closed: ${closed.join(' ')}`);
  }
});

t.test('a terminal as a file', options, async (t) => {
  const containers = new Containers(t);
  const terminal = spawn(
    'python3',
    [
      '-c',
      `import os, sys
master, slave = os.openpty()
print(os.ttyname(slave), flush=True)
sys.stdin.readline()`,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = new Output(terminal.stdout);
  const file = (await lines.until('\n')).trim();
  const body = `
    const { readFileSync } = await import('node:fs');
    const command = (fd) => ['sh', '-c', 'cat /proc/self/fdinfo/' + fd + ' >&' + (fd === 1 ? 2 : 1)];
    const flags = (text) => (parseInt(/flags:\\s+(\\d+)/.exec(text)[1], 8) & 0o4000) !== 0;
    const file = data.file;
    const results = [
      (await run(command(0), { ...data.options, stdin: { file } })).stdout,
      (await run(command(1), { ...data.options, stdout: { file } })).stderr,
      (await run(command(2), { ...data.options, stderr: { file } })).stdout,
    ];
    tell(results.map(flags).join(' '));
    tell('controlling terminal: ' + readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')[4]);
  `;
  // A session without a terminal gets the first one that its leader opens without O_NOCTTY.
  const { child, output } = program(body, { options: containers.options, file }, ['setsid']);
  const ended = exitOf(child);
  t.equal(await output.all(), 'false false false\ncontrolling terminal: 0\n');
  t.equal(await ended, 0);
  terminal.stdin.end('\n');
  await exitOf(terminal);
});
