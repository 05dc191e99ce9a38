/**
 * config.json of the OCI runtime-spec, as far as tare implements it; names and meaning are the
 * spec's. What it asks of a container is in its config.md and config-linux.md.
 */

/** A 64-bit number of the spec. Beyond `Number.MAX_SAFE_INTEGER` only a bigint is exact. */
export type Uint64 = number | bigint;

/** A container's configuration: config.json. The runtime-spec has it in config.md. */
export interface Spec {
  /** The version of the runtime-spec that the configuration follows, e.g. `1.2.0`. */
  ociVersion: string;
  /** What runs in the container. */
  process?: Process;
  /** The container's root file system. */
  root: Root;
  /** Needs a `uts` namespace. */
  hostname?: string;
  /** The NIS domain name; needs a `uts` namespace. */
  domainname?: string;
  /** Mounted one after the other on top of the root. */
  mounts?: Mount[];
  /** Programs that are run when the container is created, started and deleted. */
  hooks?: Hooks;
  /** Of anybody's use; they are in the state too, and tare reads none of them but its own. */
  annotations?: Record<string, string>;
  /** What the spec has for Linux alone: namespaces, limits, devices, seccomp. */
  linux?: Linux;
}

/** A process in the container: the first one, or one of {@link Container.exec}. */
export interface Process {
  /** Whether the process gets a pseudo-terminal as its standard streams. */
  terminal?: boolean;
  /** The size of that pseudo-terminal. */
  consoleSize?: Box;
  /** Who it runs as; uid and gid 0 by default. */
  user?: User;
  /** The program, looked up in the container's PATH, and its arguments. */
  args: string[];
  /** `NAME=value` each. */
  env?: string[];
  /** The working directory, absolute in the container. */
  cwd: string;
  /** What it may of root's rights; none where it is absent. */
  capabilities?: Capabilities;
  /** Its limits of getrlimit(2); those of the caller where they are absent. */
  rlimits?: Rlimit[];
  /** See no_new_privs in prctl(2). */
  noNewPrivileges?: boolean;
  /** A profile of AppArmor that is loaded on the host. */
  apparmorProfile?: string;
  /** From -1000 (never) to 1000 (first) for the kernel's out-of-memory killer. */
  oomScoreAdj?: number;
  /** A context of SELinux. */
  selinuxLabel?: string;
  /** How the kernel shares the processors with it. */
  scheduler?: Scheduler;
  /** How the kernel shares disks with it. */
  ioPriority?: IOPriority;
  /** Of processes that `exec` starts. */
  execCPUAffinity?: CPUAffinity;
}

/** See sched(7) and sched_setattr(2). */
export interface Scheduler {
  /** `SCHED_OTHER`, `SCHED_FIFO`, `SCHED_RR`, `SCHED_BATCH`, `SCHED_IDLE`, `SCHED_DEADLINE` */
  policy: string;
  /** From -20 to 19. */
  nice?: number;
  /** From 1 to 99, of `SCHED_FIFO` and `SCHED_RR`. */
  priority?: number;
  /** `SCHED_FLAG_…` */
  flags?: string[];
  /** Nanoseconds of processor time in each period, of `SCHED_DEADLINE`. */
  runtime?: Uint64;
  /** Nanoseconds from a period's begin within which it has them. */
  deadline?: Uint64;
  /** Nanoseconds. */
  period?: Uint64;
}

/** See ioprio_set(2). */
export interface IOPriority {
  /** Real time, best effort, or only when nobody else wants the disk. */
  class: 'IOPRIO_CLASS_RT' | 'IOPRIO_CLASS_BE' | 'IOPRIO_CLASS_IDLE';
  /** From 0 (highest) to 7. */
  priority?: number;
}

/** Lists of processors such as `0-3,7`. */
export interface CPUAffinity {
  /** While the process is being started. */
  initial?: string;
  /** From when it is in the container's cgroup. */
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
  /** The user. */
  uid: number;
  /** The group. */
  gid: number;
  /** Of the process; the runtime's default where absent. A number, so `0o022` rather than `22`. */
  umask?: number;
  /** Further groups. */
  additionalGids?: number[];
}

/**
 * Sets of capabilities(7), by names such as `CAP_KILL`. Of a name that this kernel does not know tare
 * warns.
 */
