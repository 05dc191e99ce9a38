import type { RunOptions } from './run/options.js';
import type { RunResult } from './run/result.js';

/** What kind of thing went wrong. */
export type TareErrorCode =
  /** An id, an option or a signal that cannot be. */
  | 'ERR_TARE_INVALID_ARGUMENT'
  /** The configuration says something impossible; `path` is the place, e.g. `mounts[3].source`. */
  | 'ERR_TARE_INVALID_CONFIG'
  /** Valid by the OCI spec, but not implemented here or not offered by this host. */
  | 'ERR_TARE_UNSUPPORTED'
  /** There is no such container. */
  | 'ERR_TARE_NOT_FOUND'
  /** There is a container of that id. */
  | 'ERR_TARE_ALREADY_EXISTS'
  /** The container's status does not allow it, e.g. a second start. */
  | 'ERR_TARE_BAD_STATUS'
  /** The program to be run in the container is not there. */
  | 'ERR_TARE_COMMAND_NOT_FOUND'
  /** The program to be run in the container cannot be executed. */
  | 'ERR_TARE_COMMAND_NOT_EXECUTABLE'
  /** A hook exited with an error or ran into its timeout. */
  | 'ERR_TARE_HOOK_FAILED'
  /** A command of `run` exited with something else than 0, or by a signal. */
  | 'ERR_TARE_COMMAND_FAILED'
  /** A command of `run` was ended by its timeout. */
  | 'ERR_TARE_TIMED_OUT'
  /** A command of `run` was ended by its AbortSignal, whose reason is the error's `cause`. */
  | 'ERR_TARE_ABORTED'
  /** A command of `run` used more processor time than its `cpuTimeout`. */
  | 'ERR_TARE_CPU_TIMED_OUT'
  /**
   * What was given to `run` as its `input`, or as a target of its output, failed; the failure is the
   * error's `cause`.
   */
  | 'ERR_TARE_STREAM_FAILED'
  /** A command of `run` wrote more than it may. */
  | 'ERR_TARE_OUTPUT_TOO_LONG'
  /** A command of `run` was killed because its memory was used up. */
  | 'ERR_TARE_OUT_OF_MEMORY'
  /** A system call failed; `errno` and `syscall` say how. */
  | 'ERR_TARE_SYSTEM';

/** What is known of a failure beside its message. */
export interface TareErrorFields {
  /** What kind of thing went wrong. */
  code: TareErrorCode;
  /** Negative, see {@link TareError.errno}. */
  errno?: number;
  /** Of the system call that failed. */
  syscall?: string;
  /** What it is about. */
  path?: string;
  /** The step that failed. */
  stage?: string;
  /** What became of a command of {@link run}. */
  result?: RunResult<RunOptions>;
  /** What led to it. */
  cause?: unknown;
}

/**
 * Every failure of a container operation. The message is the whole sentence: what was being done,
 * to what, and why it failed.
 */
export class TareError extends Error implements TareErrorFields {
  /** What kind of thing went wrong. */
  readonly code: TareErrorCode;
  /**
   * The error number of the system call that failed. Negative, as in Node's own errors, so
   * `util.getSystemErrorName(error.errno)` gives its name. Absent where no system call failed.
   */
  declare readonly errno?: number;
  /** The system call that failed, e.g. `mount_setattr`. */
  declare readonly syscall?: string;
  /** The file, or the place in the configuration, that it is about. */
  declare readonly path?: string;
  /** The step that failed, e.g. `mount proc on /proc`. */
  declare readonly stage?: string;
  /** What became of a command of `run` that failed. */
  declare readonly result?: RunResult<RunOptions>;

  constructor(message: string, fields: TareErrorFields) {
    super(printable(message), 'cause' in fields ? { cause: fields.cause } : undefined);
    this.code = fields.code;
    if (fields.errno !== undefined) this.errno = fields.errno;
    if (fields.syscall !== undefined) this.syscall = fields.syscall;
    if (fields.path !== undefined) this.path = fields.path;
    if (fields.stage !== undefined) this.stage = fields.stage;
    if (fields.result !== undefined) this.result = fields.result;
  }
}
// Not an own property of each error, as with Node's classes.
Object.defineProperty(TareError.prototype, 'name', { value: 'TareError' });

/** C0 but tab and newline, DEL, C1: a terminal would obey them. */
// eslint-disable-next-line no-control-regex
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text of others' in a message: what a terminal would obey is shown instead. */
function printable(text: string): string {
  return text.replace(controls, (one) => {
    const code = one.charCodeAt(0).toString(16);
    return one === '\r' ? '\\r' : `\\x${code.padStart(2, '0')}`;
  });
}

export function invalidArgument(message: string): TareError {
  return new TareError(message, { code: 'ERR_TARE_INVALID_ARGUMENT' });
}

/** What the core calls by a flag of the command line, and the library by an option. */
const optionOfFlag: readonly [RegExp, string][] = [
  [/`(?:tare )?delete --force`/g, '`delete({ force: true })`'],
  [/--force\b/g, '{ force: true }'],
  [/--systemd-cgroup\b/g, 'systemdCgroup'],
  [/--ignore-paused\b/g, 'ignorePaused'],
  [/--console-socket\b/g, 'consoleSocket'],
  [/--pid-file\b/g, 'pidFile'],
  [/--no-pivot\b/g, 'noPivot'],
  [/--no-new-keyring\b/g, 'noNewKeyring'],
  [/name the bundle with --bundle, or make one with `tare spec`/g, 'name the bundle with `bundle`'],
  [/--root DIR\b/g, '`root`'],
];

/** The error for what the addon throws or rejects with: plain objects, which have no stack. */
export function errorFrom(failure: unknown): unknown {
  if (failure instanceof Error) return failure;
  const fields = failure as TareErrorFields & { message: string };
  let { message } = fields;
  if (message.includes('--')) {
    for (const [flag, option] of optionOfFlag) message = message.replace(flag, option);
  }
  return new TareError(message, fields);
}

/** Awaits what the addon does; its failures get the stack of whoever awaits. */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (failure) {
    const error = errorFrom(failure);
    if (error instanceof TareError) Error.captureStackTrace(error, settled);
    throw error;
  }
}
