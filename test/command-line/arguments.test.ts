/** The argument parser, help and the log: tests that need no container and no privilege. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { call, cli, errorIn, tare } from '../support/tare.js';

const directory = mkdtempSync(join(tmpdir(), 'tare-test-arguments-'));
t.teardown(() => rmSync(directory, { recursive: true }));

const verbs = [
  ...['checkpoint', 'completion', 'create', 'delete', 'doctor', 'events', 'exec', 'features'],
  ...['kill', 'list', 'man', 'mounts', 'pause', 'plan', 'ps', 'restore', 'resume', 'run', 'spec'],
  ...['start', 'state', 'update'],
];

/** Returns the names of the entries below a heading of a help text. */
function entriesOf(help: string, heading: string): string[] {
  const section = help.split(`${heading}:\n`)[1]?.split('\n\n')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => /^ {3}\S/.test(line))
    .map((line) => line.trim().split(/ {2,}/)[0] ?? '');
}

t.test('help lists the commands and global options that exist', async (t) => {
  const { stdout, status } = tare(['--help']);
  t.equal(status, 0);
  t.strictSame(entriesOf(stdout, 'COMMANDS'), [...verbs, 'help, h']);
  t.strictSame(entriesOf(stdout, 'OPTIONS'), [
    '--debug',
    '--log FILE',
    '--log-format text|json',
    '--root DIR',
    '--systemd-cgroup',
    '--rootless true|false|auto',
    '--version, -v',
    '--help, -h',
  ]);
  for (const args of [[], ['-h'], ['help'], ['h']]) t.equal(tare(args).stdout, stdout);
});

const options: Record<string, string[]> = {
  checkpoint: [
    ...['--image-path DIR', '--work-path DIR', '--parent-path DIR', '--leave-running'],
    ...['--tcp-established', '--tcp-skip-in-flight', '--link-remap', '--ext-unix-sk'],
    ...['--shell-job', '--lazy-pages', '--status-fd N', '--page-server ADDRESS:PORT'],
    ...['--file-locks', '--pre-dump', '--manage-cgroups-mode soft|full|strict|ignore'],
    ...['--empty-ns NAMESPACE', '--auto-dedup'],
  ],
  completion: [],
  create: [
    ...['--bundle DIR, -b DIR', '--console-socket PATH', '--pidfd-socket PATH'],
    ...['--pid-file FILE', '--no-pivot', '--no-new-keyring', '--preserve-fds N'],
  ],
  delete: ['--force, -f'],
  events: ['--interval DURATION', '--stats'],
  exec: [
    ...['--console-socket PATH', '--pidfd-socket PATH', '--cwd DIR'],
    ...['--env NAME=VALUE, -e NAME=VALUE', '--tty, -t', '--user UID[:GID], -u UID[:GID]'],
    ...['--additional-gids GID, -g GID', '--process FILE, -p FILE', '--detach, -d'],
    ...['--pid-file FILE', '--process-label LABEL', '--apparmor PROFILE', '--no-new-privs'],
    ...['--cap CAP, -c CAP', '--preserve-fds N', '--cgroup [CONTROLLER[,...]:]PATH'],
    '--ignore-paused',
  ],
  features: [],
  kill: [],
  list: ['--format table|json, -f table|json', '--quiet, -q'],
  man: [],
  pause: [],
  doctor: ['--all, -a', '--format text|json, -f text|json'],
  plan: [
    '--bundle DIR, -b DIR',
    '--format text|json, -f text|json',
    '--no-pivot',
    '--no-new-keyring',
  ],
  ps: ['--format table|json, -f table|json'],
  restore: [
    ...['--console-socket PATH', '--image-path DIR', '--work-path DIR', '--tcp-established'],
    ...['--ext-unix-sk', '--shell-job', '--file-locks'],
    ...['--manage-cgroups-mode soft|full|strict|ignore', '--bundle DIR, -b DIR', '--detach, -d'],
    ...['--pid-file FILE', '--no-subreaper', '--no-pivot', '--empty-ns NAMESPACE', '--auto-dedup'],
    ...['--lazy-pages', '--lsm-profile TYPE:NAME', '--lsm-mount-context CONTEXT'],
  ],
  resume: [],
  run: [
    ...['--bundle DIR, -b DIR', '--console-socket PATH', '--pidfd-socket PATH'],
    ...['--pid-file FILE', '--detach, -d', '--keep', '--no-subreaper', '--no-pivot'],
    ...['--no-new-keyring', '--preserve-fds N'],
  ],
  spec: ['--bundle DIR, -b DIR', '--rootless'],
  start: [],
  state: [],
  update: [
    ...['--resources FILE|-, -r FILE|-', '--blkio-weight N', '--cpu-period USEC'],
    ...['--cpu-quota USEC', '--cpu-burst USEC', '--cpu-share N', '--cpuset-cpus LIST'],
    ...['--cpuset-mems LIST', '--cpu-idle 0|1', '--memory BYTES', '--memory-reservation BYTES'],
    ...['--memory-swap BYTES', '--pids-limit N', '--l3-cache-schema SCHEMA'],
    '--mem-bw-schema SCHEMA',
  ],
};

