/** Values of the wrong type, and invalid values at the top level and in `process`. */
import { mappedUser, unsupported, without, type Row } from './row.js';

export const process: readonly Row[] = [
  ['a number for a string', { hostname: 5 }, 'hostname: expected a string, got 5'],
  [
    'a string for a boolean',
    { 'process.terminal': 'yes' },
    'process.terminal: expected true or false, got the string "yes"',
  ],
  ['a boolean for an object', { process: true }, 'process: expected an object, got true'],
  ['an object for an array', { mounts: {} }, 'mounts: expected an array, got an object'],
  ['an array for an object', { linux: [] }, 'linux: expected an object, got an array'],
  ['null in an array', { 'process.args.1': null }, 'process.args[1]: expected a string, got null'],
  [
    'a long string for a number',
    { 'process.user.uid': 'x'.repeat(100) },
    'process.user.uid: expected an integer from 0 to 4294967295, got the string "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…',
  ],
  [
    'a negative number',
    { 'process.user.uid': -1 },
    'process.user.uid: expected an integer from 0 to 4294967295, got -1',
  ],
  [
    'a fraction',
    { 'process.user.gid': 1.5 },
    'process.user.gid: expected an integer from 0 to 4294967295, got 1.5',
  ],
  [
    'a number beyond 32 bits',
    { 'process.user.uid': 4294967296 },
    'process.user.uid: expected an integer from 0 to 4294967295, got 4294967296',
  ],
  [
    'a number beyond 32 bits with sign',
    { 'process.oomScoreAdj': 4294967296 },
    'process.oomScoreAdj: expected an integer from -2147483648 to 2147483647, got 4294967296',
  ],
  [
    'a number beyond 64 bits',
    { 'process.rlimits.0.hard': 1n << 64n },
    'process.rlimits[0].hard: expected an integer from 0 to 18446744073709551615, got 1.8446744073709552e+19',
  ],
  [
    'a number beyond 64 bits with sign',
    { 'linux.resources.memory': { limit: 1n << 63n } },
    'linux.resources.memory.limit: expected an integer from -9223372036854775808 to 9223372036854775807, got 9223372036854775808',
  ],
  [
    'a number beyond 16 bits',
    { 'linux.resources.blockIO': { weight: 65536 } },
    'linux.resources.blockIO.weight: expected an integer from 0 to 65535, got 65536',
  ],
  [
    'a number in a map of strings',
    { annotations: { 'org.example.count': 5 } },
    'annotations["org.example.count"]: expected a string, got 5',
  ],
  [
    'a NUL character in a string',
    { 'process.args.1': '-c\0' },
    'process.args[1]: contains a NUL character; remove it',
  ],
  [
    'a NUL character in a key',
    { 'linux.sysctl': { 'net.core\0': '1' } },
    'linux.sysctl["net.core\\u0000"]: the name contains a NUL character; remove it',
  ],
  ['no ociVersion', { ociVersion: undefined }, 'ociVersion: is missing; add it'],
  ['an ociVersion that is null', { ociVersion: null }, 'ociVersion: is missing; add it'],
  [
    'ociVersion ""',
    { ociVersion: '' },
    'ociVersion: invalid version ""; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "1.0"',
    { ociVersion: '1.0' },
    'ociVersion: invalid version "1.0"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "1.0.0.0"',
    { ociVersion: '1.0.0.0' },
    'ociVersion: invalid version "1.0.0.0"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "01.0.0"',
    { ociVersion: '01.0.0' },
    'ociVersion: invalid version "01.0.0"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "1.0.0-"',
    { ociVersion: '1.0.0-' },
    'ociVersion: invalid version "1.0.0-"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "1.0.0+"',
    { ociVersion: '1.0.0+' },
    'ociVersion: invalid version "1.0.0+"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "1.0.0-a..b"',
    { ociVersion: '1.0.0-a..b' },
    'ociVersion: invalid version "1.0.0-a..b"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "v1.0.0"',
    { ociVersion: 'v1.0.0' },
    'ociVersion: invalid version "v1.0.0"; write a semantic version such as "1.3.0"',
  ],
  [
    'ociVersion "1.0.0 "',
    { ociVersion: '1.0.0 ' },
    'ociVersion: invalid version "1.0.0 "; write a semantic version such as "1.3.0"',
  ],
  [
    'an ociVersion of another major version',
    { ociVersion: '2.0.0-rc.1+build' },
    'ociVersion: 2.0.0-rc.1+build: unknown version of the runtime spec; tare implements 1.x',
    unsupported,
  ],
  [
    'an ociVersion from before 1.0',
    { ociVersion: '0.1.0' },
    'ociVersion: 0.1.0: unknown version of the runtime spec; tare implements 1.x',
    unsupported,
  ],
  [
    'no root',
    { root: undefined },
    "root.path: is missing; name the directory of the container's root filesystem",
  ],
  ['a root without path', { 'root.path': undefined }, 'root.path: is missing; add it'],
  [
    'an empty root.path',
    { 'root.path': '' },
    "root.path: is missing; name the directory of the container's root filesystem",
  ],
  [
    'a hostname without a UTS namespace',
    { 'linux.namespaces': without('uts') },
    'hostname: unable to set hostname without a private UTS namespace; add {"type": "uts"} to linux.namespaces, or remove hostname',
  ],
  [
    'a domainname without a UTS namespace',
    { hostname: undefined, 'linux.namespaces': without('uts'), domainname: 'example.org' },
    'domainname: unable to set domainname without a private UTS namespace; add {"type": "uts"} to linux.namespaces, or remove domainname',
  ],
  [
    'a hostname too long',
    { hostname: 'x'.repeat(65) },
    "hostname: 65 bytes long; the kernel's limit is 64",
  ],
  [
    'an empty key of an annotation',
    { annotations: { '': 'x' } },
    'annotations: a key is empty; name the annotation',
  ],
  [
    'no args',
    { 'process.args': undefined },
    'process.args: args must not be empty; name the program to run',
  ],
  [
    'empty args',
    { 'process.args': [] },
    'process.args: args must not be empty; name the program to run',
  ],
  ['no cwd', { 'process.cwd': undefined }, 'process.cwd: must not be empty; give an absolute path'],
  ['a relative cwd', { 'process.cwd': 'tmp' }, 'process.cwd: must be an absolute path, not "tmp"'],
  [
    'a variable without value',
    { 'process.env.0': 'A=1', 'process.env.1': 'B' },
    'process.env[1]: invalid environment variable "B": missing \'=\'; write NAME=value',
  ],
  [
    'a variable without name',
    { 'process.env': ['=1'] },
    'process.env[0]: invalid environment variable "=1": name cannot be empty; write NAME=value',
  ],
  [
    'an argument that execve would refuse',
    { 'process.args.1': 'x'.repeat(1 << 22) },
    "process.args[1]: 4194304 bytes long; the kernel's limit for one string is 131071",
  ],
  [
    'arguments that execve would refuse together',
    { 'process.args': Array<unknown>(70).fill('x'.repeat(100000)) },
    "process.args: args and env take 7000723 bytes together; the kernel's limit is 6291456",
  ],
  [
    'consoleSize without width',
    { 'process.consoleSize': { height: 24 } },
    'process.consoleSize.width: is missing; add it',
  ],
  [
    'a console too wide',
    { 'process.consoleSize': { height: 24, width: 65536 } },
    'process.consoleSize: 24 rows and 65536 columns; the limit of each is 65535',
  ],
  [
    'a uid that is none',
    { 'process.user.uid': 4294967295 },
    'process.user.uid: 4294967295 is not an id; the kernel takes it for "no change"',
  ],
  [
    'a gid that is none',
    { 'process.user.gid': 4294967295 },
    'process.user.gid: 4294967295 is not an id; the kernel takes it for "no change"',
  ],
  [
    'too many groups',
    { 'process.user.additionalGids': Array<unknown>(65537).fill(1) },
    "process.user.additionalGids: 65537 groups; the kernel's limit is 65536",
  ],
  [
    'an umask out of range',
    { 'process.user.umask': 512 },
    'process.user.umask: invalid umask 512; give permission bits in decimal, from 0 to 511 (0777)',
  ],
  [
    'a uid that is not mapped',
    { 'process.user.uid': 1000, ...mappedUser },
    'process.user.uid: 1000 is not mapped in the user namespace; map it in linux.uidMappings',
  ],
  [
    'a gid that is not mapped',
    { 'process.user.gid': 1000, ...mappedUser },
    'process.user.gid: 1000 is not mapped in the user namespace; map it in linux.gidMappings',
  ],
  [
    'an additional gid that is not mapped',
    { 'process.user.additionalGids': [5, 1000], ...mappedUser },
    'process.user.additionalGids[1]: 1000 is not mapped in the user namespace; map it in linux.gidMappings',
  ],
  [
    'an unknown resource limit',
    { 'process.rlimits.0.type': 'RLIMIT_FILES' },
    'process.rlimits[0].type: unknown resource limit "RLIMIT_FILES"; use one of RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK',
  ],
  [
    'a resource limit without soft limit',
    { 'process.rlimits.0.soft': undefined },
    'process.rlimits[0].soft: is missing; add it',
  ],
  [
    'a resource limit twice',
    { 'process.rlimits.1': { type: 'RLIMIT_NOFILE', soft: 1, hard: 1 } },
    'process.rlimits[1].type: RLIMIT_NOFILE appears twice; keep one',
  ],
  [
    'a soft limit above the hard limit',
    { 'process.rlimits.0.soft': 1025 },
    'process.rlimits[0].soft: 1025 is above the hard limit of 1024; lower soft or raise hard',
  ],
  [
    'no soft limit below a hard limit',
    { 'process.rlimits.0.soft': (1n << 64n) - 1n },
    'process.rlimits[0].soft: unlimited is above the hard limit of 1024; lower soft or raise hard',
  ],
  [
    'an oomScoreAdj out of range',
    { 'process.oomScoreAdj': -1001 },
    'process.oomScoreAdj: -1001 is not in the range -1000 to 1000',
  ],
  [
    'an AppArmor profile of two lines',
    { 'process.apparmorProfile': 'a\nb' },
    'process.apparmorProfile: "a\\nb" contains a space or control character; remove it',
  ],
  [
    'an SELinux label with a space',
    { 'process.selinuxLabel': 'a b' },
    'process.selinuxLabel: "a b" contains a space or control character; remove it',
  ],
  [
    'a capability that is no string',
    { 'process.capabilities.bounding': [21] },
    'process.capabilities.bounding[0]: expected a string, got 21',
  ],
  [
    'a scheduler without policy',
    { 'process.scheduler': { nice: 1 } },
    'process.scheduler.policy: is missing; add it',
  ],
  [
    'an unknown scheduling policy',
    { 'process.scheduler': { policy: 'SCHED_NORMAL' } },
    'process.scheduler.policy: unknown scheduling policy "SCHED_NORMAL"; use one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE',
  ],
  [
    'a scheduling policy that no kernel has',
    { 'process.scheduler': { policy: 'SCHED_ISO' } },
    'process.scheduler.policy: no kernel implements SCHED_ISO; use another policy',
    unsupported,
  ],
  [
    'an unknown scheduling flag',
    { 'process.scheduler': { policy: 'SCHED_OTHER', flags: ['SCHED_RESET_ON_FORK'] } },
    'process.scheduler.flags[0]: unknown scheduling flag "SCHED_RESET_ON_FORK"; use one of SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, SCHED_FLAG_KEEP_POLICY, SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX',
  ],
  [
    'a nice value out of range',
    { 'process.scheduler': { policy: 'SCHED_BATCH', nice: -21 } },
    'process.scheduler.nice: -21 is not in the range -20 to 19',
  ],
  [
    'a priority without a real-time policy',
    { 'process.scheduler': { policy: 'SCHED_BATCH', priority: 1 } },
    'process.scheduler.priority: can only be specified for SCHED_FIFO or SCHED_RR, not for SCHED_BATCH',
  ],
  [
    'a real-time policy without priority',
    { 'process.scheduler': { policy: 'SCHED_FIFO' } },
    'process.scheduler.priority: 0 is not in the range 1 to 99 of SCHED_FIFO',
  ],
  [
    'a period without SCHED_DEADLINE',
    { 'process.scheduler': { policy: 'SCHED_RR', priority: 99, period: 1 } },
    'process.scheduler.period: can only be specified for SCHED_DEADLINE, not for SCHED_RR',
  ],
  [
    'SCHED_DEADLINE without runtime',
    { 'process.scheduler': { policy: 'SCHED_DEADLINE', deadline: 100000 } },
    'process.scheduler.runtime: 0 ns; the min for SCHED_DEADLINE is 1024',
  ],
  [
    'SCHED_DEADLINE without deadline',
    { 'process.scheduler': { policy: 'SCHED_DEADLINE', runtime: 100000 } },
    'process.scheduler.deadline: is missing; SCHED_DEADLINE needs one, in ns',
  ],
  [
    'a deadline below the runtime',
    { 'process.scheduler': { policy: 'SCHED_DEADLINE', runtime: 2000, deadline: 1500 } },
    'process.scheduler.deadline: 1500 ns is less than the runtime of 2000',
  ],
  [
    'a period below the deadline',
    {
      'process.scheduler': {
        policy: 'SCHED_DEADLINE',
        runtime: 2000,
        deadline: 9000,
        period: 8000,
      },
    },
    'process.scheduler.period: 8000 ns is less than the deadline of 9000',
  ],
  ...(['runtime', 'deadline', 'period'] as const).map((name): Row => {
    const times = { runtime: 2000, deadline: 9000, period: 9000, [name]: 1n << 63n };
    return [
      `a ${name} of 2^63`,
      { 'process.scheduler': { policy: 'SCHED_DEADLINE', ...times } },
      `process.scheduler.${name}: 9223372036854775808 ns; the kernel's limit is 9223372036854775807`,
    ];
  }),
  [
    'an ioPriority without class',
    { 'process.ioPriority': { priority: 1 } },
    'process.ioPriority.class: is missing; add it',
  ],
  [
    'an unknown class of I/O priority',
    { 'process.ioPriority': { class: 'IOPRIO_CLASS_NONE' } },
    'process.ioPriority.class: unknown I/O scheduling class "IOPRIO_CLASS_NONE"; use one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE',
  ],
  [
    'an I/O priority out of range',
    { 'process.ioPriority': { class: 'IOPRIO_CLASS_BE', priority: 8 } },
    'process.ioPriority.priority: 8 is not in the range 0 to 7',
  ],
  [
    'an affinity that is no list',
    { 'process.execCPUAffinity': { initial: '0-3,x' } },
    'process.execCPUAffinity.initial: invalid list of processors "0-3,x"; write it like "0-3,7", with numbers below 8192',
  ],
  [
    'an affinity backwards',
    { 'process.execCPUAffinity': { final: '3-1' } },
    'process.execCPUAffinity.final: invalid list of processors "3-1"; write it like "0-3,7", with numbers below 8192',
  ],
  [
    'an affinity of nothing',
    { 'process.execCPUAffinity': { final: ', ,' } },
    'process.execCPUAffinity.final: invalid list of processors ", ,"; write it like "0-3,7", with numbers below 8192',
  ],
];
