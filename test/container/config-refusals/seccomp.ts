/** Invalid values in `linux.seccomp`. */
import { type Row } from './row.js';

const rule = { names: ['mkdir'], action: 'SCMP_ACT_ERRNO' };

export const seccomp: readonly Row[] = [
  [
    'a profile without default action',
    { 'linux.seccomp': { defaultAction: undefined, syscalls: [rule] } },
    'linux.seccomp.defaultAction: is missing; add it',
  ],
  [
    'an unknown default action',
    { 'linux.seccomp': { defaultAction: 'SCMP_ACT_DENY', syscalls: [rule] } },
    'linux.seccomp.defaultAction: unknown action "SCMP_ACT_DENY"; use one of SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_LOG, SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, SCMP_ACT_TRAP',
  ],
  [
    'an errno for a default action without one',
    { 'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule], defaultErrnoRet: 1 } },
    'linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW does not return an errno; remove it',
  ],
  [
    'an unknown architecture',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [rule],
        architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_VAX'],
      },
    },
    'linux.seccomp.architectures[1]: unknown architecture "SCMP_ARCH_VAX"; use one of SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_LOONGARCH64, SCMP_ARCH_M68K, SCMP_ARCH_MIPS, SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_PARISC, SCMP_ARCH_PARISC64, SCMP_ARCH_PPC, SCMP_ARCH_PPC64, SCMP_ARCH_PPC64LE, SCMP_ARCH_RISCV64, SCMP_ARCH_S390, SCMP_ARCH_S390X, SCMP_ARCH_SH, SCMP_ARCH_SHEB, SCMP_ARCH_X32, SCMP_ARCH_X86, SCMP_ARCH_X86_64',
  ],
  [
    'an unknown flag',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [rule],
        flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'],
      },
    },
    'linux.seccomp.flags[0]: unknown flag "SECCOMP_FILTER_FLAG_NEW_LISTENER"; use one of SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
  ],
  [
    'listenerMetadata without listenerPath',
    {
      'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule], listenerMetadata: 'x' },
    },
    'linux.seccomp.listenerMetadata: is set without listenerPath; set that too, or remove this',
  ],
  [
    'a rule without names',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, names: undefined }],
      },
    },
    'linux.seccomp.syscalls[0].names: is missing; add it',
  ],
  [
    'a rule with no name',
    { 'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ ...rule, names: [] }] } },
    'linux.seccomp.syscalls[0].names: must not be empty; name a system call',
  ],
  [
    'an empty name of a system call',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, names: ['read', ''] }],
      },
    },
    'linux.seccomp.syscalls[0].names[1]: must not be empty; name a system call',
  ],
  [
    'an unknown action',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, action: 'errno' }],
      },
    },
    'linux.seccomp.syscalls[0].action: unknown action "errno"; use one of SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_LOG, SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, SCMP_ACT_TRAP',
  ],
  [
    'SCMP_ACT_NOTIFY without listenerPath',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, action: 'SCMP_ACT_NOTIFY' }],
      },
    },
    "linux.seccomp.listenerPath: is not set, and SCMP_ACT_NOTIFY needs it; name the agent's socket",
  ],
  [
    'a relative listenerPath',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        listenerPath: 'agent.sock',
        syscalls: [{ ...rule, action: 'SCMP_ACT_NOTIFY' }],
      },
    },
    'linux.seccomp.listenerPath: must be an absolute path, or @ and the name of an abstract socket, not "agent.sock"',
  ],
  [
    'SCMP_ACT_NOTIFY for write',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        listenerPath: '/agent.sock',
        syscalls: [{ names: ['mkdir', 'write'], action: 'SCMP_ACT_NOTIFY' }],
      },
    },
    'linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall; remove it',
  ],
  [
    'SCMP_ACT_NOTIFY by default',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_NOTIFY',
        listenerPath: '/agent.sock',
        syscalls: [rule],
      },
    },
    'linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action; name the system calls in linux.seccomp.syscalls',
  ],
  [
    'an errno out of range',
    {
      'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ ...rule, errnoRet: 4096 }] },
    },
    'linux.seccomp.syscalls[0].errnoRet: 4096 is not in the range 0 to 4095',
  ],
  [
    'an errno for an action without one',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, action: 'SCMP_ACT_KILL_PROCESS', errnoRet: 1 }],
      },
    },
    'linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL_PROCESS does not return an errno; remove it',
  ],
  [
    'an argument that no system call has',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
      },
    },
    'linux.seccomp.syscalls[0].args[0].index: 6 is not in the range 0 to 5',
  ],
  [
    'an unknown operator',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, args: [{ index: 0, value: 0, op: '==' }] }],
      },
    },
    'linux.seccomp.syscalls[0].args[0].op: unknown operator "=="; use one of SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_LE, SCMP_CMP_LT, SCMP_CMP_MASKED_EQ, SCMP_CMP_NE',
  ],
  [
    'an argument without value',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, args: [{ index: 0, op: 'SCMP_CMP_EQ' }] }],
      },
    },
    'linux.seccomp.syscalls[0].args[0].value: is missing; add it',
  ],
  [
    'more system calls than a filter has instructions',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          { names: Array.from({ length: 4000 }, () => 'read'), action: 'SCMP_ACT_ERRNO' },
          { names: Array.from({ length: 97 }, () => 'write'), action: 'SCMP_ACT_ERRNO' },
        ],
      },
    },
    'linux.seccomp.syscalls: 4097 names of system calls in all rules; the limit is 4096',
  ],
];
