/**
 * seccomp: the effect of a profile on system calls on the real kernel, and the cache of compiled
 * profiles.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { program as programOf } from '../support/build.js';

const isX86 = process.arch === 'x64';

interface Rule {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: { index: number; value: number; valueTwo?: number; op: string }[];
}
interface Profile {
  defaultAction?: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  flags?: string[];
  syscalls?: Rule[];
}

function write(t: Test, profile: Profile, name = 'config.json'): string {
  const path = join(t.testdirName, name);
  mkdirSync(t.testdirName, { recursive: true });
  const config = { ociVersion: '1.3.0', root: { path: 'rootfs' }, linux: { seccomp: profile } };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

function call(program: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(programOf(program), args);
  return { status, stdout, error: stderr.toString().trim() };
}

/** Returns the outcome of each call under the profile. */
function outcomes(t: Test, profile: Profile, calls: string[]): Record<string, string> {
  const { status, stdout, error } = call('seccomp', 'run', write(t, profile), ...calls);
  if (status !== 0) throw new Error(error);
  const lines = stdout.toString().trimEnd().split('\n');
  return Object.fromEntries(calls.map((name, index) => [name, lines[index] ?? '']));
}

function flagsOf(t: Test, profile: Profile): number {
  const { status, stdout, error } = call('seccomp', 'flags', write(t, profile), '');
  if (status !== 0) throw new Error(error);
  return Number(stdout);
}

/** Returns the error for a refused profile, or 'accepted'. */
function refusal(t: Test, profile: Profile): string {
  const { status, error } = call('seccomp', 'compile', write(t, profile), '');
  return status === 0 ? 'accepted' : error;
}

const allow = (...syscalls: Rule[]): Profile => ({ defaultAction: 'SCMP_ACT_ALLOW', syscalls });
const deny = (...syscalls: Rule[]): Profile => ({ defaultAction: 'SCMP_ACT_ERRNO', syscalls });
const rule = (action: string, ...names: string[]): Rule => ({ names, action });

t.test('actions', (t) => {
  const expected: Record<string, string> = {
    SCMP_ACT_ALLOW: 'ok',
    SCMP_ACT_LOG: 'ok',
    SCMP_ACT_ERRNO: 'EPERM',
    SCMP_ACT_TRAP: 'SIGSYS with 0',
    // There is no tracer.
    SCMP_ACT_TRACE: 'ENOSYS',
    SCMP_ACT_KILL: 'thread killed',
    SCMP_ACT_KILL_THREAD: 'thread killed',
    SCMP_ACT_KILL_PROCESS: 'process killed',
  };
  for (const [action, outcome] of Object.entries(expected)) {
    const inRule = {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 70,
      syscalls: [rule(action, 'getpid')],
    };
    t.strictSame(
      outcomes(t, inRule, ['native:getpid', 'native:sched_yield']),
      { 'native:getpid': outcome, 'native:sched_yield': 'ECOMM' },
      `${action} in a rule`,
    );
    t.equal(
      outcomes(t, { defaultAction: action, syscalls: [] }, ['native:getpid'])['native:getpid'],
      outcome,
      `${action} by default`,
    );
  }
  t.end();
});

t.test('errnoRet', (t) => {
  const profile = {
    ...deny(
      { names: ['getpid'], action: 'SCMP_ACT_ERRNO', errnoRet: 11 },
      rule('SCMP_ACT_ALLOW', 'getuid'),
    ),
    defaultErrnoRet: 70,
  };
  t.strictSame(outcomes(t, profile, ['native:getpid', 'native:sched_yield', 'native:getuid']), {
    'native:getpid': 'EAGAIN',
    'native:sched_yield': 'ECOMM',
    'native:getuid': 'ok',
  });
  const zero = { names: ['getpid'], action: 'SCMP_ACT_ERRNO', errnoRet: 0 };
  t.equal(outcomes(t, deny(zero), ['native:getpid'])['native:getpid'], 'ok', 'errno 0 is success');
  t.end();
});

