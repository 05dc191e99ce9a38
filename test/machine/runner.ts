/** Runs suites in a guest and reports their assertions. */
import { Readable } from 'node:stream';
import { TapFile, type Test } from 'tap';
import type { Suite } from './suite.js';
import { GuestDied, Vm, type RunResult, type VmOptions } from './vm.js';

export const suiteTimeout = 600_000;

export type Runner = (suite: Suite) => Promise<RunResult>;

/**
 * Runs all suites in one guest; a suite during which the guest dies is tried again in a new one.
 * `node` is the command that runs a program.
 */
export function runInGuest(
  t: Test,
  first: Vm,
  options: VmOptions,
  node: readonly string[],
  env: Record<string, string>,
): Runner {
  let vm = first;
  t.teardown(() => vm.stop());
  return async ({ program }) => {
    for (let attempt = 1; ; attempt++) {
      if (vm.stopped) vm = await Vm.boot(options);
      try {
        return await vm.run([...node, program], { env, timeout: suiteTimeout });
      } catch (error) {
        if (!(error instanceof GuestDied) || attempt === 3) throw error;
        t.comment(`the guest died, trying again in a new one: ${error.reason}`);
      }
    }
  };
}

export async function report(t: Test, name: string, result: RunResult): Promise<void> {
  const { status, stdout, stderr } = result;
  await t.sub(TapFile, { name, tapStream: Readable.from([stdout]) });
  t.equal(status, 0, `${name} exits with 0`, { stderr: stderr.toString().slice(-4000) });
}
