/** A create call that is cancelled ends soon and leaves nothing behind. */
import { Containers, failure, skipReason } from '../support/containers.js';
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { binding } from '../../lib/native/binding.js';
import { createContainer } from '../../lib/container/container.js';
import { Container } from '../../lib/index.js';
import { openStdio } from '../../lib/container/stdio.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 60_000);

let lastKey = 0;

function begin(containers: Containers, bundle: string) {
  const cancelKey = ++lastKey;
  const more = { ...containers.options, bundle, start: true, cancelKey };
  const creation = createContainer(containers.id(`c${cancelKey}`), more, openStdio());
  creation.catch(() => undefined);
  return { creation, cancel: () => binding.cancelCreate(cancelKey) };
}

const hangs = (seconds: string): boolean =>
  spawnSync('pgrep', ['-f', `sleep ${seconds}`]).status === 0;

t.test('a hook of each kind', options, async (t) => {
  const containers = new Containers(t);
  const kinds = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart'];
  for (const kind of kinds) {
    const seconds = `1000.${process.pid}${kinds.indexOf(kind)}`;
    const bundle = containers.bundle(['sleep', '1000'], (config) => {
      config.hooks = { [kind]: [{ path: '/bin/sleep', args: ['sleep', seconds] }] };
    });
    const { creation, cancel } = begin(containers, bundle);
    while (!hangs(seconds)) await sleep(5);
    const before = performance.now();
    t.equal(cancel(), true, kind);
    t.match(await failure(creation), { code: 'ERR_TARE_ABORTED', message: /: was cancelled$/ });
    t.ok(performance.now() - before < 2000, `${kind}: it does not wait for the hook`);
    t.notOk(hangs(seconds), `${kind}: the hook is gone`);
    t.same(await Container.list(containers.options), [], `${kind}: nothing stays`);
    t.equal(cancel(), false, `${kind}: that was all`);
  }
});

t.test('at any moment', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000'], (config) => {
    for (let i = 0; i < 100; i++) {
      config.mounts.push({ destination: `/tmp/${i}`, type: 'tmpfs', source: 'tmpfs' });
    }
  });
  const outcomes = new Set<string>();
  for (let delay = 0; !outcomes.has('made'); delay = delay * 1.2 + 0.2) {
    const { creation, cancel } = begin(containers, bundle);
    if (delay > 0) await sleep(delay);
    if (cancel()) {
      outcomes.add('cancelled');
      t.match(await failure(creation), { code: 'ERR_TARE_ABORTED' }, `after ${delay} ms`);
    } else {
      outcomes.add('made');
      await (await creation).end();
    }
    t.same(await Container.list(containers.options), []);
  }
  t.same([...outcomes], ['cancelled', 'made']);
});
