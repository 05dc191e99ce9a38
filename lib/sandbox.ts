import { isAbsolute, relative, resolve } from 'node:path';
import { geteuid, getegid } from 'node:process';
import { binding } from './binding.js';
import { errorFrom, invalidArgument, TareError } from './errors.js';
import { bytesOf, checkedOptions, type ByteSize } from './option-values.js';
import { rlimitsOf, type Rlimits } from './rlimits.js';
import { checkedCommand, sandboxChecks } from './sandbox-checks.js';
import { defaultSeccomp, noSetIdSeccomp } from './seccomp-profile.js';
import type {
  Linux,
  Mount,
  NamespaceType,
  Process,
  Resources,
  Seccomp,
  Spec,
  User,
} from './spec.js';
import type { TerminalSize } from './terminal.js';

/** A file or directory of the host in the container. */
export interface BindMount {
  /**
   * On the host. No part of the path may be a symbolic link, which a command with a writable mount
   * could have put there: see `within`.
   */
  source: string;
  /**
   * A directory of the host below which `source` is looked up, relative to it or by a path that
   * begins with it. Symbolic links are followed there as long as they do not lead out of it.
   */
  within?: string;
  /** In the container, absolute. */
  destination: string;
  /**
   * Whether the container may write there; false by default. What root owns is root's in the
   * container too, which needs a file system that can be mounted with other ids (`idmap`), as most
   * can since Linux 6.6.
   */
  writable?: boolean;
}

/** What a container is allowed and what it sees. What is not said is the safest there is. */
export interface SandboxOptions {
  /**
   * Its root file system, a directory. Files keep the owners that they have, who are nobody in a
   * container of root's: what all may read can be read.
   */
  rootfs: string;
  /**
   * Whether the root cannot be written; true by default. /tmp and /run can in any case. What a
   * container of root's writes is owned as if root had written it, which needs a file system that
   * can be mounted with other ids (`idmap`), as most can since Linux 6.6.
   */
  readonly?: boolean;
  /** Files of the host, or mounts of the spec, on top of the root. */
  mounts?: readonly (BindMount | Mount)[];
  /**
   * Environment variables beside PATH, HOME and LANG. None comes from this program, unless it is given,
   * as by `process.env`; what is undefined is left out.
   */
  env?: Readonly<Record<string, string | undefined>>;
  /** The working directory; `/tmp` by default. */
  cwd?: string;
  /**
   * A uid, `UID:GID`, or all of it; 0 by default, which is nobody of the host. Another one needs, in a
   * container of an ordinary user, ranges of that user in /etc/subuid and /etc/subgid.
   */
  user?: number | string | User;
  /** What uname(2) calls the machine; `tare` by default. */
  hostname?: string;
  /** The most memory, swap space not counted. Infinity: no limit, as with the next two. */
  memory?: ByteSize;
  /** The most processor time, in processors: 0.5 is half of one. */
  cpus?: number;
  /** The most processes and threads. */
  pids?: number;
  /** Limits of getrlimit(2), of each process. Those that are absent are this program's. */
  rlimits?: Rlimits;
  /** `none` (by default), the host's, or the network namespace of that path. */
  network?:
    | 'none'
    | 'host'
    | {
        /** Such as `/run/netns/NAME`. */
        readonly path: string;
      };
  /** Capabilities, such as `CAP_NET_BIND_SERVICE`, within the container; none by default. */
  capabilities?: readonly string[];
  /** The allow-list of this library by default; a profile of your own; or `unconfined`. */
  seccomp?: 'default' | 'unconfined' | Seccomp;
  /** How large /tmp may become, and /dev/shm too; 64 MiB each by default. */
  tmpSize?: ByteSize;
  /** Whether the program has a pseudo-terminal as its standard streams, and of which size. */
  tty?: boolean | TerminalSize;
  /** Of the configuration, for whoever reads the state. */
  annotations?: Readonly<Record<string, string>>;
}

const namespaces: readonly NamespaceType[] = [
  'pid',
  'network',
  'ipc',
  'uts',
  'mount',
  'cgroup',
  'user',
];
/** In the place of this hostID the core puts the first of 65536 ids that no other container has. */
const ownIds = 0x7ffd0000;
const idCount = 65_536;

/**
 * What an ordinary user may have of these (128 instances, as a rule) is for all programs of that user. A
 * container of root's has as much of its own.
 */
const rootlessLimits = {
  'user.max_inotify_instances': '32',
  'user.max_inotify_watches': '8192',
};

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const periodUs = 100_000;

const masked = [
  ...['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats'],
  ...['sched_debug', 'scsi'],
].map((name) => `/proc/${name}`);
const readOnlyPaths = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`);

/**
 * The configuration of a container that runs `command` and is allowed what `options` say: every
 * namespace, no network, no capabilities, no new privileges, an allow-list of system calls. It is
 * an ordinary {@link Spec}, to be changed before it goes to {@link Container.create}.
 *
 * Root's containers have uids of their own: in the place of the `hostID` of its mappings
 * {@link Container.create} puts the first of 65536 ids that no other container has. An ordinary user's
 * have that one user's alone, and with another `user` than 0 those of /etc/subuid and /etc/subgid.
 *
 * @param command the program, looked up in the container's PATH, and its arguments
 * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT`, naming the option that cannot be. It does not
 * look at the host, but for the ids of `user`: what that lacks is told by {@link Container.create}.
 */
