/** Makes the result of a command. */
import { exitStatus } from '../container/process.js';
import { containerTotals } from '../container/stats.js';
import type { NativeEnding } from '../native/binding.js';
import type { End } from './ends.js';
import { linesOf, textOf } from './lines.js';
import { isLimited, type RunOptions } from './options.js';
import type { RunResult } from './result.js';

/** What run() knows of a command that has ended, apart from the addon's report. */
export interface Outcome {
  /** What terminated it. */
  end: End | undefined;
  outputTooLong: boolean;
  times: Pick<RunResult, 'startMs' | 'durationMs'>;
  /** The caller's names for standard output and error. */
  names: readonly [string, string];
  /** Whether standard output and error are `pipe`. */
  isPiped: readonly (boolean | undefined)[];
  /** Standard output and error, and both merged. */
  outputs: readonly (Buffer | undefined)[];
}

export function resultOf(
  command: readonly string[],
  options: RunOptions,
  ending: Pick<NativeEnding, 'exitCode' | 'signal' | 'totals'>,
  { end, outputTooLong, times, names, isPiped, outputs }: Outcome,
): RunResult<RunOptions> {
  const { cpuTimeout, all = false } = options;
  const usage = containerTotals(ending.totals);
  const status = exitStatus(ending);
  const cpuMs = usage.cpuMs.user + usage.cpuMs.system;
  const byKernel = status.signal === 'SIGKILL' || status.signal === 'SIGXCPU';
  const [outPiped, errPiped] = isPiped;
  const [stdout, stderr, merged] = outputs;
  return {
    command,
    ...status,
    stdout: contentOf(names[0], options, outPiped, stdout),
    stderr: contentOf(names[1], options, errPiped, stderr),
    all: contentOf('all', options, all && (outPiped === true || errPiped === true), merged),
    failed: status.exitCode !== 0 || (end !== undefined && end !== 'kill'),
    timedOut: end === 'timeout',
    cpuTimedOut:
      end === 'cpu' ||
      (end === undefined && byKernel && isLimited(cpuTimeout) && cpuMs >= cpuTimeout),
    aborted: end === 'abort',
    outputTooLong,
    oomKilled: (usage.oomKills ?? 0) > 0,
    ...times,
    usage,
  };
}

const noBytes = Buffer.alloc(0);

/** Converts an output to the form that the result has. */
function contentOf(
  name: string,
  { buffer = true, encoding = 'utf8', lines, stripFinalNewline }: RunOptions,
  isPiped: boolean | undefined,
  bytes: Buffer = noBytes,
): string | string[] | Buffer | undefined {
  if (!buffer || isPiped !== true) return undefined;
  if (encoding === 'buffer') return stripFinalNewline ? withoutNewline(bytes) : bytes;
  const strips = stripFinalNewline === true && lines !== true;
  const kept = strips && !isWide(encoding) ? withoutNewline(bytes) : bytes;
  const text = textOf(name, kept, encoding);
  if (lines) return linesOf(text);
  return strips && isWide(encoding) ? text.replace(/\r?\n$/, '') : text;
}

/** Whether a newline takes more than one byte. */
const isWide = (encoding: BufferEncoding): boolean => /^(?:utf-?16le|ucs-?2)$/i.test(encoding);

function withoutNewline(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}
