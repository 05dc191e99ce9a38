/**
 * run() makes no file with a set-id mode, wherever it can write: on the host such a program runs
 * with its owner's rights.
 */
import { staticProgram, Sandbox } from '../support/tare.js';
import { failure, skipReason } from '../support/containers.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { chmodSync, copyFileSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, type RunOptions } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };
const here = -100;

/** Calls that make a file with a mode, or change the mode of a file named F. */
const making: Record<string, (mode: string) => string> = {
  chmod: (mode) => `chmod F ${mode}`,
  fchmod: (mode) => `fchmod fd:F ${mode}`,
  fchmodat: (mode) => `fchmodat ${here} F ${mode}`,
  fchmodat2: (mode) => `fchmodat2 ${here} F ${mode} 0`,
  mkdir: (mode) => `mkdir NEW ${mode}`,
  mkdirat: (mode) => `mkdirat ${here} NEW ${mode}`,
  mknod: (mode) => `mknod NEW ${mode.replace('0', '010')} 0`,
  mknodat: (mode) => `mknodat ${here} NEW ${mode.replace('0', '010')} 0`,
  creat: (mode) => `creat NEW ${mode}`,
  open: (mode) => `open NEW 0101 ${mode}`,
  openat: (mode) => `openat ${here} NEW 0101 ${mode}`,
  'open, unnamed': (mode) => `open . 020200002 ${mode}`,
  'openat, unnamed': (mode) => `openat ${here} . 020200002 ${mode}`,
};

interface Outcome {
  name: string;
  mode: string;
  result: string;
}

const modes = ['0755', '01755', '04755', '02755', '06711'];

/** Returns a script that makes the calls in `directory` and prints the result of each. */
function script(directory: string): string {
  const lines = Object.entries(making).flatMap(([name, call]) =>
    modes.map(
      (mode) =>
        `rm -rf NEW F; : >F; chmod 600 F; printf '%s' '${name}:${mode}:'; /calls ${call(mode)}`,
    ),
  );
  return `cd ${directory}; umask 0; ${lines.join('\n')}\nrm -rf NEW F`;
}

function outcomes(stdout: string): Outcome[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', mode = '', result = ''] = line.split(':');
      return { name, mode, result };
    })
    .filter(({ result }) => result !== 'absent');
}

const hasSetId = (mode: string): boolean => (parseInt(mode, 8) & 0o6000) !== 0;

/** Checks that set-id modes are refused and all others are not. */
function check(t: Test, stdout: string): void {
  const all = outcomes(stdout);
  t.ok(all.length >= 8 * modes.length, 'all calls were made');
  for (const { name, mode, result } of all) {
    // A kernel before 6.6 has no fchmodat2(2).
    const known = hasSetId(mode) ? ['EPERM'] : ['ok', ...(name === 'fchmodat2' ? ['ENOSYS'] : [])];
    t.ok(known.includes(result), `${name} ${mode}: ${result}`);
  }
}

function sharedDirectory(t: Test): {
  directory: string;
  options: Pick<RunOptions, 'root' | 'mounts'>;
  root: string;
} {
  const sandbox = new Sandbox(t);
  chmodSync(sandbox.directory, 0o711);
  const directory = join(sandbox.directory, 'shared');
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  const calls = { source: staticProgram('calls'), destination: '/calls' };
  return {
    directory,
    root: sandbox.root,
    options: {
      root: sandbox.root,
      mounts: [calls, { source: directory, destination: '/shared', writable: true }],
    },
  };
}

t.test('in a writable mount, as root', skip, async (t) => {
  const { options } = sharedDirectory(t);
  check(t, (await run(['sh', '-c', script('/shared')], options)).stdout);
});

t.test('no such file is seen outside', skip, async (t) => {
  const { directory, options } = sharedDirectory(t);
  const refused = await run(['sh', '-c', 'cp /usr/bin/id /shared/id; chmod 6755 /shared/id'], {
    ...options,
    reject: false,
  });
  t.match(refused.stderr, /Operation not permitted/);
  t.equal(lstatSync(join(directory, 'id')).mode & 0o6000, 0);
});

t.test('what has its mode in memory is not there', skip, async (t) => {
  const { options } = sharedDirectory(t);
  const call = `/calls openat2 ${here} /shared/new how:0101:04755 24; ls /shared`;
  t.equal((await run(['sh', '-c', call], options)).stdout, 'ENOSYS\n');
  const rings = '/calls io_uring_setup 1 zeros';
  t.not((await run(['sh', '-c', rings], options)).stdout, 'ok\n');
});

