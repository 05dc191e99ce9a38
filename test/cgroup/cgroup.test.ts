/**
 * Cgroups without controllers: their members and their removal.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { program as programOf } from '../support/build.js';
import { temporaryDirectory } from '../support/directory.js';

const program = programOf('cgroup');
const asRoot = process.getuid?.() === 0 ? {} : { skip: 'cgroups need root' };
const cgroup = `/tare-test-${process.pid}`;

/** Splits output into lines, without the remarks about time. */
function linesOf(output: string): string[] {
  return output
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ fast$/, ''));
}

function cgroupProgram(...args: string[]): string[] {
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8' });
  t.equal(stderr, '', `${args.join(' ')} writes no error`);
  const lines = linesOf(stdout);
  return status === 0 ? lines : [...lines, `status ${status}`];
}

const run = (...steps: string[]) => cgroupProgram('run', cgroup, ...steps);

/**
 * Runs the program in a mount namespace of its own, after the script `mounts` has changed
 * /sys/fs/cgroup.
 */
function runUnder(mounts: string, ...args: string[]): string[] {
  const script = `${mounts}; exec "$@"`;
  const { stdout } = spawnSync(
    'unshare',
    ['-m', '--propagation', 'private', 'sh', '-ec', script, 'sh', program, ...args],
    { encoding: 'utf8' },
  );
  return linesOf(stdout);
}

const withoutCgroup2 = 'mount -t tmpfs none /sys/fs/cgroup';

t.test('where the tree is', asRoot, async (t) => {
  const directory = join(temporaryDirectory(t, 'cgroup'), 'a b');
  const elsewhere = `mkdir '${directory}'; mount -t cgroup2 none '${directory}'`;
  t.strictSame(runUnder('umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup', 'host'), [
    'unified /sys/fs/cgroup',
  ]);
  t.strictSame(runUnder(withoutCgroup2, 'host'), ['legacy']);
  const [host] = runUnder(`${withoutCgroup2}; ${elsewhere}`, 'host');
  t.match(host, /^hybrid .*\/a b$/, 'in a directory with a blank in its name');
});

t.test('a life', asRoot, async (t) => {
  t.strictSame(
    run(
      'create',
      'exists',
      'spawn',
      'spawn-below=inner',
      'processes',
      'kill',
      'wait',
      'reap',
      'processes',
      'remove',
      'exists',
      'open',
      'remove',
    ),
    [
      'create: made',
      'exists: true',
      'spawn: ok',
      'spawn-below: ok',
      'processes: 2 mine',
      'kill: ok',
      'wait: ok',
      'reap: signal 9, signal 9',
      'processes: 0 mine',
      'remove: ok',
      'exists: false',
      'open: none',
      'remove: ok',
    ],
  );
  t.strictSame(
    run('create', 'spawn', 'spawn-below=inner', 'kill', 'remove', 'exists', 'reap'),
    [
      'create: made',
      'spawn: ok',
      'spawn-below: ok',
      'kill: ok',
      'remove: ok',
      'exists: false',
      'reap: signal 9, signal 9',
    ],
    'remove waits for processes that are ending',
  );
  t.strictSame(
    run('create', 'spawn-ending=30', 'spawn-below=inner', 'signal=15', 'remove', 'reap'),
    [
      'create: made',
      'spawn-ending: ok',
      'spawn-below: ok',
      'signal: ok',
      'remove: ok',
      'reap: signal 15, signal 15',
    ],
  );
  t.strictSame(
    run('create', 'spawn-ending=30', 'wait', 'exists', 'reap', 'remove'),
    ['create: made', 'spawn-ending: ok', 'wait: ok', 'exists: true', 'reap: exit 7', 'remove: ok'],
    'wait ends with the last process',
  );
});

t.test('the end of a young process is noticed at once', asRoot, async (t) => {
  // The kernel keeps 10 ms between two notifications of cgroup.events. A busy machine may be late
  // by more than that, but not in every run.
  for (const step of ['wait', 'remove']) {
    const words = ['run', cgroup, 'create', 'spawn', 'spawn-below=inner', 'kill', step, 'remove'];
    const runs = Array.from({ length: 10 }, () => spawnSync(program, words, { encoding: 'utf8' }));
    t.ok(
      runs.some(({ stdout }) => stdout.includes(`kill: ok\n${step}: ok fast\n`)),
      step,
    );
  }
});

