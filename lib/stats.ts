import type { ExitStatus } from './process.js';
import type { NativeTotals } from './binding.js';

/**
 * What a container uses, in the words of runc's `events`. Times are nanoseconds, sizes bytes. What needs
 * a controller that the host's cgroup v2 does not have is absent.
 */
export interface ContainerStats {
  /** Processor time. */
  cpu: {
    /** Since the container was made; cpu.stat of cgroup v2. */
    usage: {
      /** Of both kinds. */
      total?: number;
      /** In the kernel. */
      kernel: number;
      /** In programs. */
      user: number;
    };
    /** How often a quota has stopped it. */
    throttling?: {
      /** Periods that have passed. */
      periods?: number;
      /** Those in which it was stopped. */
      throttledPeriods?: number;
      /** For how long, in all. */
      throttledTime?: number;
    };
    /** How long processes waited for a processor. */
    psi?: Pressure;
  };
  /** The processors and memory nodes that may be used; what else is in it belongs to cgroup v1. */
  cpuset: {
    /** By their numbers. */
    cpus?: number[];
    /** By their numbers. */
    mems?: number[];
  };
  /** Memory. */
  memory: {
    /** Of it what holds the contents of files. */
    cache?: number;
    /** All of it. */
    usage?: MemoryUse;
    /** Memory and swap space together. */
    swap?: MemoryUse;
    /** The kernel's memory.stat. */
    raw?: Record<string, number>;
    /** How long processes waited for memory. */
    psi?: Pressure;
  };
  /** Processes and threads. */
  pids: {
    /** How many there are. */
    current?: number;
    /** How many there may be; 0: no limit. */
    limit?: number;
  };
  /** Block devices. */
  blkio: {
    /** Bytes. */
    ioServiceBytesRecursive?: BlockIoCount[];
    /** Operations. */
    ioServicedRecursive?: BlockIoCount[];
    /** How long processes waited for a device. */
    psi?: Pressure;
  };
  /** By page size, as in `2MB`. */
  hugetlb: Record<
    string,
    {
      /** Bytes. */
      usage?: number;
      /** How often the limit was met. */
      failcnt: number;
    }
  >;
  /** What the container's monitoring group of resctrl counts, if it has one. */
  intel_rdt: Record<string, unknown>;
  /** runc's; always null. */
  network_interfaces: null;
}

/** How much of a kind of memory is used. */
export interface MemoryUse {
  /** About 2^64 where there is none. */
  limit: number;
  /** Now. */
  usage?: number;
  /** The highest usage. */
  max?: number;
  /** Of cgroup v1: always 0. */
  failcnt: number;
}

/** What was read from or written to one device. */
export interface BlockIoCount {
  /** The driver's number. */
  major?: number;
  /** The device's number. */
  minor?: number;
  /** Which of the two. */
  op: 'Read' | 'Write';
  /** Bytes or operations. */
  value?: number;
}

/** How long processes waited for something: the kernel's psi.rst. */
export interface Pressure {
  /** While others ran: at least one waited. */
  some: PressureTimes;
  /** Nobody ran: all waited. */
  full: PressureTimes;
}

/** Shares of time. */
export interface PressureTimes {
  /** Percent of the last 10 seconds. */
  avg10: number;
  /** Percent of the last minute. */
  avg60: number;
  /** Percent of the last five minutes. */
  avg300: number;
  /** Microseconds in all. */
  total: number;
}

/** What a container has used from its beginning to its end. */
export interface ContainerTotals {
  /**
   * Processor time in milliseconds, of all processes. Where a container has no cgroup, as those of
   * an ordinary user may have none, it is told from the end of its process, where that is a child of
   * this program; else it is 0.
   */
  cpuMs: {
    /** In programs. */
    user: number;
    /** In the kernel. */
    system: number;
  };
  /**
   * The most memory that it had at one time, in bytes. Absent where it has no cgroup, the host's
   * cgroup v2 has no memory controller, or the kernel is older than 5.19.
   */
  peakMemory?: number;
  /**
   * The largest resident set that one of its processes had, in bytes, as getrusage(2) tells it. Absent
   * with `init: false`, where the reaper itself was killed, and of what {@link Container.end} tells.
   */
  maxRss?: number;
  /** How many processes were killed for want of memory. Absent without the memory controller. */
  oomKills?: number;
}

/**
 * What {@link Container.events} tells: what is used now, that a process was killed for want of
 * memory, or that all have ended.
 */
export type ContainerEvent =
  | {
      /** A sample. */
      type: 'stats';
      /** The container's. */
      id: string;
      /** What it uses. */
      data: ContainerStats;
    }
  | {
      /** A process was killed for want of memory; one event for each. */
      type: 'oom';
      /** The container's. */
      id: string;
    }
  | ({
      /** No process is left. How the container's own ended is known where this object created it. */
      type: 'exit';
      /** The container's. */
      id: string;
    } & ExitStatus);

export function containerTotals(native: NativeTotals): ContainerTotals {
  const { cpuUserNs, cpuSystemNs, peakMemory, oomKills, maxRss } = native;
  return {
    cpuMs: { user: cpuUserNs / 1e6, system: cpuSystemNs / 1e6 },
    ...(peakMemory !== undefined && { peakMemory }),
    ...(maxRss !== undefined && { maxRss }),
    ...(oomKills !== undefined && { oomKills }),
  };
}
