/** The options of {@link Container}'s methods, and their checks. */
import {
  isAbortSignal,
  isBoolean,
  isDelay,
  isObject,
  isPath,
  mustBe,
  type Check,
  type Checks,
} from '../options/option-values.js';
import type { Process, Spec } from '../spec/spec.js';
import type { Stdio } from './stdio.js';

/** Where containers are kept, and how their cgroups are managed. */
export interface RuntimeOptions {
  /**
   * State directory, as `--root` of the command line: /run/tare by default. For an ordinary user it
   * is `$XDG_RUNTIME_DIR/tare`; without that variable `/run/user/UID/tare` if the user has such a
   * directory, else `/tmp/tare-UID`. It must belong to the caller or to root, and no other user may
   * write to it; it is created with mode 0700.
   */
  root?: string;
  /**
   * Whether to continue without cgroup operations that only a privileged caller can do. True by
   * default if the caller is not root of the host.
   */
  rootless?: boolean;
  /**
   * Whether systemd creates the cgroups of new containers, as its units: `linux.cgroupsPath` is
   * then SLICE:PREFIX:NAME. Existing containers keep the setting they were created with.
   */
  systemdCgroup?: boolean;
}

/** The file descriptors of a process. */
export interface StdioOptions {
  /**
   * Standard streams and further file descriptors; `ignore` by default. Given descriptors are not
   * closed, and must stay open until the call has succeeded.
   */
  stdio?: Stdio;
  /**
   * Path of a listening AF_UNIX socket that receives the master of the process's pseudo-terminal,
   * if `process.terminal` is set. Without it this program gets the master, as `terminal` of the
   * container or process.
   */
  consoleSocket?: string;
}

/** Options of {@link Container.create}. */
export interface CreateOptions extends RuntimeOptions, StdioOptions {
  /** Bundle directory; the working directory by default. */
  bundle?: string;
  /** Configuration; config.json of the bundle by default. */
  spec?: Spec;
  /** File that receives the host pid of the container's process. */
  pidFile?: string;
  /** Starts the program at once, which costs less than {@link Container.start} afterwards. */
  start?: boolean;
  /**
   * Ends the container when this program ends, for whatever reason, or when the worker thread that
   * created it ends. If this program is killed, the next {@link run} removes what remains.
   */
  endsWithProgram?: boolean;
  /**
   * Makes the program an ordinary process: pid 1 of the container is a reaper that forwards signals
   * to it, reaps orphaned processes and reports how the program ended. False by default: the
   * program is pid 1. In a pid namespace that the container shares with others, the program is an
   * ordinary process in any case.
   */
  init?: boolean;
  /** Changes the root without pivot_root(2), for a root on the initial ramdisk. Less secure. */
  noPivot?: boolean;
  /** Lets the container use the caller's session keyring. */
  noNewKeyring?: boolean;
}

/** Options of {@link Container.exec}. */
export interface ExecOptions extends StdioOptions {
  /** File that receives the host pid of the process. */
  pidFile?: string;
  /**
   * Starts the process even if the container is paused; it then runs when the container is resumed.
   */
  ignorePaused?: boolean;
}

/** Options of {@link Container.events} and {@link Container.stats}. */
export interface EventsOptions {
  /** Milliseconds between two samples; 5000 by default. */
  interval?: number;
  /** An AbortSignal that ends the sequence. */
  signal?: AbortSignal;
}

/**
 * A process for {@link Container.exec}. Absent properties are those of the container's own process.
 */
export type ExecProcess = Pick<Process, 'args'> & Partial<Process>;

/** Items are checked when they are opened. */
const isStdio: Check = () => undefined;
export const runtimeChecks: Checks<RuntimeOptions> = {
  root: isPath,
  rootless: isBoolean,
  systemdCgroup: isBoolean,
};
const stdioChecks: Checks<StdioOptions> = { stdio: isStdio, consoleSocket: isPath };
export const createChecks: Checks<CreateOptions> = {
  ...runtimeChecks,
  ...stdioChecks,
  bundle: isPath,
  spec: isObject,
  pidFile: isPath,
  start: isBoolean,
  endsWithProgram: isBoolean,
  init: isBoolean,
  noPivot: isBoolean,
  noNewKeyring: isBoolean,
};
export const execChecks: Checks<ExecOptions> = {
  ...stdioChecks,
  pidFile: isPath,
  ignorePaused: isBoolean,
};
export const eventsChecks: Checks<EventsOptions> = {
  interval(name, value) {
    isDelay(name, value);
    if (value === 0) throw mustBe(name, 'greater than 0', value);
  },
  signal: isAbortSignal,
};
export const killChecks: Checks<{ all?: boolean }> = { all: isBoolean };
export const deleteChecks: Checks<{ force?: boolean }> = { force: isBoolean };
