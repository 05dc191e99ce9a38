/** Errors of failed commands. */
import { TareError, type TareErrorCode } from '../errors.js';
import { shownValue } from '../options/option-values.js';
import type { RunOptions } from './options.js';
import type { RunResult } from './result.js';

/**
 * Max bytes of standard error (its last ones) in a message; also max characters of a stream's
 * error.
 */
const maxComplaint = 2048;
/** Max characters of the command in a message. */
const maxCommand = 256;

/** Returns the error for a failed result. `stderr` is the command's standard error. */
export function failureOf(
  result: RunResult<RunOptions>,
  options: RunOptions,
  stderr: Buffer | undefined,
): TareError {
  if (result.aborted) return abortedError(result.command, options.signal?.reason, result);
  const [code, what] = whatFailed(result, options);
  const complaint = tail(stderr);
  const text = `${shownCommand(result.command)}: ${what}${complaint === '' ? '' : `\n${complaint}`}`;
  return new TareError(text, { code, result });
}

function whatFailed(result: RunResult<RunOptions>, options: RunOptions): [TareErrorCode, string] {
  const { memory, timeout, cpuTimeout, maxBuffer } = options;
  if (result.timedOut) return ['ERR_TARE_TIMED_OUT', `did not end within ${timeout} ms`];
  if (result.cpuTimedOut) {
    return ['ERR_TARE_CPU_TIMED_OUT', `used more than ${cpuTimeout} ms of processor time`];
  }
  if (result.outputTooLong) {
    const limit =
      maxBuffer === Infinity
        ? 'fits in memory; set maxBuffer, or write it to a file'
        : `${maxBuffer ?? defaultMaxBuffer} bytes; raise maxBuffer`;
    return ['ERR_TARE_OUTPUT_TOO_LONG', `wrote more than ${limit}`];
  }
  if (result.oomKilled) {
    const limit = memory === undefined ? '' : ` (limit ${memory})`;
    return ['ERR_TARE_OUT_OF_MEMORY', `was killed by the OOM killer${limit}`];
  }
  if (result.signal !== null) return ['ERR_TARE_COMMAND_FAILED', `was ended by ${result.signal}`];
  return ['ERR_TARE_COMMAND_FAILED', `exited with ${result.exitCode}`];
}

export const defaultMaxBuffer = 100 * 2 ** 20;

export function abortedError(
  command: readonly string[],
  cause: unknown,
  result?: RunResult<RunOptions>,
): TareError {
  return new TareError(`${shownCommand(command)}: was aborted`, {
    code: 'ERR_TARE_ABORTED',
    cause,
    ...(result && { result }),
  });
}

/**
 * Returns the error for a command that was killed because `name`, its input or an output target,
 * failed.
 */
export function streamError(
  command: readonly string[],
  name: string,
  cause: unknown,
  result: RunResult<RunOptions>,
): TareError {
  const why = cause instanceof Error ? cause.message : shownValue(cause);
  const told = why.length > maxComplaint ? `${why.slice(0, maxComplaint)}…` : why;
  return new TareError(`${shownCommand(command)}: ${name} failed: ${told}`, {
    code: 'ERR_TARE_STREAM_FAILED',
    cause,
    result,
  });
}

/** Returns the last bytes of a text, starting at a whole character. */
function tail(bytes: Buffer | undefined): string {
  if (bytes === undefined) return '';
  if (bytes.length <= maxComplaint) return bytes.toString().trim();
  let start = bytes.length - maxComplaint;
  while (start < bytes.length && (bytes[start]! & 0xc0) === 0x80) start++;
  return `… (its last 2 KiB)\n${bytes.subarray(start).toString().trim()}`;
}

function shownCommand(command: readonly string[]): string {
  const text = command
    .map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(' ');
  return text.length > maxCommand ? `${text.slice(0, maxCommand)}…` : text;
}

/**
 * Captures the stack of the current call without the frames of `callee`. V8 formats it when it is
 * read.
 */
export function callerOf(callee: (...args: never[]) => unknown): { stack?: string } {
  const call: { stack?: string } = {};
  Error.captureStackTrace(call, callee);
  return call;
}

/**
 * Returns a TareError as it is, and wraps any other error, such as one that `options.spec` threw.
 */
export function asTareError(error: unknown): TareError {
  if (error instanceof TareError) return error;
  const what = error instanceof Error ? error.message : shownValue(error);
  return new TareError(what, { code: 'ERR_TARE_INVALID_ARGUMENT', cause: error });
}

/** Gives `error` the stack of an earlier call, and returns it. */
export function withStack(error: TareError, call: { stack?: string }): TareError {
  const frames = /\n {4}at [^]*$/.exec(call.stack ?? '')?.[0] ?? '';
  const stack = `${error.name}: ${error.message}${frames}`;
  Object.defineProperty(error, 'stack', { value: stack, writable: true, configurable: true });
  return error;
}
