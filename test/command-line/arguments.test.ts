/** The argument parser: tests that need no container and no privilege. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'arguments');

const incorrect: [string, string[], string][] = [
  ['no id', ['state'], 'tare: "state" requires exactly 1 argument(s)'],
  ['two ids', ['run', 'a', 'b'], 'tare: "run" requires exactly 1 argument(s)'],
  ['an argument for list', ['list', 'a'], 'tare: "list" requires exactly 0 argument(s)'],
  [
    'an argument for features',
    ['features', 'a'],
    'tare: "features" requires exactly 0 argument(s)',
  ],
  ['no id for kill', ['kill'], 'tare: "kill" requires a minimum of 1 argument(s)'],
  ['two signals', ['kill', 'a', '1', '2'], 'tare: "kill" requires a maximum of 2 argument(s)'],
  ['no id for exec', ['exec'], 'tare: "exec" requires a minimum of 1 argument(s)'],
  ['no id for ps', ['ps'], 'tare: "ps" requires a minimum of 1 argument(s)'],
  ['an unknown flag', ['run', '--bogus', 'a'], 'flag provided but not defined: -bogus'],
  ['an unknown letter', ['run', '-x', 'a'], 'flag provided but not defined: -x'],
  ['letters in one word', ['exec', '-td', 'a', 'b'], 'flag provided but not defined: -td'],
  ['a flag of another verb', ['create', '--detach', 'a'], 'flag provided but not defined: -detach'],
  ['a flag without value', ['run', '--bundle'], 'flag needs an argument: --bundle'],
  [
    'a word for a number',
    ['run', '--preserve-fds', 'x', 'a'],
    'invalid value "x" for flag --preserve-fds: expected a number from 0 to 4294967295',
  ],
  [
    'a negative number',
    ['run', '--preserve-fds=-1', 'a'],
    'invalid value "-1" for flag --preserve-fds: expected a number from 0 to 4294967295',
  ],
  [
    'a group that is no number',
    ['exec', '-g', '4294967296', 'a', 'b'],
    'invalid value "4294967296" for flag --additional-gids: expected a number from 0 to 4294967295',
  ],
  [
    'a word for a truth value',
    ['run', '--detach=perhaps', 'a'],
    'invalid value "perhaps" for flag --detach: expected true or false',
  ],
];
for (const [what, args, message] of incorrect) {
  t.test(`incorrect usage: ${what}`, async (t) => {
    const result = tare(args);
    t.equal(result.status, 1);
    t.equal(result.error, message);
    t.equal(result.stdout, `Incorrect Usage.\n\n${tare(['help', args[0] ?? '']).stdout}`);
  });
}

t.test('an unknown global flag is incorrect usage, too', async (t) => {
  const result = tare(['--bogus', 'list']);
  t.equal(result.status, 1);
  t.equal(result.error, 'flag provided but not defined: -bogus');
  t.equal(result.stdout, `Incorrect Usage.\n\n${tare(['--help']).stdout}`);
});

const refused: [string[], string][] = [
  [['completion', 'csh'], 'completion: csh: expected bash, zsh or fish'],
  [['man', 'bogus'], 'man: bogus: no such command, see tare help'],
  [['--log-format', 'xml', 'list'], '--log-format xml: invalid log-format, expected text or json'],
  [['--rootless', 'maybe', 'list'], '--rootless maybe: expected true, false or auto'],
  [['--root', '/', 'list'], '--root "/": must not be /, name a directory of its own'],
  [['--root', '', 'list'], '--root "": must not be /, name a directory of its own'],
  [['--root', '/a/../..', 'list'], '--root "/a/../..": must not be /, name a directory of its own'],
  [['list', '--format', 'xml'], '--format xml: invalid format option, expected table or json'],
  [['plan', '-f', 'xml'], '--format xml: invalid format option, expected text or json'],
];
for (const [args, message] of refused) {
  t.test(`refused: ${args.join(' ')}`, async (t) => {
    const result = tare(args);
    t.equal(result.status, 1);
    t.equal(result.error, message);
    t.equal(result.stdout, '');
  });
}

t.test('a command that does not exist has an exit status of its own', async (t) => {
  for (const args of [['bogus'], ['help', 'bogus'], ['bogus', '-h'], ['bogus', 'a', '--help']]) {
    const result = tare(args);
    t.match(result, { status: 3, stdout: '', error: "No help topic for 'bogus', see tare help" });
  }
  t.equal(tare(['help', 'help']).stdout, tare(['help']).stdout);
});

t.test('a misspelt command or flag: what it was meant to be', async (t) => {
  const rows: [string[], string | undefined][] = [
    [['rnu'], 'run'],
    [['creat'], 'create'],
    [['chekpoint'], 'checkpoint'],
    [['instal'], 'install'],
    [['hepl'], 'help'],
    [['ls'], undefined],
    [['bogus'], undefined],
    [['help', 'exce'], 'exec'],
    [['x'.repeat(100_000)], undefined],
    [['run', '--bundel', '/', 'a'], '--bundle'],
    [['run', '-bundel=/', 'a'], '--bundle'],
    [['--systemd-cgroups', 'list'], '--systemd-cgroup'],
    [['list', '--log-fromat', 'json'], '--log-format'],
    [['run', '--hlep'], '--help'],
    [['update', '--memoy', '1'], '--memory'],
    // Flags that help does not show are not suggested.
    [['kill', '--al', 'a'], undefined],
    [['run', '--ba'], undefined],
  ];
  for (const [args, meant] of rows) {
    const { error } = tare(args);
    const proposed = /; did you mean (\S+)\?$/.exec(error)?.[1];
    t.equal(proposed, meant, `${args.join(' ').slice(0, 80)}: ${error.slice(0, 200)}`);
  }
});

t.test('global flags behind the command, and which of two counts', async (t) => {
  const root = ['/nowhere/a', '/nowhere/b'] as const;
  const missing = (at: string): string =>
    `--root ${at}: ENOENT (No such file or directory); name a directory with the state of containers`;
  t.equal(tare(['list', '--root', root[0]]).error, missing(root[0]));
  t.equal(tare(['--root', root[0], 'list', `-root=${root[1]}`, '-q']).error, missing(root[1]));
  const json = tare(['list', '--log-format', 'json', '--root', root[0]]).stderr;
  t.match(JSON.parse(json), { level: 'error', msg: missing(root[0]) });
  t.match(tare(['list', '--debug', '--format', 'xml']).stderr, 'msg="command: list"');
  t.equal(tare(['list', '--log-format', 'xml']).error?.split(':')[0], '--log-format xml');
  t.equal(tare(['list', '--version']).error, 'flag provided but not defined: -version');
  t.equal(tare(['list', '-v']).error, 'flag provided but not defined: -v');
  // After the container's id, flags are arguments of the command if it takes such arguments.
  t.match(tare(['exec', 'a', 'ls', '--root', '/']).error, 'container a does not exist');
  t.match(tare(['ps', 'a', '--root', '/']).error, 'container a does not exist');
  t.match(tare(['kill', 'a', '--root', '/']).status, 1);
});

t.test('flags: forms of values, and their place', async (t) => {
  const spec = (name: string, ...args: string[]): void => {
    const bundle = join(directory, name);
    execFileSync('mkdir', [bundle]);
    const result = tare(['spec', ...args.map((arg) => arg.replace('@', bundle))]);
    t.equal(result.stderr, '');
    t.ok(existsSync(join(bundle, 'config.json')), args.join(' '));
  };
  spec('a', '--bundle', '@');
  spec('b', '--bundle=@');
  spec('c', '-b', '@');
  spec('d', '-b=@');
  spec('e', '-bundle', '@');
  spec('f', '--bundle', '/nowhere', '--bundle', '@');
  const rootless = (name: string, ...args: string[]): boolean => {
    spec(name, ...args);
    return readFileSync(join(directory, name, 'config.json'), 'utf8').includes('uidMappings');
  };
  t.equal(rootless('g', '--rootless', '-b', '@'), true);
  t.equal(rootless('h', '--rootless=true', '-b', '@'), true);
  t.equal(rootless('i', '--rootless=false', '-b', '@'), false);
  t.equal(rootless('j', '--rootless', '--rootless=f', '-b', '@'), false);
  // Flags may follow the arguments, and "--" ends them.
  t.equal(tare(['state', 'a', '--bogus']).error, 'flag provided but not defined: -bogus');
  t.equal(
    tare(['state', 'a', '--', '--bogus']).error,
    'tare: "state" requires exactly 1 argument(s)',
  );
  t.equal(tare(['list', '-']).error, 'tare: "list" requires exactly 0 argument(s)');
});
