/** Invalid values in `mounts` and `hooks`. */
import { mappedUser, unsupported, without, type Row } from './row.js';

/** A user namespace instead of the mount namespace. */
const userWithoutMounts = {
  'linux.namespaces.4': { type: 'user' },
  'linux.uidMappings': mappedUser['linux.uidMappings'],
  'linux.gidMappings': mappedUser['linux.gidMappings'],
};

export const mounts: readonly Row[] = [
  [
    'a mount without destination',
    { 'mounts.7': { type: 'tmpfs', source: 'tmpfs' } },
    'mounts[7].destination: is missing; add it',
  ],
  [
    'a mount with an empty destination',
    { 'mounts.7': { destination: '', type: 'tmpfs', source: 'tmpfs' } },
    'mounts[7].destination: must not be empty; give an absolute path',
  ],
  [
    'a mount on the root',
    { 'mounts.7': { destination: '/tmp/..', type: 'tmpfs', source: 'tmpfs' } },
    'mounts[7].destination: is the root itself, which only the first mount can be; make it mounts[0]',
  ],
  [
    'a remount of the root',
    { 'mounts.0': { destination: '/', options: ['remount', 'ro'] } },
    'mounts[0].destination: is the root itself, which is not remounted; set root.readonly, or give the mount that is the root these options',
  ],
  [
    'a procfs as the root',
    { 'mounts.0': { destination: '/', type: 'proc', source: 'proc' } },
    'mounts[0].type: "/" cannot be of type proc; give it a file system for programs, such as tmpfs, overlay or a bind mount',
  ],
  [
    'a link as the root',
    { 'mounts.0': { destination: '/', source: '/x', options: ['bind', 'copy-symlink'] } },
    'mounts[0].options: "copy-symlink" would make "/" a symlink; remove it',
  ],
  [
    'a mount as the root of a mount namespace of others',
    {
      'mounts.0': { destination: '/', type: 'tmpfs', source: 'tmpfs' },
      'linux.namespaces.4': { type: 'mount', path: '/proc/1/ns/mnt' },
    },
    'mounts[0].destination: is the root itself, which is mounted in a new mount namespace only; add {"type": "mount"} to linux.namespaces',
  ],
  [
    'a file system from below a directory',
    { 'mounts.7': { destination: '/mnt', type: 'tmpfs', source: 'x', options: ['src-within=/x'] } },
    'mounts[7].options[0]: "src-within" is about the source of a bind mount; remove it',
  ],
  [
    'a file system whose source has no links',
    {
      'mounts.7': { destination: '/mnt', type: 'tmpfs', source: 'x', options: ['src-no-symlinks'] },
    },
    'mounts[7].options[0]: "src-no-symlinks" is about the source of a bind mount; remove it',
  ],
  [
    'a bind mount from below no directory',
    { 'mounts.7': { destination: '/mnt', source: 'x', options: ['bind', 'src-within'] } },
    'mounts[7].options[1]: "src-within" needs the absolute path of a directory; write src-within=/DIRECTORY',
  ],
  [
    'a bind mount from below a directory by an absolute path',
    { 'mounts.7': { destination: '/mnt', source: '/x/y', options: ['bind', 'src-within=/x'] } },
    'mounts[7].source: must be relative to the directory of "src-within"',
  ],
  [
    'a bind mount without source',
    { 'mounts.7': { destination: '/mnt', type: 'none', options: ['rbind'] } },
    'mounts[7].source: is missing; name the file or directory to bind',
  ],
  [
    'a mount without type',
    { 'mounts.7': { destination: '/mnt', source: 'x' } },
    'mounts[7].type: is missing; name the filesystem, or add the option "bind"',
  ],
  [
    'another filesystem on /proc',
    { 'mounts.0.destination': '/./proc/', 'mounts.0.type': 'tmpfs', 'mounts.0.source': 'tmpfs' },
    'mounts[0].type: "/proc" cannot be mounted because it is not of type proc; set its type to proc',
  ],
  [
    'a mount below /proc',
    { 'mounts.7': { destination: '//proc/self/attr', type: 'tmpfs', source: 'tmpfs' } },
    'mounts[7].destination: "/proc/self/attr" cannot be mounted because it is inside /proc; remove the mount',
  ],
  [
    'a bind mount over a file of procfs',
    {
      'mounts.7': {
        destination: 'proc/sys/kernel/core_pattern',
        source: '/dev/null',
        options: ['bind'],
      },
    },
    'mounts[7].destination: "/proc/sys/kernel/core_pattern" cannot be mounted because it is inside /proc; remove the mount',
  ],
  [
    'the option idmap without mappings',
    { 'mounts.7': { destination: '/mnt', source: '/tmp', options: ['rbind', 'idmap'] } },
    'mounts[7].options[1]: id-mapped mounts must have both uid and gid mappings specified; give the mount uidMappings and gidMappings, or the container a user namespace',
  ],
  [
    'an id-mapped file system',
    { 'mounts.7': { destination: '/mnt', type: 'tmpfs', source: 'x', options: ['ridmap'] } },
    'mounts[7].options[0]: id-mapped mounts are only supported for bind-mounts; bind a directory of the host, or remove it',
  ],
  [
    'uidMappings of a file system',
    { 'mounts.1.uidMappings': [{ containerID: 0, hostID: 0, size: 1 }] },
    'mounts[1].uidMappings: id-mapped mounts are only supported for bind-mounts; bind a directory of the host, or remove it',
  ],
  [
    'gidMappings alone',
    {
      'mounts.7': {
        destination: '/mnt',
        source: '/tmp',
        options: ['bind'],
        gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      },
    },
    'mounts[7].uidMappings: is missing; id-mapped mounts must have both uid and gid mappings specified',
  ],
  [
    'mappings of a mount that overlap',
    {
      'mounts.7': {
        destination: '/mnt',
        source: '/tmp',
        options: ['bind'],
        uidMappings: [
          { containerID: 0, hostID: 0, size: 10 },
          { containerID: 9, hostID: 100, size: 1 },
        ],
        gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      },
    },
    'mounts[7].uidMappings[1].containerID: overlaps the container ids of mounts[7].uidMappings[0]',
  ],
  [
    'a bind mount with a word that is no option',
    { 'mounts.7': { destination: '/mnt', source: '/tmp', options: ['ro', 'bind', 'nosiud'] } },
    'mounts[7].options[2]: invalid mount option "nosiud": bind mounts cannot have any filesystem-specific options applied; remove it',
  ],
  [
    'tmpcopyup of what is no tmpfs',
    { 'mounts.7': { destination: '/mnt', type: 'proc', source: 'x', options: ['tmpcopyup'] } },
    'mounts[7].options[0]: "tmpcopyup" fills a tmpfs; give the mount the type "tmpfs", or remove it',
  ],
  [
    'a mount without end of options',
    {
      'mounts.7': {
        destination: '/mnt',
        type: 'overlay',
        source: 'x',
        options: [`lowerdir=/a:/${'b'.repeat(300)}:${'/c:'.repeat(1500)}/d`],
      },
    },
    "mounts[7].options[0]: 301 bytes long; the kernel's limit is 255 if all options together exceed 4095 bytes; shorten its paths, or mount it on the host and bind it",
    unsupported,
  ],
  [
    'mounts in a user namespace without a mount namespace',
    userWithoutMounts,
    'mounts: unable to mount without a private MNT namespace; add {"type": "mount"} to linux.namespaces',
  ],
  [
    'a read-only root in a user namespace without a mount namespace',
    { mounts: [], ...userWithoutMounts },
    'root.readonly: unable to make the root read-only without a private MNT namespace; add {"type": "mount"} to linux.namespaces',
  ],
  [
    'rootfsPropagation without a mount namespace',
    {
      'root.readonly': false,
      mounts: [],
      'linux.namespaces': without('mount'),
      'linux.rootfsPropagation': 'shared',
    },
    'linux.rootfsPropagation: unable to change the root\'s propagation without a private MNT namespace; add {"type": "mount"} to linux.namespaces',
  ],
  [
    'masked paths without a mount namespace',
    { 'root.readonly': false, mounts: [], 'linux.namespaces': without('mount') },
    'linux.maskedPaths: unable to restrict sys entries without a private MNT namespace; add {"type": "mount"} to linux.namespaces',
  ],
  [
    'read-only paths without a mount namespace',
    {
      'root.readonly': false,
      mounts: [],
      'linux.namespaces': without('mount'),
      'linux.maskedPaths': [],
    },
    'linux.readonlyPaths: unable to restrict sys entries without a private MNT namespace; add {"type": "mount"} to linux.namespaces',
  ],
  [
    'a relative path of a prestart hook',
    { hooks: { prestart: [{ path: '/bin/true' }, { path: 'true' }] } },
    'hooks.prestart[1].path: must be an absolute path, not "true"',
  ],
  [
    'a relative path of a createRuntime hook',
    { hooks: { createRuntime: [{ path: '/bin/true' }, { path: 'true' }] } },
    'hooks.createRuntime[1].path: must be an absolute path, not "true"',
  ],
  [
    'a relative path of a createContainer hook',
    { hooks: { createContainer: [{ path: '/bin/true' }, { path: 'true' }] } },
    'hooks.createContainer[1].path: must be an absolute path, not "true"',
  ],
  [
    'a relative path of a startContainer hook',
    { hooks: { startContainer: [{ path: '/bin/true' }, { path: 'true' }] } },
    'hooks.startContainer[1].path: must be an absolute path, not "true"',
  ],
  [
    'a relative path of a poststart hook',
    { hooks: { poststart: [{ path: '/bin/true' }, { path: 'true' }] } },
    'hooks.poststart[1].path: must be an absolute path, not "true"',
  ],
  [
    'a relative path of a poststop hook',
    { hooks: { poststop: [{ path: '/bin/true' }, { path: 'true' }] } },
    'hooks.poststop[1].path: must be an absolute path, not "true"',
  ],
  [
    'a hook without path',
    { hooks: { poststop: [{ args: ['true'] }] } },
    'hooks.poststop[0].path: is missing; add it',
  ],
  [
    'a hook with an empty path',
    { hooks: { poststop: [{ path: '' }] } },
    'hooks.poststop[0].path: must not be empty; give an absolute path',
  ],
  [
    'a timeout of 0',
    { hooks: { poststop: [{ path: '/bin/true', timeout: 0 }] } },
    'hooks.poststop[0].timeout: must be greater than 0 seconds, not 0; leave it out for no timeout',
  ],
  [
    'more layers than overlayfs takes',
    {
      'mounts.7': {
        destination: '/o',
        type: 'overlay',
        source: 'overlay',
        options: ['ro', `lowerdir=${'/a:'.repeat(500)}/b\\:c`],
      },
    },
    'mounts[7].options[1]: 501 layers; the limit of overlayfs is 500',
  ],
];
