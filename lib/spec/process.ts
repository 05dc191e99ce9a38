/** `process` of config.json. */
import type { Uint64 } from './json.js';

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
