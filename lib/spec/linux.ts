/** `linux` of config.json. */
import type { Resources } from './resources.js';
import type { Seccomp } from './seccomp.js';

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
