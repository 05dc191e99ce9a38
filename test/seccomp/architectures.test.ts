/** seccomp: the calls of other ABIs than the native one. */
import t from 'tap';
import { allow, deny, isX86, kernelHas, outcomes, rule } from './profile.js';

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
