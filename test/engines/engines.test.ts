/**
 * The basic cases of container engines that use tare as their runtime. npm run test:engines runs
 * all cases, also with other runtimes.
 *
 *     npm test -- test/engines/engines.test.ts --test-arg=containerd      only engines with that in their name
 */
import t from 'tap';
import { engines } from './engines.js';
import { defaultRelease } from './root.js';
import { runCases, runtimeOf } from './run.js';
import { Unavailable } from '../machine/vm.js';
import { allowTime } from '../support/timeout.js';

const filter = process.argv[2] ?? '';
allowTime(t, 900_000);

for (const engine of engines.filter(({ name }) => name.includes(filter))) {
  await t.test(engine.name, { timeout: 600_000 }, async (t) => {
    try {
      const version = await runCases(engine, runtimeOf('tare', 'cgroupfs'), {
        release: defaultRelease,
        wanted: (_, basic) => basic,
        told({ name, failure, skip, seconds }) {
          const title = `${name} (${seconds.toFixed(1)} s)`;
          if (skip !== undefined) t.pass(title, { skip });
          else if (failure === undefined) t.pass(title);
          else t.fail(title, { failure: failure.split('\n') });
        },
      });
      t.comment(version);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      t.pass('a guest', { skip: error.message });
    }
  });
}
