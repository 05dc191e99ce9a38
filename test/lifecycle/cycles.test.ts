/** Many container lifecycles, sequential and parallel, leave nothing behind. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import { Sandbox, exitOf, skipReason } from '../support/tare.js';
import { allowTime } from '../support/timeout.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  allowTime(t, 600_000);

  sandbox.test('2,000 times run', async () => {
    const bundle = sandbox.bundle(['true']);
    const id = sandbox.id('run');
    for (let i = 0; i < 2000; i++) sandbox.must(['run', '-b', bundle, id]);
  });

  sandbox.test('500 times create, start, kill, delete', async () => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const id = sandbox.id('life');
    for (let i = 0; i < 500; i++) {
      sandbox.must(['create', '-b', bundle, id]);
      sandbox.must(['start', id]);
      sandbox.must(['kill', id, 'KILL']);
      sandbox.must(['delete', '--force', id]);
    }
  });

  sandbox.test('32 creates of different ids at once: all succeed', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const ids = Array.from({ length: 32 }, (_, i) => sandbox.id(`many${i}`));
    const calls = ids.map((id) => sandbox.spawn(['create', '-b', bundle, id], { stdio: 'ignore' }));
    t.strictSame(await Promise.all(calls.map(exitOf)), Array<number>(32).fill(0));
    t.equal(sandbox.must(['list', '-q']).stdout.trim().split('\n').length, 32);
    const deletes = ids.map((id) => sandbox.spawn(['delete', '--force', id], { stdio: 'ignore' }));
    t.strictSame(await Promise.all(deletes.map(exitOf)), Array<number>(32).fill(0));
  });

  sandbox.test('32 creates of one id at once: exactly one succeeds', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000']);
    const id = sandbox.id('one');
    const calls = Array.from({ length: 32 }, () =>
      sandbox.spawn(['create', '-b', bundle, id], { stdio: 'ignore' }),
    );
    const statuses = await Promise.all(calls.map(exitOf));
    t.strictSame(statuses.sort(), [0, ...Array<number>(31).fill(1)]);
    t.equal(sandbox.must(['list', '-q']).stdout, `${id}\n`);
    sandbox.must(['start', id]);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('deletes of one id at once: none fails, and all is gone', async (t) => {
    const id = sandbox.id('gone');
    sandbox.must(['create', '-b', sandbox.bundle(['true']), id]);
    const calls = Array.from({ length: 16 }, () =>
      sandbox.spawn(['delete', '--force', id], { stdio: 'ignore' }),
    );
    t.strictSame(await Promise.all(calls.map(exitOf)), Array<number>(16).fill(0));
    t.notOk(readdirSync(sandbox.root).includes(id));
  });
}