export interface Capabilities {
  /** The most that it can ever get. */
  bounding?: string[];
  /** What it has at once. */
  effective?: string[];
  /** What it can hand to programs whose files take it. */
  inheritable?: string[];
  /** What it can make effective. */
  permitted?: string[];
  /** What it hands to programs that have no capabilities of their own; must be in the two above. */
  ambient?: string[];
}

/** A limit of getrlimit(2). */
export interface Rlimit {
  /** A name of getrlimit(2), e.g. `RLIMIT_NOFILE`. */
  type: string;
  /** What holds now, in the unit of the kind. */
  soft: Uint64;
  /** Up to where the process may raise it itself. */
  hard: Uint64;
}

/** The root file system: root in the spec's config.md. */
export interface Root {
  /** The container's root file system, absolute or relative to the bundle. */
  path: string;
  /** Whether it cannot be written to; false by default. */
  readonly?: boolean;
}

/** A mount: mounts in the spec's config.md and in its config-linux.md. */
export interface Mount {
  /** Where, absolute in the container. */
  destination: string;
  /** A type of file system; `bind` where the options say so. */
  type?: string;
  /** A device, a name, or, for a bind mount, a path on the host, relative to the bundle. */
  source?: string;
  /** As for mount(8), and the spec's own such as `rro` and `tmpcopyup`. */
  options?: string[];
  /** Of a bind mount whose files show other owners: `containerID` on disk is `hostID` outside. */
  uidMappings?: IdMapping[];
  /** The same for groups. */
  gidMappings?: IdMapping[];
}

/** A program of {@link Hooks}. */
export interface Hook {
  /** The program, absolute. */
  path: string;
  /** Beginning with `argv[0]`. */
  args?: string[];
  /** `NAME=value` each; nothing of the caller's. */
  env?: string[];
  /** Seconds until it is killed. */
  timeout?: number;
}

/**
 * Programs to be run at certain points; each gets the container's state on its standard input. One that
 * fails ends what it is part of with `ERR_TARE_HOOK_FAILED`, and the container with it; failures of
 * `poststop` are warnings.
 */
export interface Hooks {
  /** @deprecated by the spec, in favour of `createRuntime`. */
  prestart?: Hook[];
  /** On the host, when the namespaces are there and before the root is changed. */
  createRuntime?: Hook[];
  /** The same, in the container's namespaces; the path is the host's. */
  createContainer?: Hook[];
  /** In the container, by `start`, before the program. */
  startContainer?: Hook[];
  /** On the host, when the program runs. */
  poststart?: Hook[];
  /** On the host, when the container is deleted. */
  poststop?: Hook[];
}

/** The part of the configuration that is Linux's own: config-linux.md. */
export interface Linux {
  /** Needs a new `user` namespace. */
  uidMappings?: IdMapping[];
  /** Needs a new `user` namespace. */
  gidMappings?: IdMapping[];
  /** By names such as `net.ipv4.ip_forward`. */
  sysctl?: Record<string, string>;
  /** What the container may use at most. */
  resources?: Resources;
  /**
   * Absolute from the root of the cgroup tree, or relative to where the runtime keeps them. With
   * systemd: SLICE:PREFIX:NAME for the unit PREFIX-NAME.scope in SLICE, or SLICE:NAME for NAME.scope.
   */
  cgroupsPath?: string;
  /** What the container has for itself of the system; the rest it shares with the caller. */
  namespaces?: Namespace[];
  /** Device nodes to be made beside the spec's default ones. */
  devices?: Device[];
  /** Which system calls may be made. */
  seccomp?: Seccomp;
  /** Of mounts below the root, to and from the host: `private`, `slave`, `shared`, … */
  rootfsPropagation?: string;
  /** What the container cannot read. */
  maskedPaths?: string[];
  /** What the container cannot write. */
  readonlyPaths?: string[];
  /** SELinux context of the container's mounts. */
  mountLabel?: string;
  /** Network devices of the host that move into the container, by their names. */
  netDevices?: Record<string, NetDevice>;
  /** A share of caches and memory bandwidth, by a resctrl file system. */
  intelRdt?: IntelRdt;
  /** What kind of machine programs are shown. */
  personality?: Personality;
  /** Needs a new `time` namespace, see time_namespaces(7). */
  timeOffsets?: {
    /** Of CLOCK_MONOTONIC. */
    monotonic?: TimeOffset;
    /** Of CLOCK_BOOTTIME. */
    boottime?: TimeOffset;
  };
  /** Where memory is taken from on a machine with several nodes. */
  memoryPolicy?: MemoryPolicy;
}

