/** Invalid namespaces, and what belongs to one: mappings of ids, time offsets and sysctls. */
import { mappedUser, without, type Row } from './row.js';

export const namespaces: readonly Row[] = [
  [
    'a namespace without type',
    { 'linux.namespaces.6': { path: '/proc/1/ns/net' } },
    'linux.namespaces[6].type: is missing; add it',
  ],
  [
    'an unknown type of namespace',
    { 'linux.namespaces.6': { type: 'net' } },
    'linux.namespaces[6].type: unknown namespace type "net"; use one of pid, network, mount, ipc, uts, user, cgroup, time',
  ],
  [
    'a namespace twice',
    { 'linux.namespaces.6': { type: 'pid', path: '/proc/1/ns/pid' } },
    'linux.namespaces[6].type: "pid" appears twice; keep one',
  ],
  [
    'a relative path of a namespace',
    { 'linux.namespaces.1.path': 'netns' },
    'linux.namespaces[1].path: must be an absolute path, not "netns"',
  ],
  [
    'mappings without a user namespace',
    { 'linux.uidMappings': [{ containerID: 0, hostID: 0, size: 1 }] },
    'linux.uidMappings: user namespace mappings specified, but user namespace isn\'t enabled in the config; add {"type": "user"} to linux.namespaces, or remove the mappings',
  ],
  [
    'a user namespace without gidMappings',
    { ...mappedUser, 'linux.gidMappings': [] },
    'linux.gidMappings: is missing; give a new user namespace both kinds of mappings, or none',
  ],
  [
    'a mapping without size',
    { ...mappedUser, 'linux.gidMappings': [{ containerID: 0, hostID: 0 }] },
    'linux.gidMappings[0].size: is missing; add it',
  ],
  [
    'a mapping of no ids',
    {
      ...mappedUser,
      'linux.uidMappings': [
        { containerID: 0, hostID: 100000, size: 0 },
        { containerID: 0, hostID: 0, size: 1 },
      ],
    },
    'linux.uidMappings[0].size: must not be 0; give the number of ids to map',
  ],
  [
    'a mapping beyond the last id',
    {
      ...mappedUser,
      'linux.uidMappings': [{ containerID: 0, hostID: 4294967000, size: 1000 }],
    },
    'linux.uidMappings[0].size: 1000 ids reach beyond 4294967294, the last id',
  ],
  [
    'container ids mapped twice',
    {
      ...mappedUser,
      'linux.gidMappings': [
        { containerID: 0, hostID: 100000, size: 1000 },
        { containerID: 999, hostID: 300000, size: 1 },
      ],
    },
    'linux.gidMappings[1].containerID: overlaps the container ids of linux.gidMappings[0]',
  ],
  [
    'host ids mapped twice',
    {
      ...mappedUser,
      'linux.gidMappings': [
        { containerID: 0, hostID: 100000, size: 1000 },
        { containerID: 1000, hostID: 99999, size: 2 },
      ],
    },
    'linux.gidMappings[1].hostID: overlaps the host ids of linux.gidMappings[0]',
  ],
  [
    'too many mappings',
    {
      ...mappedUser,
      'linux.uidMappings': Array.from({ length: 341 }, (_, id) => ({
        containerID: id,
        hostID: 2 * id,
        size: 1,
      })),
    },
    "linux.uidMappings: 341 mappings; the kernel's limit is 340",
  ],
  [
    'mappings of more than a page',
    {
      ...mappedUser,
      // The line of this mapping is as long as the others.
      'linux.gidMappings': [{ containerID: 0, hostID: 900000000, size: 100 }].concat(
        Array.from({ length: 255 }, (_, id) => ({
          containerID: 100 * (id + 100),
          hostID: 100000 + 100 * id,
          size: 10,
        })),
      ),
    },
    "linux.gidMappings: 256 mappings are 4096 characters long; the kernel's limit is 4095; give fewer and larger ones",
  ],
  [
    'a sysctl of the whole host',
    { 'linux.sysctl': { 'kernel.core_pattern': '|/x' } },
    'linux.sysctl["kernel.core_pattern"]: sysctl "kernel.core_pattern" is not in a separate kernel namespace; it would be set for the whole host',
  ],
  [
    'a sysctl of the whole host, written with slashes',
    { 'linux.sysctl': { 'vm/swappiness': '1' } },
    'linux.sysctl["vm/swappiness"]: sysctl "vm.swappiness" is not in a separate kernel namespace; it would be set for the whole host',
  ],
  [
    'a sysctl that leaves its directory',
    { 'linux.sysctl': { 'net.//.kernel.core_pattern': '|/x' } },
    'linux.sysctl["net.//.kernel.core_pattern"]: sysctl "net.//.kernel.core_pattern" has an invalid name; write it like "net.core.somaxconn"',
  ],
  [
    'a sysctl that leaves its directory, written with slashes',
    { 'linux.sysctl': { 'net/../kernel/core_pattern': '|/x' } },
    'linux.sysctl["net/../kernel/core_pattern"]: sysctl "net.//.kernel.core_pattern" has an invalid name; write it like "net.core.somaxconn"',
  ],
  [
    'an empty name of a sysctl',
    { 'linux.sysctl': { '': '1' } },
    'linux.sysctl[""]: sysctl "" has an invalid name; write it like "net.core.somaxconn"',
  ],
  [
    'a sysctl of the network without a network namespace',
    { 'linux.namespaces': without('network'), 'linux.sysctl': { 'net.ipv4.ip_forward': '1' } },
    'linux.sysctl["net.ipv4.ip_forward"]: sysctl "net.ipv4.ip_forward" not allowed in host network namespace; add {"type": "network"} to linux.namespaces',
  ],
  [
    'a sysctl of System V IPC without an IPC namespace',
    { 'linux.namespaces': without('ipc'), 'linux.sysctl': { 'kernel.shmmax': '1' } },
    'linux.sysctl["kernel.shmmax"]: sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace; add {"type": "ipc"} to linux.namespaces',
  ],
  [
    'a sysctl of message queues without an IPC namespace',
    { 'linux.namespaces': without('ipc'), 'linux.sysctl': { 'fs.mqueue.msg_max': '1' } },
    'linux.sysctl["fs.mqueue.msg_max"]: sysctl "fs.mqueue.msg_max" is not allowed in the hosts ipc namespace; add {"type": "ipc"} to linux.namespaces',
  ],
  [
    'a sysctl of users without a user namespace',
    { 'linux.sysctl': { 'user.max_user_namespaces': '1' } },
    'linux.sysctl["user.max_user_namespaces"]: sysctl "user.max_user_namespaces" is not allowed without a user namespace; add {"type": "user"} to linux.namespaces',
  ],
  [
    'kernel.hostname',
    { 'linux.sysctl': { 'kernel.hostname': 'x' } },
    'linux.sysctl["kernel.hostname"]: sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field; use that',
  ],
  [
    'kernel.domainname that is not domainname',
    { domainname: 'a.example', 'linux.sysctl': { 'kernel/domainname': 'b.example' } },
    'linux.sysctl["kernel/domainname"]: sysctl "kernel.domainname" conflicts with the OCI "domainname" field, "a.example"; remove one of the two',
  ],
  [
    'kernel.domainname without a UTS namespace',
    {
      hostname: undefined,
      'linux.namespaces': without('uts'),
      'linux.sysctl': { 'kernel.domainname': 'x' },
    },
    'linux.sysctl["kernel.domainname"]: sysctl "kernel.domainname" is not in a separate kernel namespace; it would be set for the whole host',
  ],
  [
    'time offsets without a time namespace',
    { 'linux.timeOffsets': { monotonic: { secs: 1 } } },
    'linux.timeOffsets: time namespace offsets specified, but time namespace isn\'t enabled in the config; add {"type": "time"} to linux.namespaces, or remove the offsets',
  ],
  [
    'time offsets of a time namespace that is joined',
    {
      'linux.namespaces.6': { type: 'time', path: '/proc/1/ns/time' },
      'linux.timeOffsets': { monotonic: { secs: 1 } },
    },
    'linux.timeOffsets: time namespace enabled, but both namespace path and time offsets specified; the offsets of "/proc/1/ns/time" cannot be changed, remove them',
  ],
  [
    'a clock without offsets',
    { 'linux.namespaces.6': { type: 'time' }, 'linux.timeOffsets': { realtime: { secs: 1 } } },
    'linux.timeOffsets.realtime: unknown clock; a time namespace has monotonic and boottime',
  ],
  [
    'nanoseconds of a second',
    {
      'linux.namespaces.6': { type: 'time' },
      'linux.timeOffsets': { boottime: { nanosecs: 1000000000 } },
    },
    'linux.timeOffsets.boottime.nanosecs: 1000000000 is a second or more; use secs',
  ],
];
