/**
 * config.json of the OCI runtime-spec, as far as tare implements it. Names and meanings are those
 * of the spec's config.md and config-linux.md.
 */

/** A 64-bit number of the spec. Above `Number.MAX_SAFE_INTEGER` only a bigint is exact. */
export type Uint64 = number | bigint;

/** A container's configuration, config.json: the spec's config.md. */
export interface Spec {
  /** The version of the runtime-spec that the configuration follows, e.g. `1.2.0`. */
  ociVersion: string;
  /** The process that runs in the container. */
  process?: Process;
  /** The container's root file system. */
  root: Root;
  /** Hostname; needs a `uts` namespace. */
  hostname?: string;
  /** The NIS domain name; needs a `uts` namespace. */
  domainname?: string;
  /** Mounts on top of the root, made in this order. */
  mounts?: Mount[];
  /** Programs that are run when the container is created, started and deleted. */
  hooks?: Hooks;
  /** Arbitrary metadata, which the state contains too. tare interprets none except its own. */
  annotations?: Record<string, string>;
  /** Configuration specific to Linux: namespaces, limits, devices, seccomp. */
  linux?: Linux;
}

/** A process in the container: the first one, or one of {@link Container.exec}. */
export interface Process {
  /** Whether the process gets a pseudo-terminal as its standard streams. */
  terminal?: boolean;
  /** The size of that pseudo-terminal. */
  consoleSize?: Box;
  /** Ids that it runs as; uid and gid 0 by default. */
  user?: User;
  /** The program, looked up in the container's PATH, and its arguments. */
  args: string[];
  /** Environment, `NAME=value` each. */
  env?: string[];
  /** Working directory, an absolute path in the container. */
  cwd: string;
  /** Capabilities; none if absent. */
  capabilities?: Capabilities;
  /** Limits of getrlimit(2); those of the caller if absent. */
  rlimits?: Rlimit[];
  /** Whether no_new_privs is set, see prctl(2). */
  noNewPrivileges?: boolean;
  /** An AppArmor profile that is loaded on the host. */
  apparmorProfile?: string;
  /** Adjustment for the OOM killer, from -1000 (never killed) to 1000 (killed first). */
  oomScoreAdj?: number;
  /** An SELinux context. */
  selinuxLabel?: string;
  /** CPU scheduling policy. */
  scheduler?: Scheduler;
  /** I/O priority. */
  ioPriority?: IOPriority;
  /** CPU affinity of processes that `exec` starts. */
  execCPUAffinity?: CPUAffinity;
}

/** See sched(7) and sched_setattr(2). */
export interface Scheduler {
  /** `SCHED_OTHER`, `SCHED_FIFO`, `SCHED_RR`, `SCHED_BATCH`, `SCHED_IDLE`, `SCHED_DEADLINE` */
  policy: string;
  /** From -20 to 19. */
  nice?: number;
  /** From 1 to 99, for `SCHED_FIFO` and `SCHED_RR`. */
  priority?: number;
  /** `SCHED_FLAG_…` */
  flags?: string[];
  /** Nanoseconds of CPU time in each period, for `SCHED_DEADLINE`. */
  runtime?: Uint64;
  /** Nanoseconds from the start of a period within which it gets that time. */
  deadline?: Uint64;
  /** Length of a period, in nanoseconds. */
  period?: Uint64;
}

/** See ioprio_set(2). */
export interface IOPriority {
  /** Real time, best effort, or only when no other process wants the disk. */
  class: 'IOPRIO_CLASS_RT' | 'IOPRIO_CLASS_BE' | 'IOPRIO_CLASS_IDLE';
  /** From 0 (highest) to 7. */
  priority?: number;
}

/** Lists of processors such as `0-3,7`. */
export interface CPUAffinity {
  /** While the process is being started. */
  initial?: string;
  /** Once it is in the container's cgroup. */
  final?: string;
}

/** A terminal's size in characters. */
export interface Box {
  /** Lines. */
  height: number;
  /** Columns. */
  width: number;
}

/** Ids in the container's user namespace. */
export interface User {
  /** User id. */
  uid: number;
  /** Group id. */
  gid: number;
  /**
   * Umask of the process; the runtime's default if absent. A number, so `0o022` rather than `22`.
   */
  umask?: number;
  /** Supplementary groups. */
  additionalGids?: number[];
}

/**
 * Sets of capabilities(7), by names such as `CAP_KILL`. tare warns about a name that the kernel
 * does not know.
 */
export interface Capabilities {
  /** The most that the process can ever get. */
  bounding?: string[];
  /** Capabilities in force. */
  effective?: string[];
  /** Capabilities that it can pass on to programs whose files have them as inheritable. */
  inheritable?: string[];
  /** Capabilities that it can make effective. */
  permitted?: string[];
  /**
   * Capabilities passed on to programs whose files have none; each must be permitted and
   * inheritable.
   */
  ambient?: string[];
}

