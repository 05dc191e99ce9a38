/** `linux.resources` of config.json. */
import type { Uint64 } from './json.js';

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
