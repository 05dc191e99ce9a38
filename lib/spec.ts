/**
 * config.json of the OCI runtime-spec, as far as tare implements it; names and meaning are the
 * spec's. What it asks of a container is in its config.md and config-linux.md.
 */

/** A 64-bit number of the spec. Beyond `Number.MAX_SAFE_INTEGER` only a bigint is exact. */
export type Uint64 = number | bigint;

export interface Spec {
  /** The version of the runtime-spec that the configuration follows, e.g. `1.2.0`. */
  ociVersion: string;
  /** What runs in the container. */
  process?: Process;
  root: Root;
  /** Needs a `uts` namespace. */
  hostname?: string;
  /** The NIS domain name; needs a `uts` namespace. */
  domainname?: string;
  /** Mounted one after the other on top of the root. */
  mounts?: Mount[];
  hooks?: Hooks;
  annotations?: Record<string, string>;
  linux?: Linux;
}

export interface Process {
  /** Whether the process gets a pseudo-terminal as its standard streams. */
  terminal?: boolean;
  consoleSize?: Box;
  user?: User;
  /** The program, looked up in the container's PATH, and its arguments. */
  args: string[];
  /** `NAME=value` each. */
  env?: string[];
  /** The working directory, absolute in the container. */
  cwd: string;
  capabilities?: Capabilities;
  rlimits?: Rlimit[];
  /** See no_new_privs in prctl(2). */
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  /** From -1000 (never) to 1000 (first) for the kernel's out-of-memory killer. */
  oomScoreAdj?: number;
  selinuxLabel?: string;
  scheduler?: Scheduler;
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
  /** Nanoseconds, of `SCHED_DEADLINE`; so are the other two. */
  runtime?: Uint64;
  deadline?: Uint64;
  period?: Uint64;
}

/** See ioprio_set(2). */
export interface IOPriority {
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
  height: number;
  width: number;
}

/** Ids in the container's user namespace. */
export interface User {
  uid: number;
  gid: number;
  /** Of the process; the runtime's default where absent. A number, so `0o022` rather than `22`. */
  umask?: number;
  additionalGids?: number[];
}

/** Sets of capabilities(7), by names such as `CAP_KILL`. */
export interface Capabilities {
  bounding?: string[];
  effective?: string[];
  inheritable?: string[];
  permitted?: string[];
  ambient?: string[];
}

export interface Rlimit {
  /** A name of getrlimit(2), e.g. `RLIMIT_NOFILE`. */
  type: string;
  soft: Uint64;
  hard: Uint64;
}

export interface Root {
  /** The container's root file system, absolute or relative to the bundle. */
  path: string;
  readonly?: boolean;
}

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
  gidMappings?: IdMapping[];
}

export interface Hook {
  /** The program, absolute. */
  path: string;
  /** Beginning with `argv[0]`. */
  args?: string[];
  env?: string[];
  /** Seconds until it is killed. */
  timeout?: number;
}

/** Programs to be run at certain points; each gets the container's state on its standard input. */
export interface Hooks {
  /** @deprecated by the spec, in favour of `createRuntime`. */
  prestart?: Hook[];
  createRuntime?: Hook[];
  createContainer?: Hook[];
  startContainer?: Hook[];
  poststart?: Hook[];
  poststop?: Hook[];
}

export interface Linux {
  /** Needs a new `user` namespace. */
  uidMappings?: IdMapping[];
  /** Needs a new `user` namespace. */
  gidMappings?: IdMapping[];
  /** By names such as `net.ipv4.ip_forward`. */
  sysctl?: Record<string, string>;
  resources?: Resources;
  /**
   * Absolute from the root of the cgroup tree, or relative to where the runtime keeps them. With
   * systemd: SLICE:PREFIX:NAME for the unit PREFIX-NAME.scope in SLICE.
   */
  cgroupsPath?: string;
  namespaces?: Namespace[];
  /** Device nodes to be made beside the spec's default ones. */
  devices?: Device[];
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
  personality?: Personality;
  /** Needs a new `time` namespace. */
  timeOffsets?: { monotonic?: TimeOffset; boottime?: TimeOffset };
  memoryPolicy?: MemoryPolicy;
}

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
  secs?: number;
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