/** A limit of getrlimit(2). */
export interface Rlimit {
  /** A name of getrlimit(2), e.g. `RLIMIT_NOFILE`. */
  type: string;
  /** The limit in force, in the unit of the type. */
  soft: Uint64;
  /** The highest value to which the process itself may raise `soft`. */
  hard: Uint64;
}

/** The root file system: `root` in the spec's config.md. */
export interface Root {
  /** Path of the root file system, absolute or relative to the bundle. */
  path: string;
  /** Whether it is read-only; false by default. */
  readonly?: boolean;
}

/** A mount: `mounts` in the spec's config.md and config-linux.md. */
export interface Mount {
  /** Mount point, an absolute path in the container. */
  destination: string;
  /** Type of the file system; the options `bind` and `rbind` imply `bind`. */
  type?: string;
  /**
   * A device, a name or, for a bind mount, a path on the host, absolute or relative to the bundle.
   */
  source?: string;
  /** Options of mount(8), and those of the spec such as `rro` and `tmpcopyup`. */
  options?: string[];
  /** User ids of an id-mapped bind mount: `containerID` on disk is `hostID` outside. */
  uidMappings?: IdMapping[];
  /** Group ids of an id-mapped bind mount. */
  gidMappings?: IdMapping[];
}

/** A program of {@link Hooks}. */
export interface Hook {
  /** Absolute path of the program. */
  path: string;
  /** Arguments, beginning with `argv[0]`. */
  args?: string[];
  /** Environment, `NAME=value` each; the caller's is not inherited. */
  env?: string[];
  /** Seconds until it is killed. */
  timeout?: number;
}

/**
 * Programs that run at certain points. Each gets the container's state on its standard input. A
 * failed hook makes its operation fail with `ERR_TARE_HOOK_FAILED`, and ends the container;
 * failures of `poststop` are warnings.
 */
export interface Hooks {
  /** @deprecated by the spec, in favour of `createRuntime`. */
  prestart?: Hook[];
  /** Run on the host, when the namespaces exist and before the root is changed. */
  createRuntime?: Hook[];
  /** Run at the same time in the container's namespaces; the path is one of the host. */
  createContainer?: Hook[];
  /** Run in the container by `start`, before the program. */
  startContainer?: Hook[];
  /** Run on the host, when the program runs. */
  poststart?: Hook[];
  /** Run on the host, when the container is deleted. */
  poststop?: Hook[];
}

/** The configuration specific to Linux: config-linux.md. */
export interface Linux {
  /** User id mappings; need a new `user` namespace. */
  uidMappings?: IdMapping[];
  /** Group id mappings; need a new `user` namespace. */
  gidMappings?: IdMapping[];
  /** Kernel parameters by name, such as `net.ipv4.ip_forward`. */
  sysctl?: Record<string, string>;
  /** Resource limits. */
  resources?: Resources;
  /**
   * Path of the cgroup, absolute from the root of the cgroup tree, or relative to where the runtime
   * keeps its cgroups. With systemd: SLICE:PREFIX:NAME for the unit PREFIX-NAME.scope in SLICE, or
   * SLICE:NAME for NAME.scope.
   */
  cgroupsPath?: string;
  /** Namespaces of the container; it shares those of other types with the caller. */
  namespaces?: Namespace[];
  /** Device nodes to create besides the spec's default ones. */
  devices?: Device[];
  /** Filter of system calls. */
  seccomp?: Seccomp;
  /** Propagation of mounts below the root to and from the host: `private`, `slave`, `shared`, … */
  rootfsPropagation?: string;
  /** Paths that the container cannot read. */
  maskedPaths?: string[];
  /** Paths that the container cannot write to. */
  readonlyPaths?: string[];
  /** SELinux context of the container's mounts. */
  mountLabel?: string;
  /** Network devices of the host, by name, that are moved into the container. */
  netDevices?: Record<string, NetDevice>;
  /** Allocation of caches and memory bandwidth, by a resctrl file system. */
  intelRdt?: IntelRdt;
  /** The kind of machine that programs see. */
  personality?: Personality;
  /** Clock offsets; need a new `time` namespace, see time_namespaces(7). */
  timeOffsets?: {
    /** Offset of CLOCK_MONOTONIC. */
    monotonic?: TimeOffset;
    /** Offset of CLOCK_BOOTTIME. */
    boottime?: TimeOffset;
  };
  /** NUMA memory policy. */
  memoryPolicy?: MemoryPolicy;
}