for (const verb of verbs) {
  t.test(`help of ${verb}`, async (t) => {
    const { stdout, stderr, status } = tare([verb, '--help']);
    t.equal(status, 0);
    t.equal(stderr, '');
    t.match(stdout, new RegExp(`^NAME:\n {3}tare ${verb} - `));
    t.strictSame(entriesOf(stdout, 'OPTIONS'), [...(options[verb] ?? []), '--help, -h']);
    t.equal(tare(['help', verb]).stdout, stdout);
    t.equal(tare([verb, '-h']).stdout, stdout);
  });
}

t.test('help and version go by the name that tare was called by', async (t) => {
  const other = join(directory, 'other');
  symlinkSync(cli, other);
  const all = call(other, ['--help']).stdout;
  t.match(all, /^NAME:\n {3}other - .*\n\nUSAGE:\n {3}other \[option/);
  t.match(
    call(other, ['kill', '-h']).stdout,
    /^NAME:\n {3}other kill - .*\n\nUSAGE:\n {3}other kill /,
  );
  t.match(call(other, ['--version']).stdout, /^other version \d/);
  t.equal(call(other, ['bogus']).error, "No help topic for 'bogus', see other help");
});

t.test('version', async (t) => {
  const { version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  for (const flag of ['--version', '-v']) {
    const { stdout, status } = tare([flag]);
    t.match(stdout, new RegExp(`^tare version ${version.replaceAll('.', '\\.')}\n`));
    t.equal(status, 0);
  }
});

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

t.test('commands of the package on npm are told of, where they are not', async (t) => {
  for (const name of ['install', 'uninstall']) {
    const { stdout, status } = tare(['help', name]);
    t.equal(status, 0);
    t.match(stdout, `   npx tare ${name} [option ...]\n`);
    t.match(tare(['help']).stdout, new RegExp(`^ {3}${name} `, 'm'));
    const called = tare([name, '--configure', 'docker']);
    t.match(called, { status: 3, stdout: '' });
    t.match(called.error, `not of this program: npx tare ${name} (see tare help ${name})`);
    t.match(tare(['man', name]).error, `man: ${name}: no such command, see tare help ${name}`);
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

/**
 * The flags of runc's commands, from its sources: its man pages lack pidfd-socket of create and
 * run, all of kill, and kernel-memory of update. The type is that of the value; "hidden" flags are
 * not in help.
 */
const runc: Record<string, Record<string, string>> = {
  create: {
    ...{ bundle: 'text b', 'console-socket': 'text', 'pidfd-socket': 'text', 'pid-file': 'text' },
    ...{ 'no-pivot': 'switch', 'no-new-keyring': 'switch', 'preserve-fds': 'number' },
  },
  run: {
    ...{ bundle: 'text b', 'console-socket': 'text', 'pidfd-socket': 'text', 'pid-file': 'text' },
    ...{ 'no-pivot': 'switch', 'no-new-keyring': 'switch', 'preserve-fds': 'number' },
    ...{ detach: 'switch d', keep: 'switch', 'no-subreaper': 'switch' },
  },
  delete: { force: 'switch f' },
  kill: { all: 'hidden switch a' },
  list: { format: 'text f', quiet: 'switch q' },
  ps: { format: 'text f' },
  events: { interval: 'text', stats: 'switch' },
  exec: {
    ...{ 'console-socket': 'text', 'pidfd-socket': 'text', cwd: 'text', env: 'text e' },
    ...{ tty: 'switch t', user: 'text u', 'additional-gids': 'number g', process: 'text p' },
    ...{ detach: 'switch d', 'pid-file': 'text', 'process-label': 'text', apparmor: 'text' },
    ...{ 'no-new-privs': 'switch', cap: 'text c', 'preserve-fds': 'number', cgroup: 'text' },
    'ignore-paused': 'switch',
  },
  update: {
    ...{ resources: 'text r', 'blkio-weight': 'text', 'cpu-period': 'text', 'cpu-quota': 'text' },
    ...{ 'cpu-burst': 'text', 'cpu-share': 'text', 'cpu-rt-period': 'hidden text' },
    ...{ 'cpu-rt-runtime': 'hidden text', 'cpuset-cpus': 'text', 'cpuset-mems': 'text' },
    ...{ 'cpu-idle': 'text', memory: 'text', 'memory-reservation': 'text', 'memory-swap': 'text' },
    ...{ 'pids-limit': 'text', 'l3-cache-schema': 'text', 'mem-bw-schema': 'text' },
    ...{ 'kernel-memory': 'hidden text', 'kernel-memory-tcp': 'hidden text' },
  },
  spec: { bundle: 'text b', rootless: 'switch' },
  checkpoint: {
    ...{ 'image-path': 'text', 'work-path': 'text', 'parent-path': 'text' },
    ...{ 'leave-running': 'switch', 'tcp-established': 'switch', 'tcp-skip-in-flight': 'switch' },
    ...{ 'link-remap': 'switch', 'ext-unix-sk': 'switch', 'shell-job': 'switch' },
    ...{ 'lazy-pages': 'switch', 'status-fd': 'number', 'page-server': 'text' },
    ...{ 'file-locks': 'switch', 'pre-dump': 'switch', 'manage-cgroups-mode': 'text' },
    ...{ 'empty-ns': 'text', 'auto-dedup': 'switch' },
  },
  restore: {
    ...{ 'console-socket': 'text', 'image-path': 'text', 'work-path': 'text' },
    ...{ 'tcp-established': 'switch', 'ext-unix-sk': 'switch', 'shell-job': 'switch' },
    ...{ 'file-locks': 'switch', 'manage-cgroups-mode': 'text', bundle: 'text b' },
    ...{ detach: 'switch d', 'pid-file': 'text', 'no-subreaper': 'switch', 'no-pivot': 'switch' },
    ...{ 'empty-ns': 'text', 'auto-dedup': 'switch', 'lazy-pages': 'switch' },
    ...{ 'lsm-profile': 'text', 'lsm-mount-context': 'text' },
  },
  ...Object.fromEntries(
    ['start', 'state', 'pause', 'resume', 'features'].map((verb) => [verb, {}]),
  ),
};

for (const [verb, flags] of Object.entries(runc)) {
  t.test(`each flag that runc ${verb} has, in each form`, async (t) => {
    const { stdout } = tare([verb, '--help']);
    for (const [name, about] of Object.entries(flags)) {
      const [, hidden, type, letter] = /^(hidden )?(\w+)(?: (\w))?$/.exec(about) ?? [];
      t.equal(new RegExp(`^ {3}--${name}[ ,\n]`, 'm').test(stdout), hidden === undefined, name);
      // "--help" ends the parsing, but the words before it must be valid.
      const accepts = (...words: string[]): void => {
        const result = tare([verb, ...words, '--help']);
        t.match(result, { status: 0, stdout }, `${words.join(' ')}: ${result.error}`);
      };
      const names = [`--${name}`, `-${name}`, ...(letter === undefined ? [] : [`-${letter}`])];
      for (const spelled of names) {
        if (type === 'switch') {
          accepts(spelled);
          for (const value of ['true', 'false', '1', 'F']) accepts(`${spelled}=${value}`);
        } else {
          const value = type === 'number' ? '7' : '5s';
          accepts(spelled, value);
          accepts(`${spelled}=${value}`);
          accepts(spelled, value, spelled, value);
          // A value may look like a flag.
          if (type === 'text') accepts(spelled, '--help');
        }
      }
    }
  });
}

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

t.test('spec writes config.json with the mode of the umask, and never over another', async (t) => {
  const bundle = join(directory, 'spec');
  execFileSync('mkdir', [bundle]);
  t.strictSame(tare(['spec'], { cwd: bundle }), {
    status: 0,
    signal: null,
    stdout: '',
    stderr: '',
    error: '',
  });
  const path = join(bundle, 'config.json');
  const mode = 0o666 & ~process.umask();
  t.equal(statSync(path).mode & 0o777, mode);
  const before = readFileSync(path, 'utf8');
  const again = tare(['spec'], { cwd: bundle });
  t.equal(again.status, 1);
  t.equal(again.error, 'config.json exists: remove it first');
  t.equal(readFileSync(path, 'utf8'), before);
  const nowhere = tare(['spec', '-b', '/nowhere']);
  t.equal(nowhere.status, 1);
  t.equal(nowhere.error, '/nowhere/config.json: open: ENOENT (No such file or directory)');
});

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
