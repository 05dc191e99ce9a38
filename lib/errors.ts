import type { RunOptions } from './run/options.js';
import type { RunResult } from './run/result.js';

/** The kind of a failure. */
export type TareErrorCode =
  /** Invalid container id, option or signal. */
  | 'ERR_TARE_INVALID_ARGUMENT'
  /** The configuration is invalid; `path` is the place in it, e.g. `mounts[3].source`. */
  | 'ERR_TARE_INVALID_CONFIG'
  /** Valid per the OCI spec, but not implemented by tare or not available on this host. */
  | 'ERR_TARE_UNSUPPORTED'
  /** The container does not exist. */
  | 'ERR_TARE_NOT_FOUND'
  /** A container with that id exists already. */
  | 'ERR_TARE_ALREADY_EXISTS'
  /** The container's status does not allow the operation, e.g. a second start. */
  | 'ERR_TARE_BAD_STATUS'
  /** The container has no such program. */
  | 'ERR_TARE_COMMAND_NOT_FOUND'
  /** The program cannot be executed in the container. */
  | 'ERR_TARE_COMMAND_NOT_EXECUTABLE'
  /** A hook failed or exceeded its timeout. */
  | 'ERR_TARE_HOOK_FAILED'
  /** A command of `run` exited with a nonzero code, or was terminated by a signal. */
  | 'ERR_TARE_COMMAND_FAILED'
  /** A command of `run` exceeded its `timeout`. */
  | 'ERR_TARE_TIMED_OUT'
  /** A command of `run` was aborted; the AbortSignal's reason is the error's `cause`. */
  | 'ERR_TARE_ABORTED'
  /** A command of `run` exceeded its `cpuTimeout`. */
  | 'ERR_TARE_CPU_TIMED_OUT'
  /**
   * The `input` of a `run` command, or a target of its output, failed; the failure is the error's
   * `cause`.
   */
  | 'ERR_TARE_STREAM_FAILED'
  /** A command of `run` exceeded its `maxBuffer`. */
  | 'ERR_TARE_OUTPUT_TOO_LONG'
  /** A command of `run` was killed by the OOM killer, because its memory was used up. */
  | 'ERR_TARE_OUT_OF_MEMORY'
  /** A system call failed; see `errno` and `syscall`. */
  | 'ERR_TARE_SYSTEM';

/** Details of a failure. */
export interface TareErrorFields {
  /** The kind of the failure. */
  code: TareErrorCode;
  /** Negative error number, see {@link TareError.errno}. */
  errno?: number;
  /** The system call that failed. */
  syscall?: string;
  /** The file, or the place in the configuration, that the error is about. */
  path?: string;
  /** The step that failed. */
  stage?: string;
  /** The result of a failed command of {@link run}. */
  result?: RunResult<RunOptions>;
  /** The underlying error. */
  cause?: unknown;
}

/**
 * The error of every failed container operation. The message says what was being done, to what, and
 * why it failed.
 */
export class TareError extends Error implements TareErrorFields {
  /** The kind of the failure. */
  readonly code: TareErrorCode;
  /**
   * The error number of the system call that failed. Negative, as in Node's own errors, so
   * `util.getSystemErrorName(error.errno)` gives its name. Absent where no system call failed.
   */
  declare readonly errno?: number;
  /** The system call that failed, e.g. `mount_setattr`. */
  declare readonly syscall?: string;
  /** The file, or the place in the configuration, that the error is about. */
  declare readonly path?: string;
  /** The step that failed, e.g. `mount proc on /proc`. */
  declare readonly stage?: string;
  /** The result of a failed command of `run`. */
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
// On the prototype, as in Node's own error classes.
Object.defineProperty(TareError.prototype, 'name', { value: 'TareError' });

/** C0 except tab and newline, DEL, and C1: a terminal would interpret them. */
// eslint-disable-next-line no-control-regex
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Escapes control characters: a message may contain text from untrusted sources. */
function printable(text: string): string {
  return text.replace(controls, (one) => {
    const code = one.charCodeAt(0).toString(16);
    return one === '\r' ? '\\r' : `\\x${code.padStart(2, '0')}`;
  });
}

export function invalidArgument(message: string): TareError {
  return new TareError(message, { code: 'ERR_TARE_INVALID_ARGUMENT' });
}

/** Maps command-line flags in the core's messages to options of the library. */
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

/** Converts what the addon throws or rejects with, plain objects without a stack, to an error. */
export function errorFrom(failure: unknown): unknown {
  if (failure instanceof Error) return failure;
  const fields = failure as TareErrorFields & { message: string };
  let { message } = fields;
  if (message.includes('--')) {
    for (const [flag, option] of optionOfFlag) message = message.replace(flag, option);
  }
  return new TareError(message, fields);
}

/** Awaits a promise of the addon. An error gets the stack of the caller that awaits. */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (failure) {
    const error = errorFrom(failure);
    if (error instanceof TareError) Error.captureStackTrace(error, settled);
    throw error;
  }
}
