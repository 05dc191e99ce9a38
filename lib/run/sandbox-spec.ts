import { isAbsolute, relative, resolve } from 'node:path';
import { geteuid, getegid } from 'node:process';
import { binding } from '../native/binding.js';
import { errorFrom, invalidArgument, TareError } from '../errors.js';
import { bytesOf, checkedOptions, ordinary, type ByteSize } from '../options/option-values.js';
import { rlimitsOf, type Rlimits } from './rlimits.js';
import { checkedCommand, sandboxChecks } from './sandbox-checks.js';
import { defaultSeccomp, noSetIdSeccomp } from '../spec/seccomp-profile.js';
import type {
  Linux,
  Mount,
  NamespaceType,
  Process,
  Resources,
  Seccomp,
  Spec,
  User,
} from '../spec/spec.js';
import type { TerminalSize } from '../container/terminal.js';

/** A file or directory of the host that is mounted in the container. */
export interface BindMount {
  /**
   * Path on the host. No part of it may be a symbolic link, because a command with a writable mount
   * could have created that; see `within`.
   */
  source: string;
  /**
   * A directory of the host below which `source` is looked up, relative to it or as a path that
   * begins with it. Symbolic links are followed there unless they lead out of the directory.
   */
  within?: string;
  /** Absolute path in the container. */
  destination: string;
  /**
   * Whether the container may write to it; false by default. In a container created by root, files
   * of the host's root belong to the container's root. This needs a file system that supports
   * id-mapped mounts (`idmap`), as most do since Linux 6.6.
   */
  writable?: boolean;
}

