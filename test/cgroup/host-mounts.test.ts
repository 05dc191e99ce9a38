/**
 * A container's lifecycle on the host's own cgroup mounts: v2, v1 and v2 side by side, or v1 alone.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Result } from '../support/tare.js';

process.env['TARE_TEST_VIEW'] = 'none';
const { Sandbox, state, skipReason } = await import('../support/tare.js');

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  sandbox.test('run', async (t) => {
    const bundle = sandbox.bundle(['sh', '-c', 'ls /sys/fs/cgroup; exit 7']);
    const { status, stdout, stderr } = sandbox.tare(['run', '-b', bundle, sandbox.id('run')]);
    t.equal(status, 7);
    t.equal(stderr, '');
    t.match(stdout, 'cgroup.procs\n', 'the container sees its own v2 cgroup');
  });

  sandbox.test('create, start, exec, ps, kill, delete', async (t) => {
    const id = sandbox.id('life');
    const exec = (...args: string[]): Result => sandbox.must(['exec', id, ...args]);
    sandbox.must(['create', '-b', sandbox.bundle(['sleep', '1000']), id]);
    sandbox.must(['start', id]);
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const own = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
    t.match(own, id, 'the cgroup has the name of the container');
    t.equal(exec('grep', '^0::', '/proc/self/cgroup').stdout, '0::/\n');
    t.strictSame(JSON.parse(sandbox.must(['ps', '-f', 'json', id]).stdout), [pid]);
    sandbox.must(['kill', id, 'KILL']);
    sandbox.must(['delete', '--force', id]);
  });
}