t.test('operators, on 64 bits', (t) => {
  const big = 0x1_0000_0005;
  const matches: Record<string, number[]> = {
    SCMP_CMP_EQ: [big],
    SCMP_CMP_NE: [5, big - 1, big + 1, 2 * big],
    SCMP_CMP_LT: [5, big - 1],
    SCMP_CMP_LE: [5, big - 1, big],
    SCMP_CMP_GT: [big + 1, 2 * big],
    SCMP_CMP_GE: [big, big + 1, 2 * big],
  };
  const tried = [5, big - 1, big, big + 1, 2 * big];
  for (const [op, values] of Object.entries(matches)) {
    const only = {
      ...rule('SCMP_ACT_ERRNO', 'getpid'),
      args: [{ index: 1, value: big, op }],
    };
    t.strictSame(
      outcomes(
        t,
        allow(only),
        tried.map((value) => `native:getpid:0,${value}`),
      ),
      Object.fromEntries(
        tried.map((value) => [`native:getpid:0,${value}`, values.includes(value) ? 'EPERM' : 'ok']),
      ),
      op,
    );
  }
  const masked = {
    ...rule('SCMP_ACT_ERRNO', 'getpid'),
    args: [{ index: 5, value: 0x6, valueTwo: 0x2, op: 'SCMP_CMP_MASKED_EQ' }],
  };
  t.strictSame(
    outcomes(
      t,
      allow(masked),
      [2, 3, 4, 6, 10].map((v) => `native:getpid:0,0,0,0,0,${v}`),
    ),
    {
      'native:getpid:0,0,0,0,0,2': 'EPERM',
      'native:getpid:0,0,0,0,0,3': 'EPERM',
      'native:getpid:0,0,0,0,0,4': 'ok',
      'native:getpid:0,0,0,0,0,6': 'ok',
      'native:getpid:0,0,0,0,0,10': 'EPERM',
    },
    'SCMP_CMP_MASKED_EQ',
  );
  t.end();
});

t.test('several conditions', (t) => {
  const eq = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' });
  const calls = [
    'native:getpid:1,2',
    'native:getpid:1,3',
    'native:getpid:4,2',
    'native:getpid:4,3',
  ];
  const all = { ...rule('SCMP_ACT_ALLOW', 'getpid'), args: [eq(0, 1), eq(1, 2)] };
  t.strictSame(
    Object.values(outcomes(t, deny(all), calls)),
    ['ok', 'EPERM', 'EPERM', 'EPERM'],
    'on different arguments all must hold',
  );
  const any = { ...rule('SCMP_ACT_ALLOW', 'getpid'), args: [eq(0, 1), eq(0, 4), eq(1, 3)] };
  t.strictSame(
    Object.values(outcomes(t, deny(any), [...calls, 'native:getpid:5,5'])),
    ['ok', 'ok', 'ok', 'ok', 'EPERM'],
    'with one argument twice, any is enough',
  );
  const first = { ...rule('SCMP_ACT_ALLOW', 'getpid'), args: [eq(0, 1)] };
  const second = { ...rule('SCMP_ACT_ALLOW', 'getpid'), args: [eq(1, 2)] };
  t.strictSame(
    Object.values(outcomes(t, deny(first, second), calls)),
    ['ok', 'ok', 'ok', 'EPERM'],
    'of several rules any is enough',
  );
  t.end();
});

t.test('names', (t) => {
  const profile = deny(rule('SCMP_ACT_ALLOW', 'no_such_call', 'getpid', 'cacheflush'));
  t.equal(
    outcomes(t, profile, ['native:getpid'])['native:getpid'],
    'ok',
    'unknown ones are ignored',
  );
  const same = deny(rule('SCMP_ACT_ERRNO', 'getpid'), rule('SCMP_ACT_ALLOW', 'getuid'));
  t.equal(
    outcomes(t, same, ['native:getpid'])['native:getpid'],
    'EPERM',
    'a rule that does what the default does is left out',
  );
  // fchmodat2 and mseal are newer than libseccomp 2.5.4.
  const fresh = deny(rule('SCMP_ACT_ALLOW', 'fchmodat2', 'listmount'), {
    ...rule('SCMP_ACT_ALLOW', 'mseal'),
    args: [{ index: 2, value: 7, op: 'SCMP_CMP_EQ' }],
  });
  t.strictSame(
    outcomes(t, { ...fresh, defaultErrnoRet: 70 }, [
      'native:452:-1',
      'native:453',
      'native:462:1,1,7',
      'native:462:1,1,8',
      'native:463',
    ]),
    {
      'native:452:-1': kernelHas(6, 6) ? 'EFAULT' : 'ENOSYS',
      'native:453': 'ECOMM',
      'native:462:1,1,7': kernelHas(6, 10) ? 'EINVAL' : 'ENOSYS',
      'native:462:1,1,8': 'ECOMM',
      'native:463': 'ENOSYS',
    },
    'calls that libseccomp does not know are filtered as well',
  );
  t.end();
});

