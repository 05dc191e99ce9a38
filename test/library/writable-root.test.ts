/**
 * run() in a root file system that it writes to: root owns its files in the container and outside.
 */
import { Sandbox, makeRootfs, skipReason } from '../support/tare.js';
import { uid } from '../support/ordinary-user.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { run } from '../../lib/index.js';

const hasApt = existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg-deb');

/** Makes a root with Debian's package manager, its libraries, and a state without any package. */
function makeDebianRoot(rootfs: string): void {
  makeRootfs(rootfs);
  const programs = [
    ...['apt-get', 'apt-config', 'dpkg', 'dpkg-deb', 'dpkg-split', 'dpkg-query'].map(
      (name) => `/usr/bin/${name}`,
    ),
    ...['file', 'copy', 'store'].map((name) => `/usr/lib/apt/methods/${name}`),
    '/bin/tar',
    '/sbin/ldconfig',
  ];
  const libraries = execFileSync('ldd', programs, { encoding: 'utf8' }).match(
    /(?<= )\/\S+(?= \()|^\t\/\S+/gm,
  );
  for (const path of new Set([...programs, ...(libraries ?? [])].map((one) => one.trim()))) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    rmSync(join(rootfs, path), { force: true });
    copyFileSync(path, join(rootfs, path));
  }
  cpSync('/usr/share/dpkg', join(rootfs, 'usr/share/dpkg'), { recursive: true });
  for (const name of ['diff', 'start-stop-daemon'])
    symlinkSync('busybox', join(rootfs, 'bin', name));
  for (const path of [
    ...['var/lib/dpkg/info', 'var/lib/dpkg/updates', 'var/lib/apt/lists/partial', 'var/log/apt'],
    ...['var/cache/apt/archives/partial', 'etc/apt/apt.conf.d', 'etc/apt/preferences.d', 'repo'],
  ]) {
    mkdirSync(join(rootfs, path), { recursive: true });
  }
  const write = (path: string, text: string): void => writeFileSync(join(rootfs, path), text);
  write('var/lib/dpkg/status', '');
  write('etc/apt/sources.list', 'deb [trusted=yes] file:/repo ./\n');
  write(
    'etc/passwd',
    'root:x:0:0:root:/:/bin/sh\ngames:x:5:60::/:/bin/sh\n_apt:x:42:65534::/:/bin/sh\n',
  );
  write('etc/group', 'root:x:0:\ngames:x:60:\nnogroup:x:65534:\n');
}

/** Makes a package `hello` in a local repository. */
function makePackage(directory: string, repository: string): void {
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    writeFileSync(join(directory, path), text, { mode });
    chmodSync(join(directory, path), mode);
  };
  const control = [
    ...['Package: hello', 'Version: 1.0', 'Architecture: all', 'Maintainer: tare <tare@invalid>'],
    'Description: says hello',
  ];
  write('DEBIAN/control', `${control.join('\n')}\n`);
  write('DEBIAN/postinst', '#!/bin/sh\nset -e\nchown games:games /var/games/hello\n', 0o755);
  write('usr/bin/hello', '#!/bin/sh\necho hello, world\n', 0o755);
  write('var/games/hello', 'score\n');
  const name = 'hello_1.0_all.deb';
  const build = ['--root-owner-group', '--build', directory, join(repository, name)];
  execFileSync('dpkg-deb', build, { stdio: 'ignore' });
  const file = join(repository, name);
  const sum = execFileSync('sha256sum', [file], { encoding: 'utf8' }).split(' ')[0];
  const listed = [`Filename: ./${name}`, `Size: ${statSync(file).size}`, `SHA256: ${sum}`];
  writeFileSync(join(repository, 'Packages'), `${[...control, ...listed].join('\n')}\n`);
}

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  const root = sandbox.root;

  t.test("as root, in a directory of root's", async (t) => {
    const rootfs = join(sandbox.directory, 'plain');
    makeRootfs(rootfs);
    const script = 'id -u; echo text >/etc/made; mkdir /d; stat -c "%u %g" /etc/made /bin/busybox';
    const { stdout } = await run(['sh', '-c', script], { root, rootfs, readonly: false });
    t.equal(stdout, '0\n0 0\n0 0\n');
    t.equal(readFileSync(join(rootfs, 'etc/made'), 'utf8'), 'text\n');
    for (const path of ['etc/made', 'd']) t.equal(statSync(join(rootfs, path)).uid, 0, path);
    const again = await run(['cat', '/etc/made'], { root, rootfs });
    t.equal(again.stdout, 'text\n', 'read-only, the next time');
  });

  t.test('as an ordinary user, in a directory of that user', async (t) => {
    const project = new ProjectOfUser(sandbox);
    const rootfs = join(project.user.directory, 'rootfs');
    makeRootfs(rootfs);
    execFileSync('chown', ['-R', `${uid}:${uid}`, rootfs]);
    const { stdout, stderr } = project.run(`
      import { run } from 'tare';
      const options = { rootfs: ${JSON.stringify(rootfs)}, readonly: false };
      console.log((await run(['sh', '-c', 'echo text >/made; stat -c %u /made'], options)).stdout);`);
    t.strictSame([stdout, stderr], ['0\n\n', '']);
    t.equal(statSync(join(rootfs, 'made')).uid, uid);
  });

  t.test('apt-get install', { skip: !hasApt && 'needs apt and dpkg' }, async (t) => {
    const rootfs = join(sandbox.directory, 'debian');
    makeDebianRoot(rootfs);
    makePackage(join(sandbox.directory, 'package'), join(rootfs, 'repo'));
    const script =
      'apt-get -q update && apt-get -qy -o Dpkg::Use-Pty=0 install hello && hello && stat -c "%u:%g" /var/games/hello';
    const { stdout, stderr, exitCode } = await run(['sh', '-c', script], {
      root,
      rootfs,
      readonly: false,
      reject: false,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
      capabilities: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETUID', 'SETGID'].map(
        (name) => `CAP_${name}`,
      ),
    });
    t.equal(exitCode, 0, stdout + stderr);
    t.match(stdout, /\nhello, world\n5:60\n$/);
    t.match(statSync(join(rootfs, 'var/games/hello')), { uid: 5, gid: 60 });
    t.equal(statSync(join(rootfs, 'usr/bin/hello')).uid, 0);
  });
}
