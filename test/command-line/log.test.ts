/** The log: its formats and where it goes. It needs no container and no privilege. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { cli, errorIn, tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'log');

t.test('the log', async (t) => {
  const now = (): number => Date.now();
  const file = join(directory, 'log');
  t.test('as text on standard error', async (t) => {
    const before = now();
    const { stderr, stdout } = tare(['bogus', 'a']);
    const line =
      /^time="([^"]+)" level=error msg="No help topic for 'bogus', see tare help"\n$/.exec(stderr);
    t.ok(line, stderr);
    t.match(line?.[1], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.ok(Math.abs(Date.parse(line?.[1] ?? '') - before) < 60_000, 'the time is now');
    t.equal(stdout, '');
  });
  t.test('as JSON in a file, to which it appends, and the message on standard error', async (t) => {
    const args = ['--log', file, '--log-format', 'json'];
    const first = tare([...args, 'bogus', 'a']);
    t.equal(first.stderr, "No help topic for 'bogus', see tare help\n");
    tare([`--log=${file}`, '--log-format=json', 'kill', 'a', 'a"\\\u0001\n\tb']);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    t.equal(lines.length, 2);
    const [one, two] = lines.map((line) => JSON.parse(line) as Record<string, string>);
    t.strictSame(Object.keys(one ?? {}), ['level', 'msg', 'time']);
    t.equal(one?.['level'], 'error');
    t.equal(one?.['msg'], "No help topic for 'bogus', see tare help");
    t.match(one?.['time'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.match(two?.['msg'], 'unknown signal "a"\\\u0001\n\tb": expected a name');
    t.equal(statSync(file).mode & 0o777, 0o644 & ~process.umask());
  });
  t.test('that cannot be opened is an error before anything is done', async (t) => {
    const result = tare(['--log', '/nowhere/log', 'spec', '-b', directory]);
    t.equal(result.status, 1);
    t.equal(result.error, '/nowhere/log: open: ENOENT (No such file or directory)');
    t.notOk(existsSync(join(directory, 'config.json')));
  });
  t.test('with --debug says more', async (t) => {
    const { stderr } = tare(['--debug', 'list', '--format', 'xml']);
    t.match(stderr, / level=debug msg="command: list"\n/);
    t.match(errorIn(stderr), 'invalid format option');
  });
});

t.test('a closed standard stream does not become the log or the container', async (t) => {
  const script = '"$0" --log "$1" --log-format json bogus >&- 2>&-';
  const file = join(directory, 'closed.log');
  t.throws(() => execFileSync('sh', ['-c', script, cli, file]));
  t.equal(readFileSync(file, 'utf8').split('\n').length, 2, 'one line, and none of standard error');
});
