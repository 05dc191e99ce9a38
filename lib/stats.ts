/** What a container uses, in the words of runc's `events`. Times are nanoseconds, sizes bytes. */
export interface ContainerStats {
  cpu: {
    usage: { total?: number; kernel: number; user: number };
    throttling?: { periods?: number; throttledPeriods?: number; throttledTime?: number };
    psi?: Pressure;
  };
  /** The processors and memory nodes that may be used; what else is in it belongs to cgroup v1. */
  cpuset: { cpus?: number[]; mems?: number[] };
  memory: {
    cache?: number;
    usage?: MemoryUse;
    /** Memory and swap space together. */
    swap?: MemoryUse;
    /** The kernel's memory.stat. */
    raw?: Record<string, number>;
    psi?: Pressure;
  };
  pids: { current?: number; limit?: number };
  blkio: {
    ioServiceBytesRecursive?: BlockIoCount[];
    ioServicedRecursive?: BlockIoCount[];
    psi?: Pressure;
  };
  /** By page size, as in `2MB`. */
  hugetlb: Record<string, { usage?: number; failcnt: number }>;
  intel_rdt: Record<string, unknown>;
  network_interfaces: null;
}

export interface MemoryUse {
  /** About 2^64 where there is none. */
  limit: number;
  usage?: number;
  /** The highest usage. */
  max?: number;
  failcnt: number;
}

export interface BlockIoCount {
  major?: number;
  minor?: number;
  op: 'Read' | 'Write';
  value?: number;
}

/** Shares of time, in percent, in which some or all processes waited; `total` in microseconds. */
export interface Pressure {
  some: PressureTimes;
  full: PressureTimes;
}

export interface PressureTimes {
  avg10: number;
  avg60: number;
  avg300: number;
  total: number;
}

/** What {@link Container.events} tells. */
export type ContainerEvent =
  | { type: 'stats'; id: string; data: ContainerStats }
  /** A process was killed for want of memory. */
  | { type: 'oom'; id: string };
