/**
 * An ordinary user's containers with the controllers of cgroup v2, and on a kernel that refuses
 * user namespaces.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { OrdinaryUser } from '../support/ordinary-user.js';
import { Sandbox } from '../support/tare.js';

const sandbox = new Sandbox(t);
const user = new OrdinaryUser(sandbox);

sandbox.test('limits in a cgroup that was delegated to the user', async (t) => {
  user.delegated((top) => {
    const id = sandbox.id('limited');
    const bundle = user.bundle(['sleep', '1000'], (config) => {
      config.linux['resources'] = { memory: { limit: 33554432 }, pids: { limit: 20 } };
    });
    const created = user.tare('run', '-d', '--bundle', bundle, id);
    t.strictSame([created.status, created.stderr], [0, '']);
    t.equal(readFileSync(join(top, id, 'memory.max'), 'utf8'), '33554432\n');
    t.equal(readFileSync(join(top, id, 'pids.max'), 'utf8'), '20\n');
    t.equal(user.tare('delete', '--force', id).status, 0);
  });
});

sandbox.test('a limit, and a cgroup that is not the user’s', async (t) => {
  const bundle = user.bundle(['true'], (config) => {
    config.linux['resources'] = { pids: { limit: 20 } };
  });
  const { status, error } = user.tare('run', '--bundle', bundle, sandbox.id('not-delegated'));
  t.equal(status, 1);
  t.match(error, 'config.json: linux.resources.pids.limit needs a cgroup');
  t.match(error, 'run below a cgroup that is delegated to you');
});

/** Runs `true` while a sysctl has the given value; returns the error. */
function refusedWith(t: Test, sysctl: string, value: string): string {
  const file = `/proc/sys/${sysctl.replaceAll('.', '/')}`;
  const before = readFileSync(file, 'utf8');
  writeFileSync(file, value);
  try {
    const { status, error } = user.tare(
      ...['run', '--bundle', user.bundle(['true']), sandbox.id('refused')],
    );
    t.equal(status, 1, sysctl);
    t.strictSame(user.containers(), []);
    return error;
  } finally {
    writeFileSync(file, before);
  }
}

for (const [sysctl, value, remedy] of [
  ['user.max_user_namespaces', '0', 'set the sysctl user.max_user_namespaces, which is 0'],
  [
    'kernel.unprivileged_userns_clone',
    '0',
    'set the sysctl kernel.unprivileged_userns_clone to 1, or run as root',
  ],
  [
    'kernel.apparmor_restrict_unprivileged_userns',
    '1',
    'load a profile for this program with the rule "userns,"',
  ],
] as const) {
  // Debian's kernel has the second sysctl, Ubuntu's the third.
  if (!existsSync(`/proc/sys/${sysctl.replaceAll('.', '/')}`)) continue;
  void t.test(`refused by ${sysctl}`, async (t) => {
    t.match(refusedWith(t, sysctl, value), remedy);
  });
}