function kernelHas(major: number, minor: number): boolean {
  const [a = 0, b = 0] = readFileSync('/proc/sys/kernel/osrelease', 'utf8').split('.').map(Number);
  return a > major || (a === major && b >= minor);
}

t.test('calls newer than the profile', (t) => {
  const newest = 'native:439'; // faccessat2
  const newer = 'native:440'; // process_madvise, which every supported kernel has
  const at = (profile: Profile) =>
    Object.values(outcomes(t, profile, [newest, newer, 'native:4095']));
  const named = rule('SCMP_ACT_ALLOW', 'faccessat2');
  for (const action of ['ERRNO', 'TRAP', 'KILL', 'KILL_PROCESS']) {
    const profile = { defaultAction: `SCMP_ACT_${action}`, syscalls: [named] };
    t.strictSame(at(profile), ['EFAULT', 'ENOSYS', 'ENOSYS'], `ENOSYS though ${action} by default`);
  }
  const older = { defaultAction: 'SCMP_ACT_TRAP', syscalls: [rule('SCMP_ACT_ALLOW', 'getpid')] };
  t.equal(at(older)[0], 'ENOSYS', 'the newest call that is named counts');
  t.strictSame(
    at(allow(rule('SCMP_ACT_ERRNO', 'faccessat2'))),
    ['EPERM', 'EBADF', 'ENOSYS'],
    'not where the default lets calls through',
  );
  t.strictSame(at(deny()), ['EPERM', 'EPERM', 'EPERM'], 'not where nothing is named');
  t.end();
});

/** Returns why i386 calls cannot be tested, or false. */
function noI386(): string | false {
  if (!isX86) return 'written for the ABIs of x86-64';
  const i386 = { ...allow(), architectures: ['SCMP_ARCH_X86'] };
  const works = outcomes(t, i386, ['i386:getpid'])['i386:getpid'] === 'ok';
  return works ? false : 'this kernel executes no i386 calls';
}

