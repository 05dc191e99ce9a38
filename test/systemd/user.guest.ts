/** An ordinary user's containers as units of the user's own service manager. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Diagnosis, asJson } from '../support/doctor.js';
import { OrdinaryUser, uid } from '../support/ordinary-user.js';
import { cgroupRoot, systemctl } from '../support/systemd-units.js';
import { Sandbox, state, type Config, type Result } from '../support/tare.js';

const sandbox = new Sandbox(t);
const user = new OrdinaryUser(sandbox);
const manager = `/user.slice/user-${uid}.slice/user@${uid}.service`;

// Add the user to the guest, which is discarded afterwards. The user's manager runs without a
// login.
appendFileSync('/etc/passwd', `tare-test:x:${uid}:${uid}::/:/bin/sh\n`);
appendFileSync('/etc/shadow', 'tare-test:*:19000::::::\n');
appendFileSync('/etc/group', `tare-test:x:${uid}:\n`);
systemctl('start', `user@${uid}.service`);
user.runtime = `/run/user/${uid}`;

const tare = (...args: string[]): Result => user.tare('--systemd-cgroup', ...args);
const show = (unit: string, name: string): string =>
  user
    .run(['systemctl', '--user', 'show', '--property', name, '--value', '--', unit])
    .stdout.trim();
const cgroupOf = (pid: number): string =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;

function limited(config: Config): void {
  config.linux['resources'] = { pids: { limit: 20 }, memory: { limit: 32 << 20 } };
}

/** Runs a container and a process in it, and ends it. `call` makes all calls. */
function life(t: Test, name: string, call: (...args: string[]) => Result): void {
  const id = sandbox.id(name);
  const unit = `tare-${id}.scope`;
  const bundle = user.bundle(['sleep', '1000'], limited);
  const run = call('--systemd-cgroup', 'run', '--detach', '--bundle', bundle, id);
  t.strictSame([run.status, run.stderr], [0, '']);
  const { pid } = state(call('state', id).stdout);
  t.equal(cgroupOf(pid), `${manager}/user.slice/${unit}`);
  t.equal(show(unit, 'TasksMax'), '20');
  t.equal(show(unit, 'MemoryMax'), `${32 << 20}`);
  const cgroup = join(cgroupRoot, cgroupOf(pid));
  t.equal(readFileSync(join(cgroup, 'pids.max'), 'utf8'), '20\n');
  t.equal(readFileSync(join(cgroup, 'memory.max'), 'utf8'), `${32 << 20}\n`);

  const exec = call('exec', id, 'cat', '/proc/self/cgroup');
  t.strictSame([exec.status, exec.stdout, exec.stderr], [0, '0::/\n', ''], 'exec is in the scope');
  t.equal(call('kill', id, 'KILL').status, 0);
  t.equal(call('delete', '--force', id).status, 0);
  t.notOk(existsSync(cgroup));
  t.equal(show(unit, 'LoadState'), 'not-found');
  t.strictSame(user.containers(), []);
}

sandbox.test('doctor: with the user’s manager there is all that a start needs', async (t) => {
  const diagnosis = new Diagnosis(tare(...asJson));
  t.strictSame([diagnosis.lacks, diagnosis.result.status], [[], 0]);
  t.match(diagnosis.of('systemd-user'), { status: 'ok', required: true, found: /^version \d+$/ });
  t.match(diagnosis.of('systemd'), { status: 'ok', required: false });
  t.match(
    diagnosis.of('cgroup').found,
    new RegExp(`^${join(cgroupRoot, manager)}(/user.slice)?, by systemd$`),
  );
  for (const name of ['memory', 'pids']) t.equal(diagnosis.of(`controller-${name}`).status, 'ok');
  const elsewhere = user.runtime;
  user.runtime = '/nowhere';
  t.match(new Diagnosis(tare('--root', join(user.directory, 'state'), ...asJson)).lacks, [
    'systemd-user',
  ]);
  user.runtime = elsewhere;
});

sandbox.test('from a session, whose cgroup is root’s', async (t) => {
  life(t, 'session', (...args) => user.tare(...args));
});

sandbox.test('from a unit of the user’s manager', async (t) => {
  const scope = ['systemd-run', '--user', '--scope', '--quiet'];
  life(t, 'scope', (...args) => user.run([...scope, join(user.directory, 'tare'), ...args]));
});

sandbox.test('in a slice of the user’s', async (t) => {
  const id = sandbox.id('slice');
  const bundle = user.bundle(['sleep', '1000'], (config) => {
    config.linux.cgroupsPath = 'app-x.slice:pre:name';
  });
  t.equal(tare('run', '--detach', '--bundle', bundle, id).status, 0);
  const { pid } = state(user.tare('state', id).stdout);
  t.equal(cgroupOf(pid), `${manager}/app.slice/app-x.slice/pre-name.scope`);
  t.equal(user.tare('delete', '--force', id).status, 0);
});

sandbox.test('hooks and a failure', async (t) => {
  const id = sandbox.id('hooks');
  const bundle = user.bundle(['true'], (config) => {
    limited(config);
    config.hooks = {
      createContainer: [{ path: '/bin/busybox', args: ['true'] }],
      startContainer: [{ path: '/bin/busybox', args: ['busybox', 'true'] }],
    };
  });
  const run = tare('run', '--bundle', bundle, id);
  t.strictSame([run.status, run.stderr], [0, '']);
  const failing = user.bundle(['/nosuchprogram'], limited);
  t.equal(tare('run', '--bundle', failing, id).status, 1);
  t.equal(show(`tare-${id}.scope`, 'LoadState'), 'not-found');
});

sandbox.test('a controller that the user has not', async (t) => {
  const bundle = user.bundle(['true'], (config) => {
    config.linux['resources'] = { hugepageLimits: [{ pageSize: '2MB', limit: 0 }] };
  });
  const { status, error } = tare('run', '--bundle', bundle, sandbox.id('hugetlb'));
  t.equal(status, 1);
  t.match(error, 'linux.resources.hugepageLimits[0] needs the hugetlb controller');
});

sandbox.test('no manager of the user', async (t) => {
  const bundle = user.bundle(['true']);
  const runtime = user.runtime;
  user.runtime = join(user.directory, 'run');
  const { status, error } = tare('run', '--bundle', bundle, sandbox.id('absent'));
  user.runtime = runtime;
  t.equal(status, 1);
  t.match(error, `unix:path=${user.directory}/run/systemd/private: ENOENT`);
  t.match(error, 'have `loginctl enable-linger` keep one');
});
