/** AppArmor profiles, and capabilities that a restricted root user lacks. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { Sandbox, call, cli, exitOf, type Config } from '../support/tare.js';

const sandbox = new Sandbox(t);

function run(name: string, script: string, edit: (config: Config) => void) {
  const bundle = sandbox.bundle(['sh', '-c', script], (config) => {
    config.root.readonly = false;
    edit(config);
  });
  return sandbox.tare(['run', '--bundle', bundle, sandbox.id(name)]);
}

const profile = 'tare-test';
const policy = `profile ${profile} flags=(attach_disconnected) {
  file,
  capability,
  signal,
  deny /etc/denied w,
}
`;
const parser = spawnSync('apparmor_parser', ['--replace', '--skip-cache'], {
  input: policy,
  encoding: 'utf8',
});
t.equal(parser.status, 0, 'the profile is loaded', { stderr: parser.stderr });
t.teardown(() => {
  spawnSync('apparmor_parser', ['--remove', '--skip-cache'], { input: policy });
});

const writes = 'cat /proc/self/attr/apparmor/current; echo >/etc/allowed; echo >/etc/denied';

sandbox.test('process.apparmorProfile confines the process', async (t) => {
  const confined = run('confined', writes, (config) => {
    config.process.apparmorProfile = profile;
  });
  t.equal(confined.stdout, `${profile} (enforce)\n`);
  t.match(confined.stderr, "can't create /etc/denied: Permission denied");
  t.notMatch(confined.stderr, '/etc/allowed');

  const free = run('free', writes, () => {});
  t.equal(free.stdout, 'unconfined\n');
  t.equal(free.stderr, '');
});

sandbox.test('exec: the container’s profile, and --apparmor', async (t) => {
  const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
    config.process.apparmorProfile = profile;
  });
  const id = sandbox.id('exec');
  const running = sandbox.spawn(['run', '--detach', '--bundle', bundle, id], { stdio: 'ignore' });
  t.equal(await exitOf(running), 0);
  const current = ['cat', '/proc/self/attr/apparmor/current'];
  t.equal(sandbox.must(['exec', id, ...current]).stdout, `${profile} (enforce)\n`);
  const other = sandbox.must(['exec', '--apparmor', 'unconfined', id, ...current]);
  t.equal(other.stdout, 'unconfined\n');
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('an unknown profile ends create, and nothing stays', async (t) => {
  const { status, error } = run('unknown', 'true', (config) => {
    config.process.apparmorProfile = 'no-such-profile';
  });
  t.equal(status, 1);
  t.match(error, 'write exec no-such-profile to /proc/self/attr/apparmor/exec: ');
  t.match(error, 'ENOENT (No such file or directory); is ');
});

sandbox.test('all capabilities can be given', async (t) => {
  const file = '/proc/sys/kernel/cap_last_cap';
  const last = Number(spawnSync('cat', [file], { encoding: 'utf8' }).stdout);
  const names = spawnSync('sh', ['-c', 'cat /proc/self/status'], { encoding: 'utf8' }).stdout;
  const all = /^CapEff:\s*(\w+)$/m.exec(names)![1]!;
  t.equal(BigInt(`0x${all}`), (1n << BigInt(last + 1)) - 1n, 'this machine has all of them');

  const resource = ['CAP_SYS_RESOURCE', 'CAP_SYS_ADMIN'];
  const { stdout, stderr } = run(
    'caps',
    'grep ^Cap /proc/self/status; ulimit -Hn; cat /proc/self/oom_score_adj',
    (config) => {
      const sets = ['bounding', 'effective', 'permitted'];
      config.process.capabilities = Object.fromEntries(sets.map((set) => [set, resource]));
      config.process.rlimits = [{ type: 'RLIMIT_NOFILE', hard: 1_048_576, soft: 1024 }];
      config.process.oomScoreAdj = -500;
    },
  );
  const set = ((1n << 24n) | (1n << 21n)).toString(16).padStart(16, '0');
  const none = '0'.repeat(16);
  t.equal(
    stdout,
    `CapInh:\t${none}\nCapPrm:\t${set}\nCapEff:\t${set}\nCapBnd:\t${set}\nCapAmb:\t${none}\n` +
      '1048576\n-500\n',
    'capabilities, a raised hard limit and a lowered oomScoreAdj',
    { stderr },
  );
});

sandbox.test('hard limits above those of the caller, in a user namespace too', async (t) => {
  const all = [{ containerID: 0, hostID: 0, size: 65536 }];
  for (const user of [false, true]) {
    const bundle = sandbox.bundle(['sh', '-c', 'ulimit -c; ulimit -Hc'], (config) => {
      config.process['rlimits'] = [{ type: 'RLIMIT_CORE', soft: 4096, hard: 8192 }];
      if (!user) return;
      config.linux.namespaces.push({ type: 'user' });
      Object.assign(config.linux, { uidMappings: all, gidMappings: all });
    });
    const command = ['--root', sandbox.root, 'run', '-b', bundle, sandbox.id(`limits-${user}`)];
    const lowered = call('sh', ['-c', 'ulimit -c 0; exec "$@"', 'sh', cli, ...command]);
    t.equal(lowered.stderr, '');
    t.equal(lowered.stdout, '8\n16\n', 'in blocks of 512 bytes');
  }
});
