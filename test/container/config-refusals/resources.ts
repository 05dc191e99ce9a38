/** Invalid values in `linux.resources`. */
import type { Row } from './row.js';

export const resources: readonly Row[] = [
  [
    'a device rule without allow',
    { 'linux.resources.devices.0.allow': undefined, 'linux.resources.devices.0.access': 'r' },
    'linux.resources.devices[0].allow: is missing; add it',
  ],
  [
    'a device rule of an unknown type',
    {
      'linux.resources.devices.0.allow': true,
      'linux.resources.devices.0.access': undefined,
      'linux.resources.devices.0.type': 'p',
    },
    'linux.resources.devices[0].type: unknown device type "p"; use one of a, c, b',
  ],
  [
    'an unknown access',
    { 'linux.resources.devices.0.allow': true, 'linux.resources.devices.0.access': 'rx' },
    'linux.resources.devices[0].access: invalid access "rx"; use the letters r, w and m',
  ],
  [
    'a negative number in a device rule',
    {
      'linux.resources.devices.0.allow': true,
      'linux.resources.devices.0.access': undefined,
      'linux.resources.devices.0.minor': -2,
    },
    'linux.resources.devices[0].minor: invalid device number -2; use -1 or leave it out for all',
  ],
  [
    'a wrong value of a member in another case',
    { 'linux.resources.memory': { LIMIT: -2 } },
    'linux.resources.memory.limit: invalid limit -2; give bytes, or -1 for no limit',
  ],
  [
    'a negative memory limit',
    { 'linux.resources.memory': { limit: -2 } },
    'linux.resources.memory.limit: invalid limit -2; give bytes, or -1 for no limit',
  ],
  [
    'a negative reservation',
    { 'linux.resources.memory': { reservation: -5 } },
    'linux.resources.memory.reservation: invalid limit -5; give bytes, or -1 for no limit',
  ],
  [
    'a swappiness out of range',
    { 'linux.resources.memory': { swappiness: 101 } },
    'linux.resources.memory.swappiness: 101 is not in the range 0 to 100',
  ],
  [
    'swap without a memory limit',
    { 'linux.resources.memory': { swap: 4096 } },
    'linux.resources.memory.swap: unable to set swap limit without memory limit; set memory.limit too',
  ],
  [
    'swap below the memory limit',
    { 'linux.resources.memory': { limit: 8192, swap: 4096 } },
    'linux.resources.memory.swap: memory+swap limit should be >= memory limit: 4096 is less than 8192; raise it or remove it',
  ],
  [
    'a negative quota',
    { 'linux.resources.cpu': { quota: -2 } },
    'linux.resources.cpu.quota: invalid quota -2; give 1000 microseconds or more, or -1 for no limit',
  ],
  [
    'a quota too short',
    { 'linux.resources.cpu': { quota: 999 } },
    'linux.resources.cpu.quota: invalid quota 999; give 1000 microseconds or more, or -1 for no limit',
  ],
  [
    'a period too long',
    { 'linux.resources.cpu': { period: 1000001 } },
    'linux.resources.cpu.period: 1000001 is not in the range 1000 to 1000000 microseconds',
  ],
  [
    'a burst above the quota',
    { 'linux.resources.cpu': { quota: 5000, burst: 5001 } },
    'linux.resources.cpu.burst: 5001 is above the quota of 5000; lower burst or raise quota',
  ],
  [
    'an idle of 2',
    { 'linux.resources.cpu': { idle: 2 } },
    'linux.resources.cpu.idle: 2 is neither 0 nor 1',
  ],
  [
    'a list of CPUs that is none',
    { 'linux.resources.cpu': { cpus: '0-3,x' } },
    'linux.resources.cpu.cpus: invalid list "0-3,x"; write numbers and ranges such as "0-3,7"',
  ],
  [
    'a list of nodes backwards',
    { 'linux.resources.cpu': { mems: '3-0' } },
    'linux.resources.cpu.mems: invalid list "3-0"; write numbers and ranges such as "0-3,7"',
  ],
  [
    'a negative limit of pids',
    { 'linux.resources.pids': { limit: -2 } },
    'linux.resources.pids.limit: invalid limit -2; give a number, or -1 for no limit',
  ],
  [
    'a weight out of range',
    { 'linux.resources.blockIO': { weight: 9 } },
    'linux.resources.blockIO.weight: 9 is not in the range 10 to 1000',
  ],
  [
    'a leafWeight out of range',
    { 'linux.resources.blockIO': { leafWeight: 1001 } },
    'linux.resources.blockIO.leafWeight: 1001 is not in the range 10 to 1000',
  ],
  [
    'a device without weight',
    { 'linux.resources.blockIO': { weightDevice: [{ major: 8, minor: 0 }] } },
    'linux.resources.blockIO.weightDevice[0]: needs weight, leafWeight or both',
  ],
  [
    'a weight of a device out of range',
    { 'linux.resources.blockIO': { weightDevice: [{ major: 8, minor: 0, weight: 1 }] } },
    'linux.resources.blockIO.weightDevice[0].weight: 1 is not in the range 10 to 1000',
  ],
  [
    'a throttled device without rate',
    { 'linux.resources.blockIO': { throttleReadBpsDevice: [{ major: 8, minor: 0 }] } },
    'linux.resources.blockIO.throttleReadBpsDevice[0].rate: is missing; add it',
  ],
  [
    'a throttled device that is none',
    { 'linux.resources.blockIO': { throttleWriteIOPSDevice: [{ major: -1, minor: 0, rate: 1 }] } },
    'linux.resources.blockIO.throttleWriteIOPSDevice[0].major: invalid device number -1',
  ],
  [
    'a page size that is none',
    { 'linux.resources.hugepageLimits': [{ pageSize: '2M', limit: 0 }] },
    'linux.resources.hugepageLimits[0].pageSize: invalid page size "2M"; write a number and KB, MB or GB, such as "2MB"',
  ],
  [
    'a hugepage limit without limit',
    { 'linux.resources.hugepageLimits': [{ pageSize: '2MB' }] },
    'linux.resources.hugepageLimits[0].limit: is missing; add it',
  ],
  [
    'a network priority without name',
    { 'linux.resources.network': { priorities: [{ priority: 1 }] } },
    'linux.resources.network.priorities[0].name: is missing; add it',
  ],
  [
    'rdma without limits',
    { 'linux.resources.rdma': { mlx5_1: {} } },
    'linux.resources.rdma.mlx5_1: needs hcaHandles, hcaObjects or both',
  ],
  [
    'an rdma device with a space in its name',
    { 'linux.resources.rdma': { 'mlx5 1': { hcaHandles: 1 } } },
    'linux.resources.rdma["mlx5 1"]: invalid device name; it must not be empty or contain spaces',
  ],
  [
    'a unified file elsewhere',
    { 'linux.resources.unified': { '../memory.max': '1' } },
    'linux.resources.unified["../memory.max"]: unified resource "../memory.max" must be a file name (no slashes) such as "memory.high"',
  ],
  [
    'a unified name that is no file',
    { 'linux.resources.unified': { memory: '1' } },
    'linux.resources.unified.memory: unified resource "memory" must be a file name (no slashes) such as "memory.high"',
  ],
  [
    'a unified name that ends with a dot',
    { 'linux.resources.unified': { 'memory.': '1' } },
    'linux.resources.unified["memory."]: unified resource "memory." must be a file name (no slashes) such as "memory.high"',
  ],
];