t.test('frozen', asRoot, async (t) => {
  t.strictSame(
    run(
      'create',
      'spawn',
      'spawn-below=inner',
      'frozen',
      'freeze',
      'frozen',
      'thaw',
      'frozen',
      'signal=15',
      'wait',
      'reap',
      'remove',
    ),
    [
      'create: made',
      'spawn: ok',
      'spawn-below: ok',
      'frozen: false',
      'freeze: ok',
      'frozen: true',
      'thaw: ok',
      'frozen: false',
      'signal: ok',
      'wait: ok',
      'reap: signal 15, signal 15',
      'remove: ok',
    ],
  );
  t.strictSame(
    run('create', 'spawn', 'freeze', 'kill', 'remove', 'reap'),
    ['create: made', 'spawn: ok', 'freeze: ok', 'kill: ok', 'remove: ok', 'reap: signal 9'],
    'a frozen process can be killed',
  );
});

t.test('an existing cgroup', asRoot, async (t) => {
  t.strictSame(run('create', 'create', 'remove'), ['create: made', 'create: used', 'remove: ok']);
  const place = /\S+$/.exec(cgroupProgram('host')[0]!)?.[0] + cgroup;
  const [, , refusal, status] = run('create', 'spawn-below=inner', 'create');
  t.match(
    refusal,
    new RegExp(
      `^ERR_TARE_ALREADY_EXISTS container's cgroup is not empty: 1 process\\(es\\) found in ${place}, ` +
        'one is \\d+; end them, or set linux.cgroupsPath to another path$',
    ),
  );
  t.equal(status, 'status 1');
  t.strictSame(run('open', 'remove'), ['open: used', 'remove: ok']);
  t.strictSame(run('create', 'write=cgroup.freeze=1', 'create'), [
    'create: made',
    'write: ok',
    `ERR_TARE_ALREADY_EXISTS container's cgroup unexpectedly frozen: write 0 to ${place}/cgroup.freeze, ` +
      'or set linux.cgroupsPath to another path',
    'status 1',
  ]);
  const inner = (...steps: string[]) => cgroupProgram('run', `${cgroup}/on/inner`, ...steps);
  t.strictSame(
    inner('create'),
    [
      `ERR_TARE_ALREADY_EXISTS container's cgroup unexpectedly frozen: write 0 to ${place}/cgroup.freeze, ` +
        'or set linux.cgroupsPath to another path',
      'status 1',
    ],
    'a new one below it would be frozen too',
  );
  t.strictSame(
    cgroupProgram('run', `${cgroup}/on`, 'exists'),
    ['exists: false'],
    'nothing is made',
  );
  t.strictSame(run('open', 'thaw', 'remove'), ['open: used', 'thaw: ok', 'remove: ok']);
});

t.test('nothing stays of a create that fails', asRoot, async (t) => {
  const below = `${cgroup}/made/on/the/way`;
  const error = cgroupProgram('run', `${below}/line\nfeed`, 'create').join('\n');
  t.match(
    error,
    /^ERR_TARE_SYSTEM unable to apply cgroup configuration: make cgroup .*: EINVAL \(Invalid argument\)/s,
  );
  t.strictSame(run('exists'), ['exists: false']);
  const [, file] = cgroupProgram('run', '/cgroup.procs', 'exists', 'create');
  t.match(
    file,
    /^ERR_TARE_SYSTEM .*\/cgroup\.procs: ENOTDIR .*; choose another linux\.cgroupsPath$/,
  );
});

t.test('delegated to a user namespace', asRoot, async (t) => {
  t.strictSame(run('create', 'delegate=1000', 'remove'), [
    'create: made',
    'delegate: 1000:1000 1000:1000 0:0',
    'remove: ok',
  ]);
});

t.test('where cgroup v2 is mounted nowhere', asRoot, async (t) => {
  t.strictSame(
    runUnder(
      withoutCgroup2,
      'run',
      cgroup,
      'create',
      'filter',
      'spawn',
      'processes',
      'kill',
      'remove',
      'reap',
      'open',
    ),
    [
      'create: made',
      'filter: ok',
      'spawn: ok',
      'processes: 1 mine',
      'kill: ok',
      'remove: ok',
      'reap: signal 9',
      'open: none',
    ],
    'the container is tracked all the same',
  );
});

