import type { NativeTotals } from './binding.js';

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

/** What a container has used from its beginning to its end. */
export interface ContainerTotals {
  /** Processor time in milliseconds, of all processes. */
  cpuMs: { user: number; system: number };
  /**
   * The most memory that it had at one time, in bytes. Absent where the host's cgroup v2 has no
   * memory controller, or the kernel is older than 5.19.
   */
  peakMemory?: number;
  /** How many processes were killed for want of memory. Absent without the memory controller. */
  oomKills?: number;
}

/** What {@link Container.events} tells. */
export type ContainerEvent =
  | { type: 'stats'; id: string; data: ContainerStats }
  /** A process was killed for want of memory. */
  | { type: 'oom'; id: string };

export function containerTotals(native: NativeTotals): ContainerTotals {
  const { cpuUserNs, cpuSystemNs, peakMemory, oomKills } = native;
  return {
    cpuMs: { user: cpuUserNs / 1e6, system: cpuSystemNs / 1e6 },
    ...(peakMemory !== undefined && { peakMemory }),
    ...(oomKills !== undefined && { oomKills }),
  };
}