export function sandboxSpec(command: readonly string[], options: SandboxOptions): Spec {
  const args = checkedCommand(command);
  const checked = checkedOptions<SandboxOptions>(options, sandboxChecks);
  const { rootfs } = checked;
  if (rootfs === undefined) throw invalidArgument('rootfs: must be given');
  const { ociVersion, ...rest } = surroundingsOf(checked, rootOf({ ...checked, rootfs }, true));
  return { ociVersion, process: processOf(args, checked), ...rest };
}

/** Of the configuration what is about its process. */
export function processOf(
  command: readonly string[],
  options: Omit<SandboxOptions, 'rootfs'>,
): Process {
  const { tty = false, rlimits } = options;
  const size = typeof tty === 'object' ? tty : undefined;
  const capabilities = [...(options.capabilities ?? [])];
  return {
    args: [...command],
    cwd: options.cwd ?? '/tmp',
    env: environment(options.env, tty !== false),
    user: userOf(options.user ?? 0),
    terminal: tty !== false,
    ...(size && { consoleSize: { height: size.rows, width: size.columns } }),
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
    },
    ...(rlimits && { rlimits: rlimitsOf(rlimits) }),
    noNewPrivileges: true,
  };
}

/** What a container's root is made of. */
export interface Root {
  /** A directory. */
  path: string;
  /** What is mounted on that to be the root, if it is not the root itself. */
  mount?: Mount;
  /** What is mounted in it before the mounts of the options. */
  mounts: readonly Mount[];
  /**
   * Whether there is a directory /run, or can be: one that somebody else owns may lack it, and the
   * container's root could not make it.
   */
  hasRun: boolean;
}

const none: readonly Mount[] = [];

/** The directory of the options as a root. */
export function rootOf({ rootfs, readonly = true }: SandboxOptions, hasRun: boolean): Root {
  const path = resolve(rootfs);
  if (readonly || geteuid!() !== 0) return { path, mounts: none, hasRun };
  // Root's containers have other uids: what they write is to be owned by the host's.
  // A link could be another command's.
  const options = ['rbind', 'idmap', 'nosuid', 'nodev', 'src-no-symlinks'];
  return {
    path: '/',
    mount: { destination: '/', type: 'bind', source: path, options },
    mounts: none,
    hasRun,
  };
}

/** A root that is the container's alone, and starts empty. */
export function newRoot(
  { readonly = true, tmpSize }: Omit<SandboxOptions, 'rootfs'>,
  mounts: readonly Mount[],
): Root {
  const size = readonly ? small : bytesOf('tmpSize', tmpSize ?? defaultTmpSize);
  return { path: '/', mount: memory('/', '755', size, []), mounts, hasRun: true };
}

/** Of the configuration all else. */
export function surroundingsOf(options: Omit<SandboxOptions, 'rootfs'>, root: Root): Spec {
  const { network = 'none', hostname = 'tare' } = options;
  const maps = idMaps(userOf(options.user ?? 0));
  const seccomp = seccompOf(options);
  return {
    ociVersion: '1.3.0',
    root: { path: root.path, readonly: options.readonly ?? true },
    hostname,
    mounts: [
      ...(root.mount ? [copyOf(root.mount)] : []),
      ...systemMounts(options, network === 'none', root.hasRun),
      ...root.mounts.map(copyOf),
      ...(options.mounts ?? []).map(mountOf),
    ],
    ...(options.annotations && { annotations: { ...options.annotations } }),
    linux: {
      namespaces: namespaces
        .filter((type) => type !== 'network' || network !== 'host')
        .map((type) =>
          type === 'network' && typeof network === 'object'
            ? { type, path: resolve(network.path) }
            : { type },
        ),
      ...maps,
      ...(geteuid!() !== 0 && { sysctl: { ...rootlessLimits } }),
      resources: resourcesOf(options),
      ...(seccomp && { seccomp: seccomp === 'default' ? defaultSeccomp() : seccomp }),
      maskedPaths: network === 'none' ? [...masked, '/sys/firmware'] : [...masked],
      readonlyPaths: [...readOnlyPaths],
    },
  };
}

/** The filter: the default one by its name. */
export function seccompOf(
  options: Pick<SandboxOptions, 'seccomp' | 'readonly' | 'mounts'>,
): 'default' | Seccomp | undefined {
  const { seccomp = 'default' } = options;
  if (seccomp !== 'unconfined') return seccomp;
  return writesToHost(options) ? noSetIdSeccomp() : undefined;
}