/** A network device of the host that is moved into the container. */
export interface NetDevice {
  /** Name in the container; unchanged if absent. */
  name?: string;
}

/** See personality(2). */
export interface Personality {
  /** `LINUX32` shows a 32-bit machine in uname(2). */
  domain: 'LINUX' | 'LINUX32';
  /** The spec defines no flags. */
  flags?: [];
}

/** How far a clock of the container is ahead of the host's. */
export interface TimeOffset {
  /** Seconds; may be negative. */
  secs?: number;
  /** Additional nanoseconds, 0 to 999999999. */
  nanosecs?: number;
}

/** See set_mempolicy(2). */
export interface MemoryPolicy {
  /** `MPOL_…` */
  mode: string;
  /** Memory nodes, a list such as `0-3,7`. */
  nodes?: string;
  /** `MPOL_F_…` */
  flags?: string[];
}

/** A type of namespace, see namespaces(7). */
export type NamespaceType =
  'cgroup' | 'ipc' | 'mount' | 'network' | 'pid' | 'time' | 'user' | 'uts';

/** A namespace that is created for the container, or that it joins. */
export interface Namespace {
  /** Each type at most once. */
  type: NamespaceType;
  /** Namespace to join, e.g. `/proc/1234/ns/net`; absent: a new one. */
  path?: string;
}

/** A range of ids, see user_namespaces(7). */
export interface IdMapping {
  /** First id in the container. */
  containerID: number;
  /** Id of the host that it maps to. */
  hostID: number;
  /** Number of ids. */
  size: number;
}

/**
 * A device node. In a user namespace the host's node is mounted instead, because none can be
 * created there.
 */
export interface Device {
  /** Absolute path in the container. */
  path: string;
  /** `c`: character, `u`: unbuffered character, `b`: block, `p`: FIFO. */
  type: 'c' | 'u' | 'b' | 'p';
  /** Major number; absent for a FIFO. */
  major?: number;
  /** Minor number; absent for a FIFO. */
  minor?: number;
  /** Permission bits. A number, so `0o666` rather than `666`. */
  fileMode?: number;
  /** Owner in the container; 0 by default. */
  uid?: number;
  /** Group in the container; 0 by default. */
  gid?: number;
}

/**
 * Limits of the container's cgroup: control groups in the spec's config-linux.md, and the kernel's
 * cgroup-v2.rst. An absent limit, or 0 where the spec says so, means no limit. A limit whose
 * controller the host's cgroup v2 lacks is refused with `ERR_TARE_UNSUPPORTED`; one that only
 * cgroup v1 has is ignored with a warning.
 */
export interface Resources {
  /** Device access rules; a later rule wins. */
  devices?: DeviceRule[];
  /** Memory limits; need the memory controller. */
  memory?: MemoryResources;
  /** CPU limits; need the cpu or the cpuset controller, depending on what is set. */
  cpu?: CpuResources;
  /** Limit of processes; needs the pids controller. */
  pids?: {
    /** Max number of processes and threads; -1: no limit. */
    limit?: number;
  };
  /** Block I/O limits; need the io controller. */
  blockIO?: BlockIoResources;
  /** Huge page limits; need the hugetlb controller. */
  hugepageLimits?: {
    /** Page size, such as `2MB`; one of the kernel's. */
    pageSize: string;
    /** Limit in bytes. */
    limit: Uint64;
  }[];
  /** cgroup v1 only: ignored with a warning. */
  network?: {
    /** For tc(8): ignored with a warning. */
    classID?: number;
    /** By network interface: ignored with a warning. */
    priorities?: {
      /** Name of the interface. */
      name: string;
      /** Priority of the packets that leave there. */
      priority: number;
    }[];
  };
  /** RDMA limits by device name; need the rdma controller. */
  rdma?: Record<
    string,
    {
      /** Max number of handles. */
      hcaHandles?: number;
      /** Max number of objects. */
      hcaObjects?: number;
    }
  >;
  /** Files of cgroup v2, and the values to write to them. */
  unified?: Record<string, string>;
}

/** A device access rule. */
export interface DeviceRule {
  /** Whether access is allowed or denied. */
  allow: boolean;
  /** `a`: all, `c`: character, `b`: block. */
  type?: 'a' | 'c' | 'b';
  /** Major number; absent or -1: all. */
  major?: number;
  /** Minor number; absent or -1: all. */
  minor?: number;
  /** Any of `r`, `w` and `m` (mknod). */
  access?: string;
}

