/** The types of run(): those of the result and the streams follow the options. */
import type { Readable, Writable } from 'node:stream';
import { run, type RunOptions, type RunResult, type Running } from '../../lib/index.js';
import type { Equal, Expect } from './expect.js';

type Result<Command extends Promise<unknown>> = Awaited<Command>;

export const plain = run(['true']);
export const bytes = run(['true'], { encoding: 'buffer' });
export const hex = run(['true'], { encoding: 'hex', timeout: 5 });
export const lines = run(['true'], { lines: true });
export const all = run(['true'], { all: true, stderr: 'ignore' });
export const noAll = run(['true'], { all: true, stdout: 'ignore', stderr: 'ignore' });
export const elsewhere = run(['true'], { stdout: 'ignore', stderr: { file: '/dev/null' } });
export const both = run(['true'], {
  stdout: ['pipe', { file: '/dev/null' }],
  stderr: [process.stderr],
});
export const array = run(['true'], { stdio: ['pipe', 'inherit', 'pipe', 'pipe'] });
export const short = run(['true'], { stdio: ['ignore', 'pipe'] });
export const word = run(['true'], { stdio: 'pipe' });
export const terminal = run(['true'], { tty: { columns: 80, rows: 25 } });
export const fed = run(['cat'], { input: 'text' });
export const streams = run(['true'], { buffer: false });
export const none = run(['true'], undefined);

declare const encoding: BufferEncoding | 'buffer';
declare const wantsLines: boolean;
declare const options: RunOptions;
export const either = run(['true'], { encoding });
export const maybeLines = run(['true'], { lines: wantsLines });
export const any = run(['true'], options);
export const spread = run(['true'], { ...options, timeout: 5 });

export type Checks = [
  Expect<Equal<typeof plain, Running>>,
  Expect<Equal<typeof none, Running>>,
  Expect<Equal<Result<typeof plain>, RunResult>>,
  Expect<Equal<RunResult['stdout'], string>>,
  Expect<Equal<RunResult['stderr'], string>>,
  Expect<Equal<RunResult['all'], undefined>>,
  Expect<Equal<RunResult['signal'], NodeJS.Signals | null>>,
  Expect<Equal<(typeof plain)['stdin'], null>>,
  Expect<Equal<(typeof plain)['stdout'], Readable>>,
  Expect<Equal<(typeof plain)['all'], null>>,

  Expect<Equal<Result<typeof bytes>['stdout'], Buffer>>,
  Expect<Equal<Result<typeof bytes>['stderr'], Buffer>>,
  Expect<Equal<Result<typeof hex>['stdout'], string>>,
  Expect<Equal<Result<typeof lines>['stdout'], string[]>>,
  Expect<Equal<Result<typeof either>['stdout'], string | Buffer>>,
  Expect<Equal<Result<typeof maybeLines>['stdout'], string | string[]>>,

  Expect<Equal<Result<typeof all>['all'], string>>,
  Expect<Equal<Result<typeof all>['stderr'], undefined>>,
  Expect<Equal<(typeof all)['all'], Readable>>,
  Expect<Equal<Result<typeof noAll>['all'], undefined>>,
  Expect<Equal<(typeof noAll)['all'], null>>,

  Expect<Equal<Result<typeof elsewhere>['stdout'], undefined>>,
  Expect<Equal<Result<typeof elsewhere>['stderr'], undefined>>,
  Expect<Equal<(typeof elsewhere)['stdout'], null>>,
  Expect<Equal<Result<typeof both>['stdout'], string>>,
  Expect<Equal<Result<typeof both>['stderr'], undefined>>,
  Expect<Equal<(typeof both)['stdout'], Readable>>,
  Expect<Equal<(typeof both)['stderr'], null>>,

  Expect<Equal<(typeof array)['stdin'], Writable>>,
  Expect<Equal<(typeof array)['stdout'], null>>,
  Expect<Equal<Result<typeof array>['stderr'], string>>,
  Expect<Equal<Result<typeof short>['stdout'], string>>,
  Expect<Equal<Result<typeof short>['stderr'], undefined>>,
  Expect<Equal<(typeof word)['stdin'], Writable>>,
  Expect<Equal<(typeof word)['stdio'][2], Readable>>,

  Expect<Equal<Result<typeof terminal>['stdout'], string>>,
  Expect<Equal<Result<typeof terminal>['stderr'], undefined>>,
  Expect<Equal<(typeof terminal)['stdout'], null>>,
  Expect<Equal<(typeof terminal)['stdin'], null>>,
  Expect<Equal<(typeof fed)['stdin'], Writable>>,
  Expect<Equal<Result<typeof streams>['stdout'], undefined>>,
  Expect<Equal<(typeof streams)['stdout'], Readable>>,

  Expect<Equal<typeof any, Running<RunOptions>>>,
  Expect<Equal<Result<typeof any>['stdout'], string | string[] | Buffer | undefined>>,
  Expect<Equal<(typeof any)['stdin'], Writable | null>>,
  Expect<Equal<Result<typeof spread>['stdout'], string | string[] | Buffer | undefined>>,
];

/** What was run with any options is such a command. */
export const commands: Running<RunOptions>[] = [plain, bytes, lines, all, terminal, either, spread];
export const results: Promise<RunResult<RunOptions>>[] = [plain, bytes, lines, streams];
/** Options that are not about the output change nothing. */
export const same: Promise<RunResult> = run(['true'], { memory: '1MiB', timeout: 5 });

const words = ['a', 'b'] as const;
void run(words, {
  env: process.env,
  mounts: [{ source: '/a', destination: '/b' }] as const,
  capabilities: ['CAP_CHOWN'] as const,
  rlimits: { nofile: 1024, core: { soft: 0, hard: Infinity } },
  spec: (spec) => ({ ...spec, hostname: spec.hostname ?? 'name' }),
});
void run(['cat'], { input: process.stdin });
void run(['cat'], { input: new ReadableStream() });
void run(['cat'], { input: ['a', new Uint8Array(1)] });
void run(['cat'], { stdin: { file: new URL('file:///dev/null') }, stdout: new WritableStream() });

// @ts-expect-error there is no such option
void run(['true'], { timeOut: 5 });
// @ts-expect-error beside others, too
void run(['true'], { timeout: 5, memery: '1MiB' });
// @ts-expect-error a shell is not implied
void run('ls -l');
// @ts-expect-error it is a number
void run(['true'], { timeout: '5' });
// @ts-expect-error they are strings or bytes
void run(['true'], { input: [1] });
// @ts-expect-error there is no such signal
void run(['true'], { killSignal: 'SIGNONE' });
// @ts-expect-error the name of a limit
void run(['true'], { rlimits: { files: 1 } });
// @ts-expect-error standard error is ignored
void all.then(({ stderr }) => stderr.length);