t.test('architectures', { skip: noI386() }, (t) => {
  const x32 = 'native:0x40000027'; // getpid
  const calls = ['native:getpid', 'i386:getpid', 'i386:getppid', 'i386:600', x32];
  const profile = deny(rule('SCMP_ACT_ALLOW', 'getpid', 'clone3'));
  t.strictSame(
    outcomes(t, { ...profile, architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'] }, calls),
    {
      'native:getpid': 'ok',
      'i386:getpid': 'ok',
      'i386:getppid': 'EPERM',
      'i386:600': 'ENOSYS',
      [x32]: 'thread killed',
    },
    'each has its own numbers',
  );
  t.strictSame(
    outcomes(t, { ...profile, architectures: ['SCMP_ARCH_S390X'] }, calls),
    {
      'native:getpid': 'ok',
      'i386:getpid': 'thread killed',
      'i386:getppid': 'thread killed',
      'i386:600': 'thread killed',
      [x32]: 'thread killed',
    },
    'those not listed are killed, the native one is always there',
  );
  const withX32 = { ...allow(rule('SCMP_ACT_ERRNO', 'getpid')), architectures: ['SCMP_ARCH_X32'] };
  t.equal(outcomes(t, withX32, [x32])[x32], 'EPERM', 'x32');

  // 102 is socketcall, where socket has the number 1; 359 is socket.
  const multiplexed = {
    ...allow(rule('SCMP_ACT_ERRNO', 'socket')),
    architectures: ['SCMP_ARCH_X86'],
  };
  t.strictSame(
    Object.values(outcomes(t, multiplexed, ['i386:102:1,0', 'i386:102:2,0', 'i386:359:1,1,0'])),
    ['EPERM', 'EFAULT', 'EPERM'],
    'socket is filtered within socketcall',
  );
  const fresh = {
    ...deny(rule('SCMP_ACT_ALLOW', 'fchmodat2'), {
      ...rule('SCMP_ACT_ALLOW', 'mseal'),
      args: [{ index: 2, value: 7, op: 'SCMP_CMP_EQ' }],
    }),
    defaultErrnoRet: 70,
    architectures: ['SCMP_ARCH_X86'],
  };
  t.strictSame(
    Object.values(outcomes(t, fresh, ['i386:452:-1', 'i386:451', 'i386:462:1,1,7'])),
    [kernelHas(6, 6) ? 'EFAULT' : 'ENOSYS', 'ECOMM', 'ENOSYS'],
    'calls that libseccomp does not know; under a condition they are not there',
  );
  t.end();
});

t.test('the verdicts are those of libseccomp', (t) => {
  // With arm64's calls libseccomp does not terminate on one profile of seed 3, in one context.
  for (const seed of isX86 ? [1, 2, 3] : [1, 2, 4]) {
    const { status, stdout, error } = call('seccomp-compare', `${seed}`, '15');
    t.equal(status, 0, `seed ${seed}: ${stdout.toString().trim()}${error}`);
  }
  // Long enough to exceed the range of conditional jumps.
  const args = (value: number) => [{ index: 0, value, op: 'SCMP_CMP_EQ' }];
  const names = ['read', 'write', 'open', 'close', 'ioctl', 'socket', 'socket', 'clone', 'prctl'];
  const many = Array.from({ length: 400 }, (_, i) => ({
    ...rule('SCMP_ACT_ALLOW', names[i % names.length] ?? 'read'),
    args: args(i),
  }));
  const profile = { ...deny(...many), architectures: isX86 ? ['SCMP_ARCH_X86'] : [] };
  const { status, stdout, error } = call('seccomp-compare', '1', write(t, profile));
  t.equal(status, 0, `400 conditions: ${stdout.toString().trim()}${error}`);
  t.strictSame(
    Object.values(outcomes(t, profile, ['native:close:399', 'native:close:398', 'native:close:3'])),
    ['EBADF', 'EPERM', 'EBADF'],
    'the kernel takes it',
  );
  t.end();
});

t.test('flags', (t) => {
  const prefix = 'SECCOMP_FILTER_FLAG_';
  t.equal(flagsOf(t, allow()), 4, 'SPEC_ALLOW unless any are given');
  t.equal(flagsOf(t, { ...allow(), flags: [] }), 0, 'none if none are asked for');
  for (const [name, value] of [
    // The process has only one thread.
    ['TSYNC', 0],
    ['LOG', 2],
    ['SPEC_ALLOW', 4],
  ] as const) {
    const profile = { ...allow(rule('SCMP_ACT_ERRNO', 'getpid')), flags: [prefix + name] };
    t.equal(flagsOf(t, profile), value, name);
    t.equal(outcomes(t, profile, ['native:getpid'])['native:getpid'], 'EPERM', `${name} is taken`);
  }
  t.equal(flagsOf(t, { ...allow(), flags: [`${prefix}LOG`, `${prefix}SPEC_ALLOW`] }), 6, 'two');
  t.end();
});

t.test('refusals', (t) => {
  const args = [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }];
  t.equal(
    refusal(t, allow({ ...rule('SCMP_ACT_ERRNO', 'getpid'), args })),
    'linux.seccomp.syscalls[0].args[0].index: 6 is not within 0 to 5',
  );
  const condition = { index: 0, op: 'SCMP_CMP_EQ' };
  const thousands = Array.from({ length: 4100 }, (_, value) => ({
    ...rule('SCMP_ACT_ERRNO', 'getpid'),
    args: [{ ...condition, value }],
  }));
  t.match(
    refusal(t, allow(...thousands)),
    /^linux\.seccomp: the filter has \d+ instructions; the kernel's limit is 4096: leave out rules or architectures$/,
  );
  t.end();
});

t.test('cache', (t) => {
  const profile = deny(rule('SCMP_ACT_ALLOW', 'read', 'write'));
  const other = deny(rule('SCMP_ACT_ALLOW', 'read', 'write', 'getpid'));

  /**
   * Makes a cache that holds `profile`. `compile` returns the compiled program, and a new `inode`
   * shows that the entry was replaced.
   */
  function warm(t: Test) {
    const cache = join(t.testdir({}), 'cache');
    const config = write(t, profile);
    const compile = (path = config) => {
      const { status, stdout, error } = call('seccomp', 'compile', path, cache);
      if (status !== 0) throw new Error(error);
      return stdout.toString('hex');
    };
    const program = compile();
    const [name = ''] = readdirSync(cache);
    const entry = join(cache, name);
    const inode = () => statSync(entry).ino;
    return { cache, entry, compile, program, inode };
  }

  t.test('is private and used', (t) => {
    const { cache, entry, compile, program, inode } = warm(t);
    t.equal(statSync(cache).mode & 0o7777, 0o700);
    t.equal(statSync(entry).mode & 0o7777, 0o600);
    t.equal(program, call('seccomp', 'compile', write(t, profile), '').stdout.toString('hex'));
    const before = inode();
    t.equal(compile(), program, 'the same program');
    t.equal(inode(), before, 'from the same entry');
    t.not(compile(write(t, other, 'other.json')), program, 'another profile has another program');
    t.equal(readdirSync(cache).length, 2, 'and another entry');
    t.equal(inode(), before);
    t.end();
  });

  t.test('damage is found and mended', (t) => {
    const { cache, entry, compile, program, inode } = warm(t);
    const whole = readFileSync(entry);
    const damaged = (what: string, damage: () => void) => {
      damage();
      const before = inode();
      t.equal(compile(), program, `${what}: the right program`);
      t.not(inode(), before, `${what}: a new entry`);
      t.strictSame(readFileSync(entry), whole, `${what}: the right entry`);
    };
    for (let offset = 0; offset < whole.length; offset += offset < 32 ? 1 : 37) {
      damaged(`byte ${offset}`, () => {
        const bytes = Buffer.from(whole);
        bytes.writeUInt8((bytes.readUInt8(offset) ^ 0x10) & 0xff, offset);
        writeFileSync(entry, bytes);
      });
    }
    for (const size of [0, 10, 24, 100, whole.length - 8, whole.length - 1]) {
      damaged(`cut to ${size} bytes`, () => truncateSync(entry, size));
    }
    damaged('longer', () => writeFileSync(entry, Buffer.concat([whole, Buffer.alloc(8)])));
    damaged("another profile's", () => {
      compile(write(t, other, 'other.json'));
      const [name = ''] = readdirSync(cache).filter((name) => join(cache, name) !== entry);
      renameSync(join(cache, name), entry);
    });
    t.end();
  });

  t.test('what another user could have written is not used', (t) => {
    const { cache, entry, compile, program, inode } = warm(t);
    // The entry is intact, but its group can write to it.
    chmodSync(entry, 0o620);
    const before = inode();
    t.equal(compile(), program);
    t.not(inode(), before, 'a writable entry is replaced');
    const elsewhere = `${entry}.moved`;
    renameSync(entry, elsewhere);
    symlinkSync(elsewhere, entry);
    t.equal(compile(), program);
    t.ok(
      statSync(entry, { throwIfNoEntry: true }).ino !== statSync(elsewhere).ino,
      'nor a symlink followed',
    );
    rmSync(entry);
    spawnSync('mkfifo', ['-m', '600', entry]);
    t.equal(compile(), program, 'a FIFO does not hold it up');
    t.ok(statSync(entry).isFile(), 'and is replaced');
    chmodSync(cache, 0o720);
    writeFileSync(entry, 'damage');
    t.equal(compile(), program);
    t.equal(readFileSync(entry, 'utf8'), 'damage', 'a writable directory is left alone');
    t.end();
  });

  t.test('has 64 places', (t) => {
    const { cache, entry, compile } = warm(t);
    for (let i = 0; i < 63; i++) {
      copyFileSync(entry, join(cache, `filler${i}`));
      utimesSync(join(cache, `filler${i}`), 1000 + i, 1000 + i);
    }
    compile(write(t, other, 'other.json'));
    t.equal(readdirSync(cache).length, 64);
    t.notOk(existsSync(join(cache, 'filler0')), 'the oldest is gone');
    t.ok(existsSync(join(cache, 'filler1')));
    t.ok(existsSync(entry));
    t.end();
  });

  t.test('that cannot be made is no error', (t) => {
    const { program } = warm(t);
    const { status, stdout } = call('seccomp', 'compile', write(t, profile), '/proc/none/cache');
    t.equal(status, 0);
    t.equal(stdout.toString('hex'), program);
    t.end();
  });
  t.end();
});
