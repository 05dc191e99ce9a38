/** Invalid values in `linux`, except namespaces, resources and seccomp. */
import { without, type Row } from './row.js';

const fuse = { path: '/dev/fuse', type: 'c', major: 10, minor: 229 };

export const linux: readonly Row[] = [
  [
    'an unknown type of device',
    { 'linux.devices': [{ path: '/dev/fuse', type: 'd', major: 10, minor: 229 }] },
    'linux.devices[0].type: unknown device type "d"; use one of c, b, u, p',
  ],
  [
    'a device without major number',
    { 'linux.devices': [{ path: '/dev/fuse', type: 'c', major: undefined, minor: 229 }] },
    'linux.devices[0].major: is missing; add it',
  ],
  [
    'a device without minor number',
    { 'linux.devices': [{ path: '/dev/fuse', type: 'b', major: 10, minor: null }] },
    'linux.devices[0].minor: is missing; add it',
  ],
  [
    'a device without path',
    { 'linux.devices': [{ path: undefined, type: 'c', major: 10, minor: 229 }] },
    'linux.devices[0].path: is missing; add it',
  ],
  [
    'a relative path of a device',
    { 'linux.devices': [{ path: 'dev/fuse', type: 'c', major: 10, minor: 229 }] },
    'linux.devices[0].path: must be an absolute path, not "dev/fuse"',
  ],
  [
    'a device on the root',
    { 'linux.devices': [{ path: '/dev/..', type: 'c', major: 10, minor: 229 }] },
    'linux.devices[0].path: is the root directory; name a device file',
  ],
  [
    'two devices of one path',
    { 'linux.devices': [fuse, fuse, { path: '/dev/fuse', type: 'c', major: 10, minor: 1 }] },
    'linux.devices[2].path: appears twice, as two devices; keep one',
  ],
  [
    'two devices of one path, written in two ways',
    { 'linux.devices': [fuse, { path: '/dev//fuse', type: 'c', major: 10, minor: 1 }] },
    'linux.devices[1].path: appears twice, as two devices; keep one',
  ],
  [
    'a negative major number',
    { 'linux.devices': [{ path: '/dev/fuse', type: 'c', major: -1, minor: 229 }] },
    'linux.devices[0].major: -1 is not in the range 0 to 4095',
  ],
  [
    'a minor number out of range',
    { 'linux.devices': [{ path: '/dev/fuse', type: 'c', major: 10, minor: 1048576 }] },
    'linux.devices[0].minor: 1048576 is not in the range 0 to 1048575',
  ],
  [
    'a fileMode that is none',
    { 'linux.devices': [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 65536 }] },
    'linux.devices[0].fileMode: invalid file mode 65536; give the permission bits in decimal, e.g. 438 for 0666',
  ],
  [
    'a cgroupsPath with ..',
    { 'linux.cgroupsPath': '/a/../../b' },
    'linux.cgroupsPath: "/a/../../b" must not contain ".."',
  ],
  [
    'an unknown rootfsPropagation',
    { 'linux.rootfsPropagation': 'public' },
    'linux.rootfsPropagation: rootfsPropagation=public is not supported; use one of shared, slave, private, unbindable, rshared, rslave, rprivate, runbindable',
  ],
  [
    'a relative masked path',
    { 'linux.maskedPaths': ['/proc/kcore', 'proc/keys'] },
    'linux.maskedPaths[1]: must be an absolute path, not "proc/keys"',
  ],
  [
    'a masked root',
    { 'linux.maskedPaths': ['//'] },
    'linux.maskedPaths[0]: must not be the root directory; name a path below it',
  ],
  [
    'a relative read-only path',
    { 'linux.readonlyPaths': ['proc/sys'] },
    'linux.readonlyPaths[0]: must be an absolute path, not "proc/sys"',
  ],
  [
    'a mountLabel with a quotation mark',
    { 'linux.mountLabel': 'a"b' },
    'linux.mountLabel: "a\\"b" contains a quotation mark or control character; remove it',
  ],
  [
    'network devices without a namespace for them',
    { 'linux.netDevices': { x: {} }, 'linux.namespaces': without('network') },
    'linux.netDevices: unable to move network devices without a NET namespace; add {"type": "network"} to linux.namespaces',
  ],
  [
    'a network device of a name that none can have',
    { 'linux.netDevices': { eth0: { name: 'a/b' } } },
    'linux.netDevices.eth0: invalid network device name "a/b"; use 1 to 15 bytes without "/", ":" and spaces',
  ],
  [
    'a network device of too long a name',
    { 'linux.netDevices': { abcdefghijklmnop: {} } },
    'linux.netDevices.abcdefghijklmnop: invalid network device name "abcdefghijklmnop"; use 1 to 15 bytes without "/", ":" and spaces',
  ],
  [
    'a template of a name that is none',
    { 'linux.netDevices': { eth0: { name: 'eth%d%d' } } },
    'linux.netDevices.eth0: invalid network device name "eth%d%d"; a template has one "%d", and no other "%"',
  ],
  [
    'two network devices of one name',
    { 'linux.netDevices': { a: { name: 'eth0' }, eth0: {} } },
    'linux.netDevices.eth0: another device gets the name "eth0", too; give this one another',
  ],
  [
    'a closID that is a path',
    { 'linux.intelRdt': { closID: 'a/b' } },
    'linux.intelRdt.closID: invalid intelRdt.ClosID "a/b"; name a directory of the resctrl file system, or / for its root',
  ],
  [
    'a closID that is no group',
    { 'linux.intelRdt': { closID: 'info' } },
    'linux.intelRdt.closID: invalid group name "info", which the kernel uses; choose another one',
  ],
  [
    'a memBwSchema of another resource',
    { 'linux.intelRdt': { memBwSchema: 'L3:0=f' } },
    'linux.intelRdt.memBwSchema: "L3:0=f" must begin with MB:, such as "MB:0=20;1=70"',
  ],
  [
    'schemata of two lines',
    { 'linux.intelRdt': { schemata: ['L3:0=f', 'L2:0=f\nL3:0=f'] } },
    'linux.intelRdt.schemata[1]: "L2:0=f\\nL3:0=f" contains a line break; write one line',
  ],
  [
    'a memory policy without mode',
    { 'linux.memoryPolicy': { nodes: '0-7' } },
    'linux.memoryPolicy: invalid memory policy mode: it is missing; use one of MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, MPOL_PREFERRED_MANY, MPOL_LOCAL',
  ],
  [
    'an unknown mode of a memory policy',
    { 'linux.memoryPolicy': { mode: 'INTERLEAVE', nodes: '0' } },
    'linux.memoryPolicy.mode: invalid memory policy mode "INTERLEAVE"; use one of MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, MPOL_PREFERRED_MANY, MPOL_LOCAL',
  ],
  [
    'an unknown flag of a memory policy',
    {
      'linux.memoryPolicy': {
        mode: 'MPOL_PREFERRED',
        nodes: '0',
        flags: ['MPOL_F_RELATIVE_NODES', 'badflag'],
      },
    },
    'linux.memoryPolicy.flags[1]: invalid memory policy flag "badflag"; use one of MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES',
  ],
  [
    'memory nodes that no kernel has',
    { 'linux.memoryPolicy': { mode: 'MPOL_BIND', nodes: '0-9876543210' } },
    'linux.memoryPolicy.nodes: invalid memory policy nodes: "0-9876543210"; write a list such as "0-3,7", with numbers below 1024',
  ],
  [
    'memory nodes for a mode without',
    { 'linux.memoryPolicy': { mode: 'MPOL_DEFAULT', nodes: '0-7' } },
    'linux.memoryPolicy.nodes: memory policy mode requires 0 nodes but got 8; leave nodes out for MPOL_DEFAULT',
  ],
  [
    'no memory nodes for a mode with',
    { 'linux.memoryPolicy': { mode: 'MPOL_BIND' } },
    'linux.memoryPolicy.nodes: memory policy mode requires at least one node but got 0; MPOL_BIND needs nodes',
  ],
  [
    'flags of a memory policy that cannot be combined',
    {
      'linux.memoryPolicy': {
        mode: 'MPOL_BIND',
        nodes: '0',
        flags: ['MPOL_F_STATIC_NODES', 'MPOL_F_RELATIVE_NODES'],
      },
    },
    'linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES cannot be combined; keep one',
  ],
  [
    'a flag of nodes without nodes',
    { 'linux.memoryPolicy': { mode: 'MPOL_LOCAL', flags: ['MPOL_F_STATIC_NODES'] } },
    'linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES need nodes, which are missing; name them',
  ],
  [
    'NUMA balancing of a mode without',
    {
      'linux.memoryPolicy': {
        mode: 'MPOL_INTERLEAVE',
        nodes: '0',
        flags: ['MPOL_F_NUMA_BALANCING'],
      },
    },
    'linux.memoryPolicy.flags: MPOL_F_NUMA_BALANCING can only be used with MPOL_BIND and MPOL_PREFERRED_MANY, not with MPOL_INTERLEAVE',
  ],
  [
    'a personality without domain',
    { 'linux.personality': {} },
    'linux.personality.domain: is missing; add it',
  ],
  [
    'an unknown personality',
    { 'linux.personality': { domain: 'PER_LINUX32' } },
    'linux.personality.domain: unknown execution domain "PER_LINUX32"; use one of LINUX, LINUX32',
  ],
  [
    'a flag of the personality',
    { 'linux.personality': { domain: 'LINUX', flags: ['ADDR_NO_RANDOMIZE'] } },
    'linux.personality.flags[0]: unknown flag ADDR_NO_RANDOMIZE; the spec has no flags of the personality, leave it out',
  ],
];