/** Whether the container's processes can make files that are files of the host. */
function writesToHost({
  readonly = true,
  mounts = [],
}: Pick<SandboxOptions, 'readonly' | 'mounts'>): boolean {
  const isReadOnly = (mount: BindMount | Mount): boolean => {
    if (!('type' in mount || 'options' in mount)) return (mount as BindMount).writable !== true;
    // `ro` leaves what is mounted below as it is, and of contrary words the last one holds.
    const { options = [] } = mount;
    return options.includes('rro') && !options.some((word) => word === 'rw' || word === 'rrw');
  };
  return !readonly || !mounts.every(isReadOnly);
}

/**
 * Root's containers have ids of their own. An ordinary user may map one id without further privilege:
 * its own; for others newuidmap(1) is executed, which takes longer than all else.
 */
function idMaps(user: User): Pick<Linux, 'uidMappings' | 'gidMappings'> {
  if (geteuid!() === 0) {
    const range = { containerID: 0, hostID: ownIds, size: idCount };
    return { uidMappings: [range], gidMappings: [{ ...range }] };
  }
  const { uid = 0, gid = 0 } = user;
  if (uid === 0 && gid === 0) {
    return {
      uidMappings: [{ containerID: 0, hostID: geteuid!(), size: 1 }],
      gidMappings: [{ containerID: 0, hostID: getegid!(), size: 1 }],
    };
  }
  try {
    return binding.subordinateMappings();
  } catch (failure) {
    const { message, code } = errorFrom(failure) as TareError;
    throw new TareError(`user: ${uid}:${gid}: ${message}`, { code, path: 'user', cause: failure });
  }
}

const defaultTmpSize = '64MiB';
/** Bytes of a tmpfs for what takes next to none. */
const small = 2 ** 20;

function memory(destination: string, mode: string, limit: number, flags: string[]): Mount {
  return {
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', ...flags, `mode=${mode}`, `size=${limit}`],
  };
}

/** A new sysfs is the right of who owns the network namespace. */
function systemMounts(
  options: Pick<SandboxOptions, 'tmpSize'>,
  ownNetwork: boolean,
  hasRun: boolean,
): Mount[] {
  const bytes = bytesOf('tmpSize', options.tmpSize ?? defaultTmpSize);
  const quiet = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'noexec', 'strictatime', 'mode=755', `size=${small}`],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    memory('/dev/shm', '1777', bytes, ['noexec']),
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet },
    ...(ownNetwork
      ? [{ destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] }]
      : []),
    memory('/tmp', '1777', bytes, []),
    ...(hasRun ? [memory('/run', '755', small, [])] : []),
  ];
}

function resourcesOf(options: Pick<SandboxOptions, 'memory' | 'cpus' | 'pids'>): Resources {
  const { memory, cpus, pids } = options;
  const limit = memory === undefined || memory === Infinity ? undefined : bytesOf('memory', memory);
  return {
    devices: [{ allow: false, access: 'rwm' }],
    // Swap space beside it would only make the end come later.
    ...(limit !== undefined && { memory: { limit, swap: limit } }),
    ...(cpus !== undefined &&
      cpus !== Infinity && {
        cpu: { period: periodUs, quota: Math.round(cpus * periodUs) },
      }),
    ...(pids !== undefined && pids !== Infinity && { pids: { limit: pids } }),
  };
}

/** Whoever gets the specification may change it. */
function copyOf(mount: Mount): Mount {
  const { options } = mount;
  return Array.isArray(options) ? { ...mount, options: [...options] } : { ...mount };
}

function mountOf(mount: BindMount | Mount, index: number): Mount {
  if ('type' in mount || 'options' in mount) return copyOf(mount);
  const { source, within, destination, writable = false } = mount as BindMount;
  // Root's containers have other uids: their root is shown as the owner of what root owns.
  const owners = geteuid!() === 0 ? ['idmap'] : [];
  const flags = ['rbind', 'nosuid', 'nodev', writable ? 'rw' : 'rro', ...owners];
  return within === undefined
    ? { source: resolve(source), destination, options: [...flags, 'src-no-symlinks'] }
    : {
        source: pathWithin(`mounts[${index}]`, source, within),
        destination,
        options: [...flags, `src-within=${resolve(within)}`],
      };
}

/** `source` as seen from `within`. Where it leads, the kernel sees. */
function pathWithin(place: string, source: string, within: string): string {
  const path = isAbsolute(source) ? relative(within, source) : source;
  if (isAbsolute(source) && /^\.\.(?:\/|$)/.test(path)) {
    throw invalidArgument(`${place}.source: ${source} is not below ${within}, which is its within`);
  }
  return path === '' ? '.' : path;
}

function environment(given: SandboxOptions['env'], terminal: boolean): string[] {
  const all: Record<string, string | undefined> = {
    ...{ PATH: path, HOME: '/tmp', LANG: 'C.UTF-8' },
    ...(terminal && { TERM: 'xterm' }),
  };
  for (const [name, value] of Object.entries(given ?? {}))
    if (value !== undefined) all[name] = value;
  return Object.entries(all).map(([name, value]) => `${name}=${value}`);
}

function userOf(user: number | string | User): User {
  if (typeof user === 'object') return user;
  const [uid = 0, gid = uid] = String(user).split(':').map(Number);
  return { uid, gid };
}
