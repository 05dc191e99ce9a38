/**
 * `doctor` on a machine whose kernel and cgroups can be changed: sysctls, delegation, security
 * modules.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Diagnosis, asJson } from '../support/doctor.js';
import { OrdinaryUser } from '../support/ordinary-user.js';
import { Sandbox, call, cli } from '../support/tare.js';

const sandbox = new Sandbox(t);
const user = new OrdinaryUser(sandbox);
const tree = '/sys/fs/cgroup';
const controllers = ['cpu', 'cpuset', 'io', 'memory', 'pids'];
let starts = 0;

const ask = (): Diagnosis => new Diagnosis(sandbox.tare(asJson));
const askAsUser = (): Diagnosis => new Diagnosis(user.tare(...asJson));

/** Runs doctor as the user, and checks that a start succeeds or fails as its status says. */
function agree(t: Test): Diagnosis {
  const diagnosis = askAsUser();
  const bundle = user.bundle(['true']);
  const run = user.tare('run', '--bundle', bundle, sandbox.id(`s${starts++}`));
  t.equal(diagnosis.result.status, run.status === 0 ? 0 : 1, run.stderr);
  return diagnosis;
}

sandbox.test('root, with all controllers', async (t) => {
  const diagnosis = ask();
  t.strictSame([diagnosis.lacks, diagnosis.result.status], [[], 0]);
  for (const name of controllers) t.equal(diagnosis.of(`controller-${name}`).status, 'ok', name);
  for (const name of ['cgroup-v2', 'cgroup', 'CAP_SYS_RESOURCE', 'idmapped-mounts', 'apparmor']) {
    t.equal(diagnosis.of(name).status, 'ok', `${name}: ${diagnosis.of(name).found}`);
  }
  t.match(diagnosis.of('selinux'), { status: 'missing', remedy: 'boot with security=selinux' });
  const warned = /'tare' launched .* with NULL argv/;
  t.notMatch(call('dmesg', []).stdout, warned, 'what it executes has an argv');
});

sandbox.test('a cgroup with processes hands nothing on', async (t) => {
  const outer = join(tree, `${sandbox.tag}-outer`);
  const own = join(outer, 'own');
  mkdirSync(own, { recursive: true });
  // A process stays in the outer cgroup while doctor runs in the inner one.
  const script = `sleep 1000 & echo $! >"$1/cgroup.procs"
    sh -c 'echo $$ >"$0/own/cgroup.procs"; exec "$@"' "$@"
    status=$?; kill $!; wait; exit $status`;
  try {
    const result = call('sh', ['-c', script, 'sh', outer, cli, ...asJson]);
    const diagnosis = new Diagnosis(result);
    t.match(diagnosis.of('controller-memory'), {
      status: 'missing',
      found: `${outer} has processes`,
      remedy: 'echo +memory >',
    });
    t.equal(diagnosis.of('cgroup').found, outer);
    t.equal(diagnosis.result.status, 0, 'the config of spec limits nothing');
  } finally {
    rmdirSync(own);
    rmdirSync(outer);
  }
});

sandbox.test('an ordinary user’s cgroups', async (t) => {
  const without = agree(t);
  t.match(without.of('cgroup'), {
    status: 'missing',
    required: false,
    found: 'EACCES',
    remedy: 'systemd-run --user --scope -p Delegate=yes',
  });
  t.match(without.of('controller-memory'), { status: 'limited', found: 'see cgroup' });
  user.delegated((top) => {
    const diagnosis = agree(t);
    t.match(diagnosis.of('cgroup'), { status: 'ok', found: top });
    for (const name of controllers) t.equal(diagnosis.of(`controller-${name}`).status, 'ok', name);
  });
  writeFileSync(join(tree, 'cgroup.subtree_control'), '-io');
  try {
    user.delegated(() => {
      const diagnosis = agree(t);
      t.match(diagnosis.of('controller-io'), {
        status: 'missing',
        found: `${tree} does not delegate it`,
        remedy: 'systemctl edit user@.service',
      });
      t.equal(diagnosis.of('controller-memory').status, 'ok');
    });
  } finally {
    writeFileSync(join(tree, 'cgroup.subtree_control'), '+io');
  }
  t.equal(ask().of('controller-io').status, 'ok');
});

for (const [sysctl, value, remedy] of [
  ['user.max_user_namespaces', '0', 'set the sysctl user.max_user_namespaces, which is 0'],
  ['kernel.unprivileged_userns_clone', '0', 'set the sysctl kernel.unprivileged_userns_clone to 1'],
  ['kernel.apparmor_restrict_unprivileged_userns', '1', 'load a profile for this program'],
] as const) {
  const file = `/proc/sys/${sysctl.replaceAll('.', '/')}`;
  // Debian's kernel has the second sysctl, Ubuntu's the third.
  if (!existsSync(file)) continue;
  sandbox.test(`${sysctl} = ${value}`, async (t) => {
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, value);
    try {
      const diagnosis = agree(t);
      t.strictSame(diagnosis.lacks, ['user-namespaces']);
      t.match(diagnosis.of('user-namespaces'), { status: 'missing', remedy });
      for (const name of ['mount-api', 'namespace-pid', 'mount-proc']) {
        t.match(diagnosis.of(name), { status: 'limited', found: 'cannot be tried' }, name);
      }
      const { stdout } = user.tare('doctor');
      t.match(stdout, "cannot start an ordinary user's containers; it lacks: user-namespaces\n");
      t.match(stdout, new RegExp(`remedy: .*${remedy}`));
    } finally {
      writeFileSync(file, before);
    }
    t.strictSame(agree(t).lacks, []);
  });
}

sandbox.test('namespaces of a kind that may not be made', async (t) => {
  for (const [kind, name, required] of [
    ['net', 'namespace-network', true],
    ['time', 'namespace-time', false],
  ] as const) {
    const file = `/proc/sys/user/max_${kind}_namespaces`;
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, '0');
    try {
      const diagnosis = ask();
      t.match(diagnosis.of(name), { status: 'missing', required, remedy: 'user.max_*_namespaces' });
      t.equal(diagnosis.result.status, required ? 1 : 0);
      const run = sandbox.tare(['run', '--bundle', sandbox.bundle(['true']), sandbox.id(kind)]);
      t.equal(run.status, required ? 1 : 0, run.stderr);
    } finally {
      writeFileSync(file, before);
    }
  }
});

sandbox.test('no right to a device filter', async (t) => {
  const held = ['--bounding-set=-bpf,-sys_admin', '--inh-caps=-bpf,-sys_admin', cli, ...asJson];
  const diagnosis = new Diagnosis(call('setpriv', held));
  t.match(diagnosis.of('device-filter'), { status: 'missing', required: true, found: 'EPERM' });
  t.match(diagnosis.of('device-filter').remedy, 'CAP_BPF');
});
