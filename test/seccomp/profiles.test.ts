/** seccomp: the effect of a profile on system calls on the real kernel. */
import t, { type Test } from 'tap';
import {
  allow,
  call,
  deny,
  isX86,
  kernelHas,
  outcomes,
  rule,
  write,
  type Profile,
} from './profile.js';

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
    'linux.seccomp.syscalls[0].args[0].index: 6 is not in the range 0 to 5',
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
