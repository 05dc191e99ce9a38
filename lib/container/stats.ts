import type { ExitStatus } from './process.js';
import type { NativeTotals } from '../native/binding.js';

/**
 * Resource usage of a container, in the format of runc's `events`. Times are nanoseconds, sizes are
 * bytes. Values that need a controller which the host's cgroup v2 lacks are absent.
 */
export interface ContainerStats {
  /** CPU time. */
  cpu: {
    /** CPU time since the container was created; cpu.stat of cgroup v2. */
    usage: {
      /** Kernel and user time. */
      total?: number;
      /** Kernel time. */
      kernel: number;
      /** User time. */
      user: number;
    };
    /** Throttling by a CPU quota. */
    throttling?: {
      /** Periods that have elapsed. */
      periods?: number;
      /** Periods in which it was throttled. */
      throttledPeriods?: number;
      /** Total time for which it was throttled. */
      throttledTime?: number;
    };
    /** How long processes waited for a processor. */
    psi?: Pressure;
  };
  /** Processors and memory nodes that may be used. Its other properties exist only in cgroup v1. */
  cpuset: {
    /** Numbers of the processors. */
    cpus?: number[];
    /** Numbers of the memory nodes. */
    mems?: number[];
  };
  /** Memory. */
  memory: {
    /** Memory that holds the contents of files. */
    cache?: number;
    /** All memory. */
    usage?: MemoryUse;
    /** Memory and swap together. */
    swap?: MemoryUse;
    /** The kernel's memory.stat. */
    raw?: Record<string, number>;
    /** How long processes waited for memory. */
    psi?: Pressure;
  };
  /** Processes and threads. */
  pids: {
    /** Current number. */
    current?: number;
    /** Max number; 0: no limit. */
    limit?: number;
  };
  /** Block devices. */
  blkio: {
    /** Bytes transferred, by device. */
    ioServiceBytesRecursive?: BlockIoCount[];
    /** Operations, by device. */
    ioServicedRecursive?: BlockIoCount[];
    /** How long processes waited for a device. */
    psi?: Pressure;
  };
  /** By page size, such as `2MB`. */
  hugetlb: Record<
    string,
    {
      /** Bytes. */
      usage?: number;
      /** How often the limit was reached. */
      failcnt: number;
    }
  >;
  /** Counters of the container's resctrl monitoring group, if it has one. */
  intel_rdt: Record<string, unknown>;
  /** For compatibility with runc; always null. */
  network_interfaces: null;
}

/** Usage of a kind of memory. */
export interface MemoryUse {
  /** Limit; about 2^64 if there is none. */
  limit: number;
  /** Current usage. */
  usage?: number;
  /** Peak usage. */
  max?: number;
  /** cgroup v1 only: always 0. */
  failcnt: number;
}

/** What one device has read or written. */
export interface BlockIoCount {
  /** Major number. */
  major?: number;
  /** Minor number. */
  minor?: number;
  /** Direction. */
  op: 'Read' | 'Write';
  /** Bytes or operations. */
  value?: number;
}

/** Pressure stall information: the kernel's psi.rst. */
export interface Pressure {
  /** At least one process waited. */
  some: PressureTimes;
  /** All processes waited, and none ran. */
  full: PressureTimes;
}

/** Shares of the time for which processes waited. */
export interface PressureTimes {
  /** Percent of the last 10 seconds. */
  avg10: number;
  /** Percent of the last minute. */
  avg60: number;
  /** Percent of the last five minutes. */
  avg300: number;
  /** Total, in microseconds. */
  total: number;
}

/** Total resource usage of a container. */
export interface ContainerTotals {
  /**
   * CPU time of all processes, in milliseconds. A container of an ordinary user may have no cgroup:
   * the time is then known from the end of its process, if that is a child of this program, and is
   * 0 otherwise.
   */
  cpuMs: {
    /** User time. */
    user: number;
    /** Kernel time. */
    system: number;
  };
  /**
   * Peak memory usage, in bytes. Absent if the container has no cgroup, the host's cgroup v2 has no
   * memory controller, or the kernel is older than 5.19.
   */
  peakMemory?: number;
  /**
   * Largest resident set of a single process, in bytes, as in getrusage(2). Absent with `init:
   * false`, if the reaper itself was killed, and in what {@link Container.end} returns.
   */
  maxRss?: number;
  /** Number of processes killed by the OOM killer. Absent without the memory controller. */
  oomKills?: number;
}

/** An event of {@link Container.events}: a sample, an OOM kill, or the end of all processes. */
export type ContainerEvent =
  | {
      /** A sample. */
      type: 'stats';
      /** Id of the container. */
      id: string;
      /** The resource usage. */
      data: ContainerStats;
    }
  | {
      /** The OOM killer killed a process; one event for each. */
      type: 'oom';
      /** Id of the container. */
      id: string;
    }
  | ({
      /**
       * No process is left. The status is that of the container's own process, and is known if this
       * object created the container.
       */
      type: 'exit';
      /** Id of the container. */
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
