/** The errors of commands that were made and failed. */
import { TareError, type TareErrorCode } from '../errors.js';
import { shownValue } from '../option-values.js';
import type { RunOptions } from './options.js';
import type { RunResult } from './result.js';

/** Bytes of standard error, its last ones, that a message has; and characters of a stream's error. */
const maxComplaint = 2048;
/** Characters. */
const maxCommand = 256;

/** The error of a result that failed, whose standard error was `stderr`. */
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
        ? 'there is memory for'
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

/** The error of a command that was ended since what it reads from or writes to, `name`, failed. */
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

/** The last bytes of a text, beginning with a whole character. */
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

/** The frames of the call that is under way, without those of `callee`; cheap until they are read. */
export function callerOf(callee: (...args: never[]) => unknown): { stack?: string } {
  const call: { stack?: string } = {};
  Error.captureStackTrace(call, callee);
  return call;
}

/** What is no error of ours, such as what `options.spec` threw, as the cause of one. */
export function asTareError(error: unknown): TareError {
  if (error instanceof TareError) return error;
  const what = error instanceof Error ? error.message : shownValue(error);
  return new TareError(what, { code: 'ERR_TARE_INVALID_ARGUMENT', cause: error });
}

/** An error with the stack of a call that was made earlier. */
export function withStack(error: TareError, call: { stack?: string }): TareError {
  const frames = /\n {4}at [^]*$/.exec(call.stack ?? '')?.[0] ?? '';
  const stack = `${error.name}: ${error.message}${frames}`;
  Object.defineProperty(error, 'stack', { value: stack, writable: true, configurable: true });
  return error;
}