export type NamespaceType =
  'cgroup' | 'ipc' | 'mount' | 'network' | 'pid' | 'time' | 'user' | 'uts';

export interface Namespace {
  type: NamespaceType;
  /** The namespace to join, e.g. `/proc/1234/ns/net`; absent: a new one. */
  path?: string;
}

/** A range of ids, see user_namespaces(7). */
export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export interface Device {
  path: string;
  /** Character, unbuffered character, block, FIFO. */
  type: 'c' | 'u' | 'b' | 'p';
  major?: number;
  minor?: number;
  /** Permission bits. A number, so `0o666` rather than `666`. */
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/** Limits of the container's cgroup. Absent, and 0 where the spec says so, means no limit. */
export interface Resources {
  /** What devices may be used; a later rule wins. */
  devices?: DeviceRule[];
  memory?: MemoryResources;
  cpu?: CpuResources;
  pids?: { limit?: number };
  blockIO?: BlockIoResources;
  hugepageLimits?: { pageSize: string; limit: Uint64 }[];
  network?: { classID?: number; priorities?: { name: string; priority: number }[] };
  /** By name of the device. */
  rdma?: Record<string, { hcaHandles?: number; hcaObjects?: number }>;
  /** Files of cgroup v2 and what is to be written to them. */
  unified?: Record<string, string>;
}

export interface DeviceRule {
  allow: boolean;
  /** All, character, block. */
  type?: 'a' | 'c' | 'b';
  major?: number;
  minor?: number;
  /** Of `r`, `w` and `m` (mknod). */
  access?: string;
}

export interface MemoryResources {
  /** Bytes; -1: no limit. */
  limit?: number;
  /** Bytes that the kernel tries to leave the container when memory is short. */
  reservation?: number;
  /** Bytes of memory and swap space together; -1: no limit. */
  swap?: number;
  kernel?: number;
  kernelTCP?: number;
  swappiness?: number;
  disableOOMKiller?: boolean;
  useHierarchy?: boolean;
  checkBeforeUpdate?: boolean;
}

export interface CpuResources {
  /** Weight against other cgroups, 2 to 262144. */
  shares?: number;
  /** Microseconds of processor time in each period. */
  quota?: number;
  burst?: number;
  /** Microseconds. */
  period?: number;
  realtimeRuntime?: number;
  realtimePeriod?: number;
  /** Processors that may be used, e.g. `0-3,7`. */
  cpus?: string;
  /** Memory nodes that may be used. */
  mems?: string;
  /** 1: only when nothing else wants to run (SCHED_IDLE). */
  idle?: number;
}

export interface BlockIoResources {
  weight?: number;
  leafWeight?: number;
  weightDevice?: { major: number; minor: number; weight?: number; leafWeight?: number }[];
  throttleReadBpsDevice?: ThrottleDevice[];
  throttleWriteBpsDevice?: ThrottleDevice[];
  throttleReadIOPSDevice?: ThrottleDevice[];
  throttleWriteIOPSDevice?: ThrottleDevice[];
}

export interface ThrottleDevice {
  major: number;
  minor: number;
  /** Bytes or operations per second. */
  rate: Uint64;
}

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

export interface Seccomp {
  /** `SCMP_ACT_…`, for system calls that no rule names. */
  defaultAction: string;
  defaultErrnoRet?: number;
  /** `SCMP_ARCH_…` beside the native one. */
  architectures?: string[];
  /** `SECCOMP_FILTER_FLAG_…` */
  flags?: string[];
  /** Socket of the agent that answers `SCMP_ACT_NOTIFY`. */
  listenerPath?: string;
  /** Told to the agent. */
  listenerMetadata?: string;
  syscalls?: SeccompSyscall[];
}

export interface SeccompSyscall {
  names: string[];
  action: string;
  errnoRet?: number;
  /** All must hold. */
  args?: { index: number; value: Uint64; valueTwo?: Uint64; op: string }[];
}
