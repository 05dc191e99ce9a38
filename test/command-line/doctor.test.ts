/**
 * `doctor` where a requirement is really missing: it names the requirement, and its status is that
 * of a start.
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Diagnosis, asJson, type Finding } from '../support/doctor.js';
import { OrdinaryUser, uid } from '../support/ordinary-user.js';
import {
  Sandbox,
  call,
  cli,
  staticCli,
  skipReason,
  type Config,
  type Result,
} from '../support/tare.js';
import { allowTime } from '../support/timeout.js';

const page = readFileSync(join(import.meta.dirname, '../../docs/doctor.md'), 'utf8');

/** The rows of the page's table of findings, by name. */
const documented = new Map(
  [...page.matchAll(/^\| ([a-z-]+) \| `([\w-]+)` \|([^|]*)\|/gm)].map(
    ([, group, name, required]) => [name!, { group: group!, required: required!.trim() }],
  ),
);

/** Checks that the form and the words are those that docs/doctor.md promises. */
function checkForm(t: Test, { examination, result }: Diagnosis): void {
  const keys = [...page.matchAll(/^\| `(findings\[\]\.)?(\w+)` \|/gm)];
  const named = (part: string) =>
    keys.filter(([, of]) => (of ?? '') === part).map(([, , key]) => key);
  t.strictSame(Object.keys(examination), named('').slice(0, 4));
  const caller = examination.rootless ? 'ordinary' : 'root';
  for (const finding of examination.findings) {
    t.strictSame(Object.keys(finding), named('findings[].'), finding.name);
    const row = documented.get(finding.name);
    t.equal(row?.group, finding.group, `${finding.name} is on the page`);
    t.equal(row?.required.split(', ').includes(caller), finding.required, finding.name);
    t.ok(['ok', 'limited', 'missing'].includes(finding.status));
    t.equal(finding.remedy === '', finding.status === 'ok', `${finding.name}: ${finding.remedy}`);
    if (finding.status !== 'ok') t.not(finding.found, '', finding.name);
    t.not(finding.neededFor, '', finding.name);
  }
  const names = examination.findings.map(({ name }) => name);
  t.strictSame(
    names,
    [...documented.keys()].filter((name) => names.includes(name)),
    'in the order of the page',
  );
  t.equal(examination.canStart, result.status === 0);
}

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  allowTime(t, 120_000);
  const sandbox = new Sandbox(t);
  const user = new OrdinaryUser(sandbox);
  let starts = 0;

  /** Runs doctor and a start, both through `wrapper`, and checks that they agree. */
  const agree = (t: Test, bundle: string, wrapper: string[], what: string): Diagnosis => {
    const [program = cli, ...args] = [...wrapper, cli, '--root', sandbox.root];
    const diagnosis = new Diagnosis(call(program, [...args, ...asJson]));
    const run = call(program, [...args, 'run', '--bundle', bundle, sandbox.id(`s${starts++}`)]);
    const lacks = diagnosis.lacks.join(', ');
    t.equal(diagnosis.result.status, run.status === 0 ? 0 : 1, `${what}: ${lacks} ${run.stderr}`);
    t.equal(diagnosis.examination.canStart, run.status === 0, what);
    return diagnosis;
  };

  const ordinaryStart = (t: Test, ...global: string[]): Diagnosis => {
    const diagnosis = new Diagnosis(user.tare(...global, ...asJson));
    const bundle = user.bundle(['true']);
    const run = user.tare(...global, 'run', '--bundle', bundle, sandbox.id(`s${starts++}`));
    t.equal(diagnosis.result.status, run.status === 0 ? 0 : 1, run.stderr);
    return diagnosis;
  };

  sandbox.test('root', async (t) => {
    const diagnosis = agree(t, sandbox.bundle(['true']), [], 'as it is');
    t.strictSame(diagnosis.lacks, []);
    t.equal(diagnosis.examination.rootless, false);
    t.equal(diagnosis.examination.stateRoot, sandbox.root);
    checkForm(t, diagnosis);
  });

  sandbox.test('as text: what is wrong, each with its remedy', async (t) => {
    const { stdout, status } = sandbox.must(['doctor']);
    t.equal(status, 0);
    const { findings } = new Diagnosis(sandbox.tare([...asJson, '--all'])).examination;
    const wrong = findings.filter(({ status }) => status !== 'ok');
    const [told = '', closing = ''] = wrong.length > 0 ? stdout.split('\n\n') : ['', stdout];
    const lines = told.split('\n');
    t.equal(lines.length, Math.max(2 * wrong.length, 1), 'two lines each');
    for (const { name, status, found, neededFor, remedy } of wrong) {
      const at = lines.findIndex((line) => line.startsWith(`  ${status.padEnd(9)}${name}: `));
      t.equal(lines[at], `  ${status.padEnd(9)}${name}: ${found} (for ${neededFor})`);
      t.equal(lines[at + 1], `           remedy: ${remedy}`);
    }
    t.match(closing, /^This host has what a start of root's containers needs.*\n/);
    const ok = findings.length - wrong.length;
    t.match(
      closing,
      new RegExp(`\n(The other|All) ${ok} findings are ok; tare doctor --all shows them\\.\n$`),
    );
  });

  sandbox.test('as text: what containers cannot be started without comes first', async (t) => {
    const absent = ['-m', '--propagation', 'private', 'sh', '-c'];
    const script = `mount -t tmpfs none /run; exec ${cli} --systemd-cgroup doctor`;
    const { stdout, status } = call('unshare', [...absent, script]);
    t.equal(status, 1);
    t.match(stdout, /^ {2}missing {2}systemd: .*ENOENT.* \(required for .*\)\n {11}remedy: /);
    t.match(
      stdout,
      /\n\nThis host cannot start root's containers; it lacks: systemd\nThe other \d+ findings are ok/,
    );
  });

  sandbox.test('as text: all of it', async (t) => {
    const { stdout, status } = sandbox.must(['doctor', '--all']);
    t.equal(status, 0);
    t.notMatch(stdout, '\x1b', 'no colours but on a terminal');
    t.match(stdout, /^kernel\n {2}ok {7}procfs +\/proc\n {2}ok {7}clone3 /);
    t.match(stdout, /\n\nThis host has what a start of root's containers needs[^\n]*\n$/);
    const typed = `stty rows 24 cols 80; TERM=xterm ${cli} doctor --all`;
    const script = ['-qec', typed, '/dev/null'];
    t.match(call('script', script).stdout, '\x1b[32mok', 'colours on a terminal');
    const plain = ['-qec', `export NO_COLOR=1; ${typed}`, '/dev/null'];
    t.notMatch(call('script', plain).stdout, '\x1b');
  });

  sandbox.test('each capability taken away', async (t) => {
    const bundle = sandbox.bundle(['true']);
    const mask = BigInt(
      `0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]}`,
    );
    const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
    const names = new Set<string>();
    for (let cap = 0; cap <= last; cap++) {
      if (!((mask >> BigInt(cap)) & 1n)) continue;
      const drop = ['setpriv', `--bounding-set=-cap_${cap}`, `--inh-caps=-cap_${cap}`];
      const { lacks } = agree(t, bundle, drop, `capability ${cap}`);
      lacks.forEach((name) => names.add(name));
    }
    t.ok(names.has('CAP_SYS_ADMIN') && names.has('CAP_MKNOD'));
  });

  sandbox.test('a state root that cannot be had', async (t) => {
    const ask = (root: string, before = ':'): { finding: Finding; status: number | null } => {
      const script = `set -e; ${before}; exec ${cli} --root ${root} ${asJson.join(' ')}`;
      const result = call('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script]);
      return { finding: new Diagnosis(result).of('state-root'), status: result.status };
    };
    const at = join(sandbox.directory, 'elsewhere');
    mkdirSync(at);
    const refused = ask('/proc/tare');
    t.match(refused, { status: 1, finding: { status: 'missing', remedy: '--root DIR' } });
    const readOnly = ask(`${at}/tare`, `mount -t tmpfs -o ro none ${at}`);
    t.match(readOnly, { status: 1, finding: { status: 'missing', found: 'EROFS' } });
    const fill = `mount -t tmpfs -o size=64k none ${at}; cat /dev/zero >${at}/full 2>/dev/null || :`;
    const full = ask(at, fill);
    t.match(full, { status: 1, finding: { status: 'missing', found: '0 bytes left' } });
    const inodes = ask(at, `mount -t tmpfs -o nr_inodes=1 none ${at}`);
    t.match(inodes, { status: 1, finding: { status: 'missing', found: 'room for 0 files' } });
    const file = ask('/etc/passwd/x');
    t.match(file, { status: 1, finding: { status: 'missing' } });
    t.match(ask(join(at, 'new/one')), { status: 0, finding: { status: 'ok' } });
    t.notOk(existsSync(join(at, 'new')), 'it is not made');
  });

  sandbox.test('programs in memory that may not be executed', async (t) => {
    const script =
      'mount -t proc proc /proc; echo 2 >/proc/sys/vm/memfd_noexec; shift 0; exec "$@"';
    const wrapper = ['unshare', '--mount', '--pid', '--fork', 'sh', '-c', script, 'sh'];
    const { status, remedy } = agree(t, sandbox.bundle(['true']), wrapper, 'memfd_noexec').of(
      'memfd',
    );
    t.equal(status, 'missing');
    t.match(remedy, 'sysctl -w vm.memfd_noexec=1');
  });

  /** Runs doctor as the program of a container; `edit` changes the container's config. */
  const inContainer = (name: string, edit: (config: Config) => void): Diagnosis => {
    const bundle = sandbox.bundle(['/bin/tare', ...asJson], (config) => {
      const all = JSON.parse(sandbox.must(['features']).stdout) as {
        linux: { capabilities: string[] };
      };
      const held = all.linux.capabilities.filter((cap) => cap !== 'CAP_SYS_RESOURCE');
      config.process.capabilities = { bounding: held, effective: held, permitted: held };
      config.process['noNewPrivileges'] = false;
      edit(config);
    });
    copyFileSync(staticCli, join(bundle, 'rootfs/bin/tare'));
    const result = sandbox.tare(['run', '--bundle', bundle, sandbox.id(name)]);
    return new Diagnosis(result);
  };

  sandbox.test('system calls that a filter takes away', async (t) => {
    const diagnosis = inContainer('filtered', (config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          { names: ['openat2'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
          { names: ['keyctl'], action: 'SCMP_ACT_KILL_PROCESS' },
          { names: ['close_range'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
        ],
      };
    });
    t.equal(diagnosis.result.status, 1);
    t.match(diagnosis.of('openat2'), { status: 'missing', required: true, found: 'ENOSYS' });
    t.match(diagnosis.of('close-range'), { status: 'missing', found: 'EPERM' });
    t.match(diagnosis.of('session-keyring'), { status: 'missing', found: 'killed by signal 31' });
    for (const name of ['openat2', 'close-range', 'session-keyring']) {
      t.match(diagnosis.of(name).remedy, 'seccomp=unconfined', name);
    }
    t.equal(diagnosis.of('clone3').status, 'ok');
    t.equal(diagnosis.of('unfiltered').status, 'limited');
  });

  sandbox.test('a container in a container', async (t) => {
    const diagnosis = inContainer('nested', () => undefined);
    t.match(diagnosis.of('cgroup'), { status: 'missing', found: 'EROFS' });
    t.match(diagnosis.of('criu'), { status: 'missing', remedy: 'apt-get install criu' });
    t.equal(diagnosis.result.status, 1);
  });

  sandbox.test('an ordinary user', async (t) => {
    const diagnosis = ordinaryStart(t);
    t.strictSame(diagnosis.lacks, []);
    t.equal(diagnosis.examination.rootless, true);
    t.equal(diagnosis.examination.stateRoot, join(user.runtime, 'tare'));
    checkForm(t, diagnosis);
    t.match(diagnosis.of('subuid'), {
      status: 'missing',
      remedy: 'usermod --add-subuids 100000-165535 tare-test',
    });
    t.match(user.tare('doctor').stdout, "what a start of an ordinary user's containers needs");
    const closed = join(sandbox.directory, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const asked = user.run(['env', `PATH=${closed}`, user.program, ...asJson]);
    t.match(new Diagnosis(asked).of('criu'), { status: 'missing', found: 'not in PATH' });
  });

  const needsHelpers = existsSync('/usr/bin/newuidmap') ? {} : { skip: 'needs the package uidmap' };
  t.test('ranges of ids, and the programs that map them', needsHelpers, async (t) => {
    const ask = (): Diagnosis => new Diagnosis(user.tare(...asJson));
    user.ranges('700000:1000');
    t.match(ask().of('subgid'), { status: 'limited', found: '1000 ids from 700000' });
    user.ranges('700000:65536');
    for (const name of ['subuid', 'subgid', 'newuidmap', 'newgidmap']) {
      t.match(ask().of(name), { status: 'ok' }, name);
    }
    const found = (): Diagnosis => {
      const words = ['env', `PATH=${user.directory}`, join(user.directory, 'tare'), ...asJson];
      return new Diagnosis(user.run(words));
    };
    t.match(found().of('newuidmap'), {
      status: 'missing',
      found: 'not in PATH',
      remedy: 'apt-get install uidmap',
    });
    copyFileSync('/usr/bin/newuidmap', join(user.directory, 'newuidmap'));
    chmodSync(join(user.directory, 'newuidmap'), 0o755);
    t.match(found().of('newuidmap'), {
      status: 'limited',
      found: 'not setuid root',
      remedy: `chmod u+s ${user.directory}/newuidmap`,
    });
    const bound = user.run([
      ...['setpriv', '--no-new-privs', join(user.directory, 'tare')],
      ...asJson,
    ]);
    const held = new Diagnosis(bound);
    t.match(held.of('newgidmap'), { status: 'limited', found: 'no_new_privs' });
    t.match(held.of('new-privileges'), { status: 'limited' });
    // Ids that /etc/subuid grants and newuidmap refuses: the kernel does not have them here.
    user.ranges('4294967294:1000');
    t.match(ask().of('newuidmap'), { status: 'limited', found: 'it fails: newuidmap' });
    user.ranges('');
  });

  sandbox.test('no XDG_RUNTIME_DIR: the state is in a directory of the user', async (t) => {
    const { runtime } = user;
    user.runtime = '';
    const nowhere = ordinaryStart(t);
    t.strictSame(nowhere.lacks, []);
    t.match(nowhere.of('state-root'), { found: `/tmp/tare-${uid}` });
    t.match(nowhere.of('xdg-runtime-dir'), {
      status: 'missing',
      remedy: `XDG_RUNTIME_DIR=/run/user/${uid}`,
    });
    t.strictSame(ordinaryStart(t, '--root', join(user.directory, 'state')).lacks, []);
    user.runtime = runtime;
  });

  sandbox.test('no user namespaces', async (t) => {
    const script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"';
    const result = call('unshare', ['-Ur', 'sh', '-c', script, 'sh', cli, ...asJson]);
    t.match(new Diagnosis(result).of('user-namespaces'), {
      status: 'missing',
      remedy: 'set the sysctl user.max_user_namespaces, which is 0,',
    });
  });

  sandbox.test('in a chroot', async (t) => {
    const rootfs = join(sandbox.bundle(['true']), 'rootfs');
    copyFileSync(staticCli, join(rootfs, 'bin/tare'));
    chmodSync(rootfs, 0o755);
    const script = `mount -t proc proc ${rootfs}/proc; mount -t sysfs sys ${rootfs}/sys
      exec chroot --userspec=${uid}:${uid} ${rootfs} /bin/tare --root /tmp/state "$@"`;
    const wrapper = ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh'];
    const diagnosis = new Diagnosis(call('unshare', [...wrapper, ...asJson]));
    t.match(diagnosis.of('user-namespaces'), {
      status: 'missing',
      found: 'EPERM',
      remedy: 'this process is in a chroot',
    });
    t.equal(diagnosis.result.status, 1);
  });

  sandbox.test('root in a chroot', async (t) => {
    const inner = sandbox.bundle(['true']);
    const rootfs = join(inner, 'rootfs');
    copyFileSync(staticCli, join(rootfs, 'bin/tare'));
    cpSync(sandbox.bundle(['true']), join(rootfs, 'bundle'), {
      recursive: true,
      verbatimSymlinks: true,
    });
    const ask = (mounts: string): { diagnosis: Diagnosis; status: number | null } => {
      const enter = (...args: string[]): Result => {
        const script = `${mounts}; exec chroot ${rootfs} /bin/tare --root /run/state "$@"`;
        const wrapper = ['-m', '--propagation', 'private', 'sh', '-ec', script, 'sh', ...args];
        return call('unshare', wrapper);
      };
      const id = sandbox.id(`s${starts++}`);
      const diagnosis = new Diagnosis(enter(...asJson));
      return { diagnosis, status: enter('run', '--bundle', '/bundle', id).status };
    };
    const bare = ask(':');
    t.match(bare.diagnosis.of('procfs'), { status: 'missing', remedy: 'mount -t proc proc /proc' });
    t.not(bare.status, 0);
    t.equal(bare.diagnosis.result.status, 1);
    const procfs = `mount -t proc proc ${rootfs}/proc`;
    const unmounted = ask(procfs);
    t.equal(unmounted.diagnosis.of('procfs').status, 'ok');
    t.match(unmounted.diagnosis.of('root-mount').remedy, 'mount --bind DIR DIR');
    t.strictSame(unmounted.diagnosis.lacks, ['root-mount']);
    t.strictSame([unmounted.diagnosis.result.status, unmounted.status], [1, 1]);
    const whole = ask(`mount --bind ${rootfs} ${rootfs}; ${procfs}`);
    t.match(whole.diagnosis.of('cgroup-v2'), { status: 'missing', required: false });
    t.strictSame([whole.diagnosis.lacks, whole.diagnosis.result.status, whole.status], [[], 0, 0]);
  });

  sandbox.test('systemd, where it is asked for', async (t) => {
    const script = `mount -t tmpfs none /run; exec "$@"`;
    const wrapper = ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', cli];
    const diagnosis = new Diagnosis(call('unshare', [...wrapper, '--systemd-cgroup', ...asJson]));
    t.match(diagnosis.of('systemd'), { status: 'missing', required: true, found: 'ENOENT' });
    t.strictSame(diagnosis.lacks, ['systemd']);
    t.equal(diagnosis.result.status, 1);
  });

  sandbox.test('nothing is changed', async (t) => {
    const rootfs = join(sandbox.bundle(['true']), 'rootfs');
    copyFileSync(staticCli, join(rootfs, 'bin/tare'));
    // Mounts below a shared mount propagate to its peers, as on a host with systemd.
    const script = `set -e
      mount --make-rshared /
      mount -t proc proc ${rootfs}/proc
      seen() { cat /proc/self/mountinfo; find /sys/fs/cgroup -name '*doctor*' 2>/dev/null || :; cat /proc/self/limits; }
      seen >$1/before
      ${cli} doctor >/dev/null
      chroot ${rootfs} /bin/tare --root /tmp/state doctor --all >$1/out || :
      grep -q 'ok  *mount-api' $1/out
      seen >$1/after
      test -z "$(cat /proc/self/task/*/children)"
      cmp $1/before $1/after`;
    const args = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', sandbox.directory];
    const { status, stderr } = call('unshare', args);
    t.strictSame([status, stderr], [0, '']);
  });
}
