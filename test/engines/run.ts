/**
 * Runs an engine's cases. If the guest dies, continues in another one at the case that it died in.
 */
import { GuestDied } from '../machine/vm.js';
import type { CgroupDriver, Engine, Outcome, Runtime } from './case.js';
import { Guest } from './guest.js';

export interface Choice {
  /** Of Debian. */
  release: string;
  wanted(name: string, basic: boolean): boolean;
  told(outcome: Outcome): void;
}

export function runtimeOf(name: string, driver: CgroupDriver): Runtime {
  return { name, path: `/usr/bin/${name}`, driver };
}

/** Maximum number of guests for one engine's cases. */
const attempts = 4;

/** Runs the cases; returns the engine's version. */
export async function runCases(engine: Engine, runtime: Runtime, choice: Choice): Promise<string> {
  const done = new Set<string>();
  for (let attempt = 1; ; attempt++) {
    const systemd = runtime.driver === 'systemd';
    const guest = await Guest.boot(choice.release, { memory: engine.memory, systemd });
    try {
      const version = (await guest.ok(engine.version)).trim();
      for (const one of await engine.start(guest, runtime)) {
        const { name, basic = false, skip } = one;
        if (done.has(name) || !choice.wanted(name, basic)) continue;
        const started = performance.now();
        let failure: string | undefined;
        try {
          if (skip === undefined) await one.run();
        } catch (error) {
          if (error instanceof GuestDied) throw error;
          failure = error instanceof Error ? error.message : String(error);
        }
        done.add(name);
        const seconds = (performance.now() - started) / 1000;
        const { name: called, driver } = runtime;
        const what = { engine: engine.name, name, runtime: called, driver };
        choice.told({ ...what, failure, skip, seconds });
      }
      return version;
    } catch (error) {
      if (!(error instanceof GuestDied) || attempt === attempts) throw error;
      process.stderr.write(`engines: the guest died, going on in a new one: ${error.reason}\n`);
    } finally {
      guest.stop();
    }
  }
}