/** What a container may do and what it sees. Each default is the safest choice. */
export interface SandboxOptions {
  /**
   * Directory of the root file system. Files keep their owners, which are no users of a container
   * created by root: it can read what every user may read.
   */
  rootfs: string;
  /**
   * Whether the root is read-only; true by default. /tmp and /run are always writable. What a
   * container created by root writes is owned by root on the host. This needs a file system that
   * supports id-mapped mounts (`idmap`), as most do since Linux 6.6.
   */
  readonly?: boolean;
  /** Bind mounts of host files, or mounts of the runtime-spec, on top of the root. */
  mounts?: readonly (BindMount | Mount)[];
  /**
   * Environment variables besides PATH, HOME and LANG. This program's variables are not inherited
   * unless they are given, e.g. as `process.env`. Undefined values are left out.
   */
  env?: Readonly<Record<string, string | undefined>>;
  /** The working directory; `/tmp` by default. */
  cwd?: string;
  /**
   * A uid, `UID:GID`, or a {@link User}; 0 by default, which is root only within the container. In
   * a container created by an ordinary user, another one needs ranges for that user in /etc/subuid
   * and /etc/subgid.
   */
  user?: number | string | User;
  /** Hostname, as in uname(2); `tare` by default. */
  hostname?: string;
  /** Max memory; there is no swap space beside it. Infinity: no limit, as for `cpus` and `pids`. */
  memory?: ByteSize;
  /** Max CPU time, in processors: 0.5 is half of one. */
  cpus?: number;
  /** Max number of processes and threads. */
  pids?: number;
  /** Limits of getrlimit(2) for each process. Absent ones are those of this program. */
  rlimits?: Rlimits;
  /** `none` (the default), `host`, or the network namespace of a path. */
  network?:
    | 'none'
    | 'host'
    | {
        /** Path of the namespace, such as `/run/netns/NAME`. */
        readonly path: string;
      };
  /** Capabilities within the container, such as `CAP_NET_BIND_SERVICE`; none by default. */
  capabilities?: readonly string[];
  /**
   * Filter of system calls: {@link defaultSeccomp} by default, a profile of your own, or
   * `unconfined`.
   */
  seccomp?: 'default' | 'unconfined' | Seccomp;
  /** Max size of /tmp, and of /dev/shm; 64 MiB each by default. */
  tmpSize?: ByteSize;
  /** Whether the program gets a pseudo-terminal as its standard streams, and its size. */
  tty?: boolean | TerminalSize;
  /** Annotations of the configuration, which also appear in the state. */
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
/**
 * A placeholder: the core replaces this hostID by the first of 65536 ids that no other container
 * has.
 */
const ownIds = 0x7ffd0000;
const idCount = 65_536;

/**
 * An ordinary user's inotify limits (128 instances, as a rule) are shared by all programs of that
 * user. A container created by root has limits of its own.
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
 * Returns the configuration of a container that runs `command` with what `options` allow: by
 * default new namespaces of every type except time, no network, no capabilities, no new privileges,
 * an allowlist of system calls. It is an ordinary {@link Spec}, which can be changed before it is
 * passed to {@link Container.create}.
 *
 * A container created by root has uids of its own: {@link Container.create} replaces the `hostID`
 * of its mappings by the first of 65536 ids that no other container has. A container created by an
 * ordinary user maps only that user and, with another `user` than 0, the ids of /etc/subuid and
 * /etc/subgid.
 *
 * @param command the program, looked up in the container's PATH, and its arguments
 * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT`, naming the invalid option. The host is not
 * examined, except for the ids of `user`: {@link Container.create} reports what the host lacks.
 */
export function sandboxSpec(command: readonly string[], options: SandboxOptions): Spec {
  const args = checkedCommand(command);
  const checked = checkedOptions<SandboxOptions>(options, sandboxChecks);
  const { rootfs } = checked;
  if (rootfs === undefined) throw invalidArgument('rootfs: must be given');
  const { ociVersion, ...rest } = surroundingsOf(checked, rootOf(checked, true));
  return { ociVersion, process: processOf(args, checked), ...rest };
}

/** Returns the process of the configuration. */
export function processOf(
  command: readonly string[],
  options: Omit<SandboxOptions, 'rootfs'>,
): Process {
  const { tty = false, rlimits } = options;
  const size = typeof tty === 'object' ? tty : undefined;
  const capabilities = capabilitiesOf(options);
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

/**
 * Returns the capabilities. In a container created by root a writable mount maps the container's
 * root to the host's, so a file capability set there (capabilities(7)) would hold on the host.
 */
function capabilitiesOf(options: Omit<SandboxOptions, 'rootfs'>): string[] {
  const { capabilities = [] } = options;
  if (geteuid!() === 0 && capabilities.includes('CAP_SETFCAP') && writesToHost(options)) {
    throw invalidArgument(
      'capabilities: CAP_SETFCAP: file capabilities set in a writable mount or root would hold ' +
        'on the host; leave it out, or make all mounts and the root read-only',
    );
  }
  return [...capabilities];
}

/** A container's root file system. */
export interface Root {
  /** A directory. */
  path: string;
  /** Mounted on `path` to be the root, if the directory itself is not. */
  mount?: Mount;
  /** Mounts in the root, made before the mounts of the options. */
  mounts: readonly Mount[];
  /**
   * Whether /run exists or can be created: a root with another owner may lack it, and the
   * container's root could not create it.
   */
  hasRun: boolean;
}

const none: readonly Mount[] = [];

/** Returns the root for the directory of the options. */
export function rootOf({ rootfs, readonly = true }: SandboxOptions, hasRun: boolean): Root {
  const path = resolve(rootfs);
  if (readonly || geteuid!() !== 0) return { path, mounts: none, hasRun };
  // A container created by root has other uids, but what it writes must be owned by the host's
  // root. A symlink could have been created by another command.
  const options = ['rbind', 'idmap', 'nosuid', 'nodev', 'src-no-symlinks'];
  return {
    path: '/',
    mount: { destination: '/', type: 'bind', source: path, options },
    mounts: none,
    hasRun,
  };
}

/** Returns a new root, which starts empty. */
export function newRoot(
  { readonly = true, tmpSize }: Omit<SandboxOptions, 'rootfs'>,
  mounts: readonly Mount[],
): Root {
  const size = readonly ? small : bytesOf('tmpSize', tmpSize ?? defaultTmpSize);
  return { path: '/', mount: memory('/', '755', size, []), mounts, hasRun: true };
}

/** Returns the configuration without its process. */
export function surroundingsOf(options: Omit<SandboxOptions, 'rootfs'>, root: Root): Spec {
  const { network = 'none', hostname = 'tare' } = options;
  const maps = idMaps(userOf(options.user ?? 0));
  const seccomp = seccompOf(options);
  return {
    ociVersion: '1.3.0',
    root: { path: root.path, readonly: options.readonly ?? true },
    hostname,
    mounts: [
      ...(root.mount ? [ordinary(root.mount)] : []),
      ...systemMounts(options, network === 'none', root.hasRun),
      ...root.mounts.map(ordinary),
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
      ...(seccomp && { seccomp: seccomp === 'default' ? defaultSeccomp() : ordinary(seccomp) }),
      maskedPaths: network === 'none' ? [...masked, '/sys/firmware'] : [...masked],
      readonlyPaths: [...readOnlyPaths],
    },
  };
}

/** Returns the seccomp filter; the default one by its name. */
export function seccompOf(
  options: Pick<SandboxOptions, 'seccomp' | 'readonly' | 'mounts'>,
): 'default' | Seccomp | undefined {
  const { seccomp = 'default' } = options;
  if (seccomp !== 'unconfined') return seccomp;
  // An ordinary user's own files, such as one for standard output, are the container root's.
  return geteuid!() !== 0 || writesToHost(options) ? noSetIdSeccomp() : undefined;
}

/** Whether the container's processes can create files in a file system of the host. */
function writesToHost({
  readonly = true,
  mounts = [],
}: Pick<SandboxOptions, 'readonly' | 'mounts'>): boolean {
  const isReadOnly = (mount: BindMount | Mount): boolean => {
    if (!('type' in mount || 'options' in mount)) return (mount as BindMount).writable !== true;
    // `ro` does not apply to submounts, and of contradicting options the last one wins.
    const { options = [] } = mount;
    return options.includes('rro') && !options.some((word) => word === 'rw' || word === 'rrw');
  };
  return !readonly || !mounts.every(isReadOnly);
}

/**
 * Returns the id mappings. Containers created by root have ids of their own. An ordinary user may
 * map its own id without privilege; for others newuidmap(1) is executed, which takes longer than
 * everything else.
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
/** Size in bytes of a tmpfs that holds very little. */
const small = 2 ** 20;

function memory(destination: string, mode: string, limit: number, flags: string[]): Mount {
  return {
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', ...flags, `mode=${mode}`, `size=${limit}`],
  };
}

/** Returns the system mounts. Mounting sysfs needs ownership of the network namespace. */
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
    // Swap would only delay the OOM kill.
    ...(limit !== undefined && { memory: { limit, swap: limit } }),
    ...(cpus !== undefined &&
      cpus !== Infinity && {
        cpu: { period: periodUs, quota: Math.round(cpus * periodUs) },
      }),
    ...(pids !== undefined && pids !== Infinity && { pids: { limit: pids } }),
  };
}

function mountOf(mount: BindMount | Mount, index: number): Mount {
  if ('type' in mount || 'options' in mount) return ordinary<Mount>(mount);
  const { source, within, destination, writable = false } = mount as BindMount;
  // A container created by root has other uids: id-mapped mounts show files of the host's root as
  // owned by the container's root.
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

/** Returns `source` relative to `within`. The kernel checks where it leads. */
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
  if (typeof user === 'object') return ordinary(user);
  const [uid = 0, gid = uid] = String(user).split(':').map(Number);
  return { uid, gid };
}
