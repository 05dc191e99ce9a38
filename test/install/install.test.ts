/** `tare install` and `tare uninstall`: the installed program. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname } from 'node:path';
import t from 'tap';
import { call } from '../support/tare.js';
import { Machine, cli, place, program } from '../support/installation.js';

t.test('installed, once more, and taken back', async (t) => {
  const machine = new Machine(t);
  const { status, stdout, stderr } = machine.tare('install');
  t.strictSame([status, stderr], [0, '']);
  t.ok(readFileSync(machine.path(place)).equals(readFileSync(cli)), 'it is the command line');
  t.equal(statSync(machine.path(place)).mode & 0o7777, 0o755);
  t.match(stdout, `${machine.path(place)}: written`);
  for (const [engine, words] of Object.entries({
    containerd: `BinaryName = "${place}"`,
    podman: `tare = ["${place}"]`,
    docker: `"path": "${place}"`,
    'cri-o': `runtime_path = "${place}"`,
  })) {
    t.match(stdout, `\n${engine}: `);
    t.match(stdout, words, 'what it is to be told');
  }
  t.strictSame([...machine.files().keys()], [place], 'nothing else is there');
  const before = machine.files();
  t.match(machine.tare('install').stdout, 'is as it should be');
  t.strictSame(machine.files(), before);
  chmodSync(machine.path(place), 0o600);
  t.equal(machine.tare('install').status, 0);
  t.equal(statSync(machine.path(place)).mode & 0o7777, 0o755, 'and can be executed again');
  t.match(machine.tare('uninstall', '--dry-run'), { status: 0, stdout: 'would be removed' });
  t.equal(machine.files().size, 1);
  t.match(machine.tare('uninstall'), { status: 0, stdout: `${machine.path(place)}: removed` });
  t.equal(machine.files().size, 0);
  t.match(machine.tare('uninstall'), { status: 0, stdout: 'there is nothing to be taken back' });
});

t.test('other places', async (t) => {
  const machine = new Machine(t);
  t.match(machine.tare('install', '--prefix', '/opt/x', '--dry-run').stdout, 'would be written');
  t.equal(machine.files().size, 0, 'nothing is written');
  machine.tare('install', '--prefix', '/opt/x');
  machine.tare('install', '--destination', '/usr/bin/other');
  t.strictSame([...machine.files().keys()].sort(), ['/opt/x/sbin/tare', '/usr/bin/other']);
  t.match(call(machine.path('/usr/bin/other'), ['--version']).stdout, /^other version /);
  machine.tare('uninstall', '--destination', '/usr/bin/other');
  t.strictSame([...machine.files().keys()], ['/opt/x/sbin/tare']);
});

t.test('manual pages and completions', async (t) => {
  const machine = new Machine(t);
  const share = '/usr/local/share';
  t.match(machine.tare('install', '--dry-run').stdout, /\d manual pages .* would be written/);
  t.equal(machine.documentation().size, 0);
  t.match(machine.tare('install').stdout, `${machine.path(share)}: `);
  const commands = call(cli, ['--help']).stdout.split('COMMANDS:\n')[1]?.split('\n\n')[0] ?? '';
  const verbs = commands.match(/^ {3}[a-z]+ {2,}/gm) ?? [];
  const pages = verbs.map((verb) => `${share}/man/man8/tare-${verb.trim()}.8`);
  t.strictSame(
    [...machine.documentation().keys()].sort(),
    [
      ...[...pages, `${share}/man/man8/tare.8`, `${share}/bash-completion/completions/tare`],
      ...[`${share}/zsh/site-functions/_tare`, `${share}/fish/vendor_completions.d/tare.fish`],
    ].sort(),
  );
  t.equal(machine.read(`${share}/man/man8/tare-run.8`), call(cli, ['man', 'run']).stdout);
  t.equal(statSync(machine.path(pages[0] ?? '')).mode & 0o7777, 0o644);
  const before = machine.documentation();
  t.notMatch(machine.tare('install').stdout, 'manual pages');
  t.strictSame(machine.documentation(), before, 'twice is once');
  machine.write(pages[0] ?? '', 'Of another program.\n');
  const refused = machine.tare('install');
  t.match(refused, { status: 1, stderr: `${machine.path(pages[0] ?? '')}: is another program's` });
  t.equal(machine.tare('install', '--no-manual').status, 0);
  machine.tare('uninstall');
  t.strictSame([...machine.documentation().keys()], pages.slice(0, 1), 'what is not ours stays');
});

t.test('a running process keeps the old program', async (t) => {
  const machine = new Machine(t);
  const old = machine.path(place);
  mkdirSync(dirname(old), { recursive: true });
  // An older version, as far as the installer can tell: it looks for this text in the file.
  copyFileSync('/bin/busybox', old);
  appendFileSync(old, 'tare.version');
  const running = spawn(old, ['1000'], { argv0: 'sleep' });
  t.teardown(() => running.kill('SIGKILL'));
  await once(running, 'spawn');
  const inode = statSync(old).ino;
  t.strictSame(machine.tare('install').stderr, '');
  t.not(statSync(old).ino, inode, 'it is another file');
  t.equal(readlinkSync(`/proc/${running.pid}/exe`), `${old} (deleted)`);
  t.ok(readFileSync(old).equals(readFileSync(cli)));
  t.strictSame([...machine.files().keys()], [place], 'no temporary file stays');
});

t.test('another program there', async (t) => {
  const machine = new Machine(t);
  machine.write(place, '#!/bin/sh\n');
  for (const verb of ['install', 'uninstall']) {
    const { status, stderr } = machine.tare(verb);
    t.equal(status, 1);
    t.match(stderr, `tare ${verb}: ${machine.path(place)}: is another program`);
    t.match(stderr, '--force');
  }
  t.equal(machine.read(place), '#!/bin/sh\n');
  t.equal(machine.tare('install', '--force').status, 0);
  t.ok(readFileSync(machine.path(place)).equals(readFileSync(cli)));
});

t.test('a link stays one, and none leads out of another root', async (t) => {
  const machine = new Machine(t);
  const outside = new Machine(t);
  machine.write('/opt/real', 'tare.version');
  mkdirSync(dirname(machine.path(place)), { recursive: true });
  symlinkSync('../../../opt/real', machine.path(place));
  t.equal(machine.tare('install').status, 0);
  t.equal(readlinkSync(machine.path(place)), '../../../opt/real');
  t.ok(readFileSync(machine.path('/opt/real')).equals(readFileSync(cli)));
  outside.write('/daemon.json', '{}');
  mkdirSync(machine.path('/etc/docker'), { recursive: true });
  symlinkSync(outside.path('/daemon.json'), machine.path('/etc/docker/daemon.json'));
  const { status, stderr } = machine.tare('install', '--configure', 'docker');
  t.equal(status, 1);
  t.match(stderr, 'a link leads out of');
  t.equal(outside.read('/daemon.json'), '{}');
});

t.test('without the rights', async (t) => {
  const machine = new Machine(t);
  const sbin = dirname(machine.path(place));
  mkdirSync(sbin, { recursive: true });
  const words = [program, 'install', '--root-directory', machine.directory];
  chownSync(sbin, 54321, 54321);
  const without = ['--bounding-set=-all', '--inh-caps=-all', process.execPath, ...words];
  const denied = call('setpriv', without);
  t.equal(denied.status, 1);
  t.equal(
    denied.stderr,
    `tare install: ${machine.path(place)}: permission denied; run it as root (sudo)\n`,
  );
  const script = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"`;
  const namespace = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', sbin];
  const readOnly = call('unshare', [...namespace, process.execPath, ...words]);
  t.equal(readOnly.status, 1);
  t.match(readOnly.stderr, 'the file system is read-only; choose another directory');
  t.equal(machine.files().size, 0);
});

t.test('what makes no sense is refused before anything is done', async (t) => {
  const machine = new Machine(t);
  for (const [words, message] of [
    [['--nosuchflag'], '--nosuchflag'],
    [['argument'], 'argument'],
    [['--prefix', 'relative'], '--prefix relative: must be an absolute path'],
    [['--destination', 'x'], '--destination x: must be an absolute path'],
    [
      ['--configure', 'lxc'],
      '--configure lxc: unknown engine; use one of containerd, podman, docker, cri-o',
    ],
    [['--name', '../x'], '--name: invalid name "../x"; use letters'],
    [['--default'], '--default: no engine given;'],
    [['--default', '--configure', 'containerd'], 'RuntimeClass'],
  ] as const) {
    const { status, stdout, stderr } = machine.tare('install', ...words);
    t.strictSame([status, stdout], [1, ''], words.join(' '));
    t.match(stderr, /^tare install: /);
    t.match(stderr, message);
  }
  t.equal(machine.files().size, 0);
  for (const verb of ['install', 'uninstall']) {
    t.match(machine.tare(verb, '--help'), { status: 0, stdout: /^Usage: tare install/ });
    const help = call(process.execPath, [program, 'help', verb]);
    t.match(help, { status: 0, stdout: /^Usage: tare install/ }, 'also as help VERB');
  }
});