/** A network device of the host that moves into the container. */
export interface NetDevice {
  /** Its name in the container; absent: the one that it has. */
  name?: string;
}

/** See personality(2). */
export interface Personality {
  /** `LINUX32` shows a 32-bit machine in uname(2). */
  domain: 'LINUX' | 'LINUX32';
  /** The spec has none. */
  flags?: [];
}

/** What a clock of the container is ahead of the host's. */
export interface TimeOffset {
  /** Seconds; may be negative. */
  secs?: number;
  /** Nanoseconds beside them, 0 to 999999999. */
  nanosecs?: number;
}

/** See set_mempolicy(2). */
export interface MemoryPolicy {
  /** `MPOL_…` */
  mode: string;
  /** A list such as `0-3,7`. */
  nodes?: string;
  /** `MPOL_F_…` */
  flags?: string[];
}

/** A kind of namespaces(7). */
export type NamespaceType =
  'cgroup' | 'ipc' | 'mount' | 'network' | 'pid' | 'time' | 'user' | 'uts';

/** A namespace that the container has for itself, or that it joins. */
export interface Namespace {
  /** Each kind once. */
  type: NamespaceType;
  /** The namespace to join, e.g. `/proc/1234/ns/net`; absent: a new one. */
  path?: string;
}

/** A range of ids, see user_namespaces(7). */
export interface IdMapping {
  /** The first id in the container. */
  containerID: number;
  /** The id of the host that it stands for. */
  hostID: number;
  /** How many follow one another. */
  size: number;
}

/** A device node. In a user namespace that of the host is mounted, as no node can be made there. */
export interface Device {
  /** Where, absolute in the container. */
  path: string;
  /** Character, unbuffered character, block, FIFO. */
  type: 'c' | 'u' | 'b' | 'p';
  /** The driver's number; absent for a FIFO. */
  major?: number;
  /** The driver's number for the device; absent for a FIFO. */
  minor?: number;
  /** Permission bits. A number, so `0o666` rather than `666`. */
  fileMode?: number;
  /** Its owner in the container; 0 by default. */
  uid?: number;
  /** Its group in the container; 0 by default. */
  gid?: number;
}

/**
 * Limits of the container's cgroup: control groups in the spec's config-linux.md, and the kernel's
 * cgroup-v2.rst. Absent, and 0 where the spec says so, means no limit. What needs a controller that the
 * host's cgroup v2 does not have is refused with `ERR_TARE_UNSUPPORTED`; what only cgroup v1 has is ignored
 * with a warning.
 */
export interface Resources {
  /** What devices may be used; a later rule wins. */
  devices?: DeviceRule[];
  /** Needs the memory controller. */
  memory?: MemoryResources;
  /** Needs the cpu and cpuset controllers, for what is set of theirs. */
  cpu?: CpuResources;
  /** Needs the pids controller. */
  pids?: {
    /** The most processes and threads; -1: no limit. */
    limit?: number;
  };
  /** Needs the io controller. */
  blockIO?: BlockIoResources;
  /** Needs the hugetlb controller. */
  hugepageLimits?: {
    /** As in `2MB`, one of the kernel's. */
    pageSize: string;
    /** Bytes. */
    limit: Uint64;
  }[];
  /** Of cgroup v1 alone: ignored with a warning. */
  network?: {
    /** For tc(8): ignored with a warning. */
    classID?: number;
    /** By network interface: ignored with a warning. */
    priorities?: {
      /** Of the interface. */
      name: string;
      /** Of the packets that leave there. */
      priority: number;
    }[];
  };
  /** By name of the device. Needs the rdma controller. */
  rdma?: Record<
    string,
    {
      /** The most handles. */
      hcaHandles?: number;
      /** The most objects. */
      hcaObjects?: number;
    }
  >;
  /** Files of cgroup v2 and what is to be written to them. */
  unified?: Record<string, string>;
}

/** Whether devices may be used. */
export interface DeviceRule {
  /** Or forbidden. */
  allow: boolean;
  /** All, character, block. */
  type?: 'a' | 'c' | 'b';
  /** The driver's number; absent or -1: all. */
  major?: number;
  /** The device's number; absent or -1: all. */
  minor?: number;
  /** Of `r`, `w` and `m` (mknod). */
  access?: string;
}

