/** Unusual configurations that engines and users write and that tare must accept. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Change } from './config-refusals/row.js';
import { spoiled } from './config-refusals/all.js';
import { temporaryDirectory } from '../support/directory.js';
import { tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'accepted');
const file = join(directory, 'config.json');
mkdirSync(join(directory, 'rootfs'));
t.equal(tare(['spec', '--bundle', directory]).stderr, '', 'spec writes the default config');
const config = readFileSync(file, 'utf8');

const accepted: [name: string, change: Change][] = [
  ['members that the spec does not know', { x: 1, 'process.y': {}, 'linux.resources.y': [] }],
  ['sections of other platforms', { windows: { x: 1 }, solaris: {}, vm: {}, zos: {}, freebsd: {} }],
  ['members of processes on Windows', { 'process.commandLine': 'x', 'process.user.username': 'x' }],
  ['null for every absent member', { hooks: null, annotations: null, domainname: null }],
  ['nulls deeper down', { 'linux.seccomp': null, 'linux.resources.memory': { limit: null } }],
  ['no time offsets', { 'linux.timeOffsets': {} }],
  ['maps that are not implemented, with nothing in them', { 'linux.netDevices': {} }],
  ['a mount without mappings', { 'mounts.1.uidMappings': [], 'mounts.1.gidMappings': null }],
  ['an empty execCPUAffinity', { 'process.execCPUAffinity': { initial: '', final: null } }],
  ['an I/O class without priority', { 'process.ioPriority': { class: 'IOPRIO_CLASS_IDLE' } }],
  ['no process: it is required when the container is started', { process: undefined }],
  ['no user', { 'process.user': undefined }],
  ['a user without gid', { 'process.user': { uid: 0 } }],
  [
    'a consoleSize of any size without a terminal',
    { 'process.terminal': false, 'process.consoleSize': { height: 70000, width: 0 } },
  ],
  ['a version before a release', { ociVersion: '1.3.0-rc.1+dev' }],
  [
    'a relative destination',
    { 'mounts.7': { destination: 'tmp', type: 'tmpfs', source: 'tmpfs' } },
  ],
  [
    'options of the file system in a bind mount',
    { 'mounts.7': { destination: '/mnt', source: '/tmp', options: ['bind', 'mode=755'] } },
  ],
  [
    'a file of lxcfs over /proc/meminfo',
    { 'mounts.7': { destination: '/proc/meminfo', source: '/proc/meminfo', options: ['bind'] } },
  ],
  ['a device of type u', { 'linux.devices': [{ path: '/dev/x', type: 'u', major: 1, minor: 3 }] }],
  ['a FIFO without numbers', { 'linux.devices': [{ path: '/dev/x', type: 'p' }] }],
  [
    'a whole st_mode',
    { 'linux.devices': [{ path: '/dev/x', type: 'c', major: 1, minor: 3, fileMode: 0o20666 }] },
  ],
  [
    'a device twice',
    { 'linux.devices': [1, 2].map(() => ({ path: '/dev/x', type: 'c', major: 1, minor: 3 })) },
  ],
  [
    'rules with -1 for all',
    { 'linux.resources.devices.1': { allow: true, type: 'c', major: 10, minor: -1, access: 'rw' } },
  ],
  [
    'limits of 0',
    {
      'linux.resources.memory': { limit: 0, swap: 0 },
      'linux.resources.blockIO': { weight: 0 },
      'linux.resources.cpu': { shares: 0, quota: 0, period: 0, cpus: '', mems: '' },
    },
  ],
  [
    'limits that only cgroup v1 has',
    {
      'linux.resources.memory': { kernel: 1, kernelTCP: 1, swappiness: 60, disableOOMKiller: true },
      'linux.resources.cpu': { realtimeRuntime: 1000, realtimePeriod: 1000000 },
      'linux.resources.blockIO': { leafWeight: 100 },
      'linux.resources.network': { classID: 1, priorities: [{ name: 'lo', priority: 1 }] },
    },
  ],
  [
    'no limits',
    { 'linux.resources.memory': { limit: -1, swap: -1 }, 'linux.resources.pids': { limit: -1 } },
  ],
  [
    'a page size in another case, as jq scripts have it',
    { 'linux.resources.hugepageLimits': [{ pagesize: '2MB', limit: 0 }] },
  ],
  ['a seccomp profile of nothing', { 'linux.seccomp': {} }],
  [
    'listenerPath without SCMP_ACT_NOTIFY',
    { 'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/x' } },
  ],
  [
    'sysctls of namespaces, written in both ways',
    {
      'linux.sysctl': {
        'net.ipv4.ip_forward': '1',
        'net/ipv4/conf/eth0.100/rp_filter': '1',
        'kernel.shmmax': '1',
        'kernel.domainname': 'x',
      },
    },
  ],
  [
    'kernel.domainname that is domainname',
    { domainname: 'a.example', 'linux.sysctl': { 'kernel.domainname': 'a.example' } },
  ],
  ['a user namespace without mappings', { 'linux.namespaces.6': { type: 'user' } }],
  ['an environment without an end of names', { 'process.env': ['A=', 'B==', 'a b=c'] }],
  ['the last uid', { 'process.user': { uid: 4294967294, gid: 4294967294, umask: 0o777 } }],
  [
    'a limit without limit',
    {
      'process.rlimits.0': { type: 'RLIMIT_CORE', soft: (1n << 64n) - 1n, hard: (1n << 64n) - 1n },
    },
  ],
];

for (const [name, change] of accepted) {
  t.test(name, (t) => {
    writeFileSync(file, spoiled(config, change));
    const plan = tare(['plan', '--bundle', directory]);
    t.strictSame([plan.status, plan.error], [0, '']);
    t.not(plan.stdout, '', 'there is a plan');
    t.end();
  });
}
