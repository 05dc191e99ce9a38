/** help and version: they need no container and no privilege. */
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { call, cli, tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'help');

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
