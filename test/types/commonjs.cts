/** What `require` gives has the types of the modules. */
import type * as tare from '../../lib/index.cjs';
import type { Equal, Expect } from './expect.js' with { 'resolution-mode': 'import' };

declare const library: typeof tare;

export const bytes = library.run(['true'], { encoding: 'buffer', stderr: 'ignore' });
type Result = Awaited<typeof bytes>;

export type Checks = [
  Expect<Equal<Result['stdout'], Buffer>>,
  Expect<Equal<Result['stderr'], undefined>>,
  Expect<Equal<tare.RunResult['stdout'], string>>,
];

// @ts-expect-error there is no such option
void library.run(['true'], { timeOut: 5 });
export const isError = (error: unknown): boolean => error instanceof library.TareError;