t.test('as an ordinary user', asRoot, async (t) => {
  const asNobody = (...steps: string[]) => {
    const { stdout } = spawnSync(
      'setpriv',
      ['--reuid', '65534', '--regid', '65534', '--clear-groups', program, 'run', cgroup, ...steps],
      { encoding: 'utf8' },
    );
    return linesOf(stdout);
  };
  t.strictSame(asNobody('create-rootless'), ['create-rootless: none'], 'none without limits');
  t.match(
    asNobody('create')[0],
    /^ERR_TARE_SYSTEM unable to apply cgroup configuration: permission denied: make cgroup .*: EACCES \(Permission denied\); have a cgroup delegated to you/,
  );
  t.strictSame(asNobody('create-rootless', 'freeze'), [
    'create-rootless: none',
    'ERR_TARE_UNSUPPORTED the container has no cgroup (cgroup v2 is not mounted, or not delegated to this user)',
  ]);
  t.match(
    asNobody('create-rootless={"unified":{"cgroup.max.depth":"3"}}')[0],
    /^ERR_TARE_UNSUPPORTED config\.json: linux\.resources\.unified\["cgroup\.max\.depth"\] needs a cgroup, and .* cannot be made: EACCES .*Delegate=yes …\), or remove the limit$/,
  );
});

t.test('limits that v2 does not offer here', asRoot, async (t) => {
  const lines = runUnder(withoutCgroup2, 'run', cgroup, 'create={"unified":{"nonesuch.max":"1"}}');
  t.strictSame(lines, [
    'ERR_TARE_UNSUPPORTED config.json: linux.resources.unified["nonesuch.max"] needs the nonesuch ' +
      'controller, which cgroup v2 (not mounted here) does not offer (this kernel does not have it); ' +
      'boot one that has, or remove the limit',
  ]);
  t.strictSame(run('exists'), ['exists: false'], 'nothing is made');
  const v1 = readFileSync('/proc/cgroups', 'utf8')
    .split('\n')
    .map((line) => line.split('\t'))
    .find(([name, hierarchy]) => name === 'memory' && hierarchy !== '0');
  if (!v1) return;
  const mount = /\S+$/.exec(cgroupProgram('host')[0]!)?.[0];
  t.strictSame(run('create={"memory":{"limit":1000000}}'), [
    `ERR_TARE_UNSUPPORTED config.json: linux.resources.memory.limit needs the memory controller, which cgroup v2 at ${mount} ` +
      'does not offer (this host binds it to cgroup v1); boot with cgroup_no_v1=all or ' +
      'systemd.unified_cgroup_hierarchy=1, or remove the limit',
    'status 1',
  ]);
  t.strictSame(run('exists'), ['exists: false']);
});

t.test('zero, empty and unlimited need no controller', asRoot, async (t) => {
  const nothing = {
    memory: {
      limit: 0,
      reservation: 0,
      swap: 0,
      kernel: 0,
      useHierarchy: false,
      disableOOMKiller: false,
    },
    cpu: {
      shares: 0,
      quota: 0,
      period: 0,
      burst: 0,
      realtimeRuntime: 0,
      realtimePeriod: 0,
      idle: 0,
      cpus: '',
      mems: '',
    },
    pids: { limit: 0 },
    blockIO: {
      weight: 0,
      leafWeight: 0,
      weightDevice: [],
      throttleReadBpsDevice: [],
      throttleWriteBpsDevice: [],
      throttleReadIOPSDevice: [],
      throttleWriteIOPSDevice: [],
    },
    hugepageLimits: [],
    network: { classID: 0, priorities: [] },
    unified: {},
  };
  const unlimited = {
    memory: { limit: -1, swap: -1 },
    cpu: { quota: -1, period: 100000 },
    pids: { limit: -1 },
  };
  for (const resources of [nothing, unlimited, {}]) {
    const json = JSON.stringify(resources);
    t.strictSame(
      run(`create=${json}`, `apply=${json}`, 'remove'),
      ['create: made', 'apply: ok', 'remove: ok'],
      json,
    );
  }
});