/** Limits of memory. */
export interface MemoryResources {
  /** Bytes; -1: no limit. The kernel's own memory and socket buffers of the container count. */
  limit?: number;
  /** Bytes that the kernel tries to leave the container when memory is short. */
  reservation?: number;
  /** Bytes of memory and swap space together; -1: no limit. */
  swap?: number;
  /** Of cgroup v1 alone: ignored with a warning, as `limit` counts it. */
  kernel?: number;
  /** Of cgroup v1 alone: ignored with a warning, as `limit` counts it. */
  kernelTCP?: number;
  /** Of cgroup v1 alone: ignored with a warning. */
  swappiness?: number;
  /** Of cgroup v1 alone: true is ignored with a warning. */
  disableOOMKiller?: boolean;
  /** Says nothing more: cgroup v2 always counts what is below. */
  useHierarchy?: boolean;
  /** Whether an update refuses a limit that is below what is used, instead of having it killed. */
  checkBeforeUpdate?: boolean;
}

/** Limits of processor time. */
export interface CpuResources {
  /** Weight against other cgroups, 2 to 262144. */
  shares?: number;
  /** Microseconds of processor time in each period. */
  quota?: number;
  /** Microseconds that may be saved up of earlier periods. */
  burst?: number;
  /** Microseconds. */
  period?: number;
  /** Of cgroup v1 alone: ignored with a warning. */
  realtimeRuntime?: number;
  /** Of cgroup v1 alone: ignored with a warning. */
  realtimePeriod?: number;
  /** Processors that may be used, e.g. `0-3,7`. */
  cpus?: string;
  /** Memory nodes that may be used. */
  mems?: string;
  /** 1: only when nothing else wants to run (SCHED_IDLE). */
  idle?: number;
}

/** Limits of block devices. */
export interface BlockIoResources {
  /** Weight against other cgroups, 10 to 1000. */
  weight?: number;
  /** Of cgroup v1 alone: ignored with a warning. */
  leafWeight?: number;
  /** The weight at one device. */
  weightDevice?: {
    /** The driver's number. */
    major: number;
    /** The device's number. */
    minor: number;
    /** 10 to 1000. */
    weight?: number;
    /** Of cgroup v1 alone: ignored with a warning. */
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

/** The most of something that one block device does for the container. */
export interface ThrottleDevice {
  /** The driver's number. */
  major: number;
  /** The device's number. */
  minor: number;
  /** Bytes or operations per second. */
  rate: Uint64;
}

/** Shares of caches and of memory bandwidth: the kernel's resctrl.rst. */
export interface IntelRdt {
  /** The group's name; absent: one of the container's own, `/`: the root. */
  closID?: string;
  /** `L3:0=7f0;1=1f` */
  l3CacheSchema?: string;
  /** `MB:0=20;1=70` */
  memBwSchema?: string;
  /** Lines of the group's `schemata`, written after the other two. */
  schemata?: string[];
  /** Give the container a monitoring group. */
  enableMonitoring?: boolean;
}

/** A filter of system calls, see seccomp(2). */
export interface Seccomp {
  /** `SCMP_ACT_…`, for system calls that no rule names. */
  defaultAction: string;
  /** The error number that `SCMP_ACT_ERRNO` returns by default; EPERM where it is absent. */
  defaultErrnoRet?: number;
  /** `SCMP_ARCH_…` beside the native one. */
  architectures?: string[];
  /** `SECCOMP_FILTER_FLAG_…` */
  flags?: string[];
  /** Socket of the agent that answers `SCMP_ACT_NOTIFY`. */
  listenerPath?: string;
  /** Told to the agent. */
  listenerMetadata?: string;
  /** What is done with some of them. */
  syscalls?: SeccompSyscall[];
}

/** What is done with system calls of certain names and arguments. */
export interface SeccompSyscall {
  /** Those that libseccomp does not know are left out. */
  names: string[];
  /** `SCMP_ACT_…` */
  action: string;
  /** The error number, or for `SCMP_ACT_TRACE` what the tracer is told. */
  errnoRet?: number;
  /** All must hold. */
  args?: {
    /** Which argument, from 0 to 5. */
    index: number;
    /** What it is compared with; of `SCMP_CMP_MASKED_EQ` the mask. */
    value: Uint64;
    /** Of `SCMP_CMP_MASKED_EQ`: what the masked argument is compared with. */
    valueTwo?: Uint64;
    /** `SCMP_CMP_…` */
    op: string;
  }[];
}
