/** `linux.seccomp` of config.json. */
import type { Uint64 } from './json.js';

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