/** Memory limits. */
export interface MemoryResources {
  /** Max bytes; -1: no limit. The container's kernel memory and socket buffers count. */
  limit?: number;
  /** Bytes that the kernel tries to leave the container when memory is short. */
  reservation?: number;
  /** Max bytes of memory and swap together; -1: no limit. */
  swap?: number;
  /** cgroup v1 only: ignored with a warning, because `limit` includes it. */
  kernel?: number;
  /** cgroup v1 only: ignored with a warning, because `limit` includes it. */
  kernelTCP?: number;
  /** cgroup v1 only: ignored with a warning. */
  swappiness?: number;
  /** cgroup v1 only: true is ignored with a warning. */
  disableOOMKiller?: boolean;
  /** No effect: cgroup v2 always counts what is below. */
  useHierarchy?: boolean;
  /** Whether an update refuses a limit below current usage, instead of having processes killed. */
  checkBeforeUpdate?: boolean;
}

/** CPU limits. */
export interface CpuResources {
  /** Weight relative to other cgroups, 2 to 262144. */
  shares?: number;
  /** Microseconds of CPU time in each period. */
  quota?: number;
  /** Microseconds that may be saved up from earlier periods. */
  burst?: number;
  /** Length of a period, in microseconds. */
  period?: number;
  /** cgroup v1 only: ignored with a warning. */
  realtimeRuntime?: number;
  /** cgroup v1 only: ignored with a warning. */
  realtimePeriod?: number;
  /** Processors that may be used, e.g. `0-3,7`. */
  cpus?: string;
  /** Memory nodes that may be used. */
  mems?: string;
  /** 1: runs only when nothing else wants to (SCHED_IDLE). */
  idle?: number;
}

/** Block I/O limits. */
export interface BlockIoResources {
  /** Weight relative to other cgroups, 10 to 1000. */
  weight?: number;
  /** cgroup v1 only: ignored with a warning. */
  leafWeight?: number;
  /** Weights for single devices. */
  weightDevice?: {
    /** Major number. */
    major: number;
    /** Minor number. */
    minor: number;
    /** Weight, 10 to 1000. */
    weight?: number;
    /** cgroup v1 only: ignored with a warning. */
    leafWeight?: number;
  }[];
  /** Bytes read per second. */
  throttleReadBpsDevice?: ThrottleDevice[];
  /** Bytes written per second. */
  throttleWriteBpsDevice?: ThrottleDevice[];
  /** Reads per second. */
  throttleReadIOPSDevice?: ThrottleDevice[];
  /** Writes per second. */
  throttleWriteIOPSDevice?: ThrottleDevice[];
}

/** A rate limit of one block device. */
export interface ThrottleDevice {
  /** Major number. */
  major: number;
  /** Minor number. */
  minor: number;
  /** Bytes or operations per second. */
  rate: Uint64;
}

/** Allocation of caches and memory bandwidth: the kernel's resctrl.rst. */
export interface IntelRdt {
  /** Name of the resctrl group; absent: one of the container's own, `/`: the root group. */
  closID?: string;
  /** Cache schema, such as `L3:0=7f0;1=1f`. */
  l3CacheSchema?: string;
  /** Memory bandwidth schema, such as `MB:0=20;1=70`. */
  memBwSchema?: string;
  /** Lines of the group's `schemata`, written after the other two. */
  schemata?: string[];
  /** Whether the container gets a monitoring group. */
  enableMonitoring?: boolean;
}

/** A filter of system calls, see seccomp(2). */
export interface Seccomp {
  /** `SCMP_ACT_…`, for system calls that no rule names. */
  defaultAction: string;
  /** Error number that `SCMP_ACT_ERRNO` returns by default; EPERM if absent. */
  defaultErrnoRet?: number;
  /** `SCMP_ARCH_…` in addition to the native architecture. */
  architectures?: string[];
  /** `SECCOMP_FILTER_FLAG_…` */
  flags?: string[];
  /** Socket of the agent that handles `SCMP_ACT_NOTIFY`. */
  listenerPath?: string;
  /** Data that is sent to the agent. */
  listenerMetadata?: string;
  /** Rules for single system calls. */
  syscalls?: SeccompSyscall[];
}

/** A rule for system calls of certain names and arguments. */
export interface SeccompSyscall {
  /** Names of system calls; those that libseccomp does not know are left out. */
  names: string[];
  /** `SCMP_ACT_…` */
  action: string;
  /** Error number or, for `SCMP_ACT_TRACE`, the value that the tracer gets. */
  errnoRet?: number;
  /** Conditions on arguments, all of which must hold. */
  args?: {
    /** Index of the argument, from 0 to 5. */
    index: number;
    /** Value to compare it with; for `SCMP_CMP_MASKED_EQ`, the mask. */
    value: Uint64;
    /** For `SCMP_CMP_MASKED_EQ`: value to compare the masked argument with. */
    valueTwo?: Uint64;
    /** `SCMP_CMP_…` */
    op: string;
  }[];
}