t.test('what opens a file reads no mode', skip, async (t) => {
  const { options } = sharedDirectory(t);
  const calls = [
    `/calls openat ${here} /etc/passwd 0 0xffffffffffffffff`,
    '/calls open /etc/passwd 0 04755',
    `/calls openat ${here} /shared 0200000 06000`,
  ];
  const { stdout } = await run(['sh', '-c', calls.join(';')], options);
  t.strictSame(stdout.replaceAll('absent', 'ok'), 'ok\n'.repeat(3));
});

t.test('without the list of system calls', skip, async (t) => {
  const { options, directory } = sharedDirectory(t);
  const unconfined = { ...options, seccomp: 'unconfined' } as const;
  check(t, (await run(['sh', '-c', script('/shared')], unconfined)).stdout);
  const hidden = `/calls openat2 ${here} /shared/new how:0101:04755 24; /calls io_uring_setup 1 zeros`;
  t.equal((await run(['sh', '-c', hidden], unconfined)).stdout, 'ENOSYS\nENOSYS\n');
  t.equal((await run(['unshare', '-U', 'true'], unconfined)).exitCode, 0);
  // Without a writable mount of the host there is no filter.
  const mounts = [{ source: staticProgram('calls'), destination: '/calls' }];
  const nowhere = await run(['grep', 'Seccomp:', '/proc/self/status'], { ...unconfined, mounts });
  t.equal(nowhere.stdout, 'Seccomp:\t0\n');
  // Below an `ro` mount another mount can be writable; `rro` applies to all of them.
  for (const [word, mode] of [
    ['ro', 2],
    ['rro', 0],
  ] as const) {
    const bind = { type: 'bind', source: directory, destination: '/bound' };
    const bound = { ...unconfined, mounts: [{ ...bind, options: ['rbind', word] }] };
    const seen = await run(['grep', 'Seccomp:', '/proc/self/status'], bound);
    t.equal(seen.stdout, `Seccomp:\t${mode}\n`, word);
  }
  t.strictSame(readdirSync(directory), []);
});

t.test('as an ordinary user', skip, (t) => {
  const sandbox = new Sandbox(t);
  const project = new ProjectOfUser(sandbox);
  const calls = join(project.user.directory, 'calls');
  copyFileSync(staticProgram('calls'), calls);
  const done = project.run(`
    import { run } from 'tare';
    import { mkdirSync } from 'node:fs';
    const shared = ${JSON.stringify(join(project.user.directory, 'shared'))};
    mkdirSync(shared);
    const mounts = [
      { source: ${JSON.stringify(calls)}, destination: '/calls' },
      { source: shared, destination: '/shared', writable: true },
    ];
    const script = ${JSON.stringify(script('/shared'))};
    process.stdout.write((await run(['sh', '-c', script], { mounts })).stdout);
  `);
  t.strictSame([done.status, done.stderr], [0, '']);
  check(t, done.stdout);
  t.end();
});

t.test('a root that can be written to, without the list', skip, async (t) => {
  const { root, directory } = sharedDirectory(t);
  const rootfs = join(directory, 'rootfs');
  for (const name of ['bin', 'proc', 'dev', 'sys', 'tmp', 'run', 'own']) {
    mkdirSync(join(rootfs, name), { recursive: true });
  }
  copyFileSync(staticProgram('calls'), join(rootfs, 'bin/calls'));
  writeFileSync(join(rootfs, 'own/f'), '');
  chmodSync(join(rootfs, 'own'), 0o777);
  chmodSync(join(rootfs, 'own/f'), 0o666);
  const options: RunOptions = { root, rootfs, readonly: false, seccomp: 'unconfined' };
  const done = run(['/bin/calls', 'openat', `${here}`, '/own/new', '0101', '04755'], options);
  t.equal((await done).stdout, 'EPERM\n');
  t.strictSame(readdirSync(join(rootfs, 'own')), ['f']);
  t.match(await failure(run(['/absent'], options)), { code: 'ERR_TARE_COMMAND_NOT_FOUND' });
});

t.test('a file capability is not set on a file of the host', skip, async (t) => {
  const { root, options, directory } = sharedDirectory(t);
  const capabilities = ['CAP_SETFCAP'];
  const rootfs = join(directory, 'rootfs');
  for (const [given, what] of [
    [options, 'a writable mount'],
    [{ root, rootfs, readonly: false }, 'a writable root'],
  ] as [RunOptions, string][]) {
    t.match(
      await failure(run(['true'], { ...given, capabilities })),
      { code: 'ERR_TARE_INVALID_ARGUMENT', message: /^capabilities: CAP_SETFCAP: .*read-only$/ },
      what,
    );
  }
  const readOnly = await run(['true'], { root, capabilities });
  t.equal(readOnly.exitCode, 0, 'where no file of the host can be changed');
});
