/**
 * Groups in resctrl. No virtual machine has the hardware, so the rules about schemata are tested on
 * a prepared directory. Making groups, moving tasks and removing groups are tested on a hierarchy
 * of cgroup v1, where the kernel fills each directory with `tasks` in the same way.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { Sandbox, program, skipReason } from '../support/tare.js';

const hierarchy = `name=tare-test-${String(process.pid)}`;

interface Rdt {
  closID?: string;
  l3CacheSchema?: string;
  memBwSchema?: string;
  schemata?: string[];
  enableMonitoring?: boolean;
}

function call(t: Test, verb: string, root: string, rdt: Rdt, ...more: string[]) {
  const config = join(t.testdir({}), 'config.json');
  const text = { ociVersion: '1.3.0', root: { path: 'rootfs' }, linux: { intelRdt: rdt } };
  writeFileSync(config, JSON.stringify(text));
  const args = [verb, root, 'box', config, ...more];
  const { status, stdout, stderr } = spawnSync(program('resctrl'), args, { encoding: 'utf8' });
  return { status, stdout: stdout.trimEnd(), error: stderr.trimEnd() };
}

/** Creates a tree like that of resctrl in an ordinary directory. */
function tree(files: Record<string, string>): string {
  const root = temporaryDirectory(t, 'resctrl');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const schemata = '    L3:0=7ff;1=01f\n    MB:0= 20;1= 70\nL3CODE:0=f\n';
const gold = { 'gold/schemata': schemata, 'gold/tasks': '', schemata: 'L3:0=7ff;1=7ff\n' };

t.test('a named group is compared with what is wanted of it', (t) => {
  const root = tree({ ...gold, 'info/last_cmd_status': 'ok\n' });
  const same: Rdt[] = [
    {},
    { l3CacheSchema: 'L3:0=7ff;1=1f' },
    { l3CacheSchema: 'L3:1=0x1F', memBwSchema: 'MB:1=70;0=020' },
    { schemata: ['L3CODE:0=0f', 'MB: 0=20'] },
  ];
  for (const rdt of same) {
    const { status, error, stdout } = call(t, 'create', root, { closID: 'gold', ...rdt });
    t.strictSame({ status, error, stdout }, { status: 0, error: '', stdout: '' });
    t.equal(readFileSync(join(root, 'gold/schemata'), 'utf8'), schemata, 'nothing is written');
  }
  const has = `differs from the schemata of group ${root}/gold (L3:0=7ff;1=01f, MB:0= 20;1= 70, L3CODE:0=f); change one of them, or use another closID`;
  const other: [Rdt, string][] = [
    [{ l3CacheSchema: 'L3:0=7fe' }, `l3CacheSchema: L3:0=7fe ${has}`],
    [{ l3CacheSchema: 'L3:0=7ff', memBwSchema: 'MB:0=14' }, `memBwSchema: MB:0=14 ${has}`],
    [{ schemata: ['L3:0=7ff', 'L3:2=7ff'] }, `schemata[1]: L3:2=7ff ${has}`],
    [{ schemata: ['L2:0=f'] }, `schemata[0]: L2:0=f ${has}`],
  ];
  for (const [rdt, message] of other) {
    t.strictSame(call(t, 'create', root, { closID: 'gold', ...rdt }), {
      status: 1,
      stdout: '',
      error: `config.json: linux.intelRdt.${message}`,
    });
  }
  t.match(
    call(t, 'create', root, { closID: 'silver' }).error,
    `linux.intelRdt.closID: ${root}/silver does not exist; without l3CacheSchema, memBwSchema or schemata it must be made before`,
  );
  t.notOk(existsSync(join(root, 'silver')));
  t.end();
});

t.test('what the kernel refuses is told in its words, and nothing stays', (t) => {
  const root = tree({ 'info/last_cmd_status': 'Mask 0xf1f has non-consecutive 1-bits\n' });
  // An ordinary directory has no `schemata` to write to.
  const { status, error } = call(t, 'create', root, { closID: 'gold', l3CacheSchema: 'L3:0=f1f' });
  t.equal(status, 1);
  t.equal(
    error,
    `config.json: linux.intelRdt.l3CacheSchema: ${root}/gold/schemata: write: ENOENT (No such file or directory) (Mask 0xf1f has non-consecutive 1-bits)`,
  );
  t.notOk(existsSync(join(root, 'gold')));
  t.end();
});

t.test('what cannot be made is not to be removed', (t) => {
  const root = join(tree({}), 'absent');
  const { stdout, error } = call(t, 'create', root, {});
  t.equal(stdout, `${root}/box\nnot made`);
  t.match(error, `${root}/box: mkdir: ENOENT`);
  t.end();
});

t.test('one line is written, to the group', (t) => {
  const root = tree(gold);
  t.equal(call(t, 'write', root, { closID: 'gold' }, 'L3:0=1').status, 0);
  t.equal(readFileSync(join(root, 'gold/schemata'), 'utf8').slice(0, 7), 'L3:0=1\n');
  t.equal(call(t, 'write', root, { closID: '/' }, 'L3:0=2').status, 0);
  t.equal(readFileSync(join(root, 'schemata'), 'utf8').slice(0, 7), 'L3:0=2\n');
  t.end();
});

t.test('statistics', (t) => {
  const root = tree({
    ...gold,
    'info/L3/cbm_mask': '7ff\n',
    'info/L3/min_cbm_bits': '1\n',
    'info/L3/num_closids': '16\n',
    'info/MB/bandwidth_gran': '10\n',
    'info/MB/delay_linear': '1\n',
    'info/MB/min_bandwidth': '10\n',
    'info/MB/num_closids': '8\n',
    'gold/mon_groups/box/mon_data/mon_L3_01/mbm_total_bytes': '7\n',
    'gold/mon_groups/box/mon_data/mon_L3_01/mbm_local_bytes': 'Unavailable\n',
    'gold/mon_groups/box/mon_data/mon_L3_01/llc_occupancy': '9\n',
    'gold/mon_groups/box/mon_data/mon_L3_00/mbm_total_bytes': '5\n',
    'gold/mon_groups/box/mon_data/mon_L3_00/mbm_local_bytes': '4\n',
    'gold/mon_groups/box/mon_data/mon_L3_00/llc_occupancy': '3\n',
  });
  const { stdout } = call(t, 'stats', root, { closID: 'gold', enableMonitoring: true });
  t.strictSame(JSON.parse(stdout), {
    l3_cache_info: { cbm_mask: '7ff', min_cbm_bits: 1, num_closids: 16 },
    l3_cache_schema_root: 'L3:0=7ff;1=7ff',
    l3_cache_schema: 'L3:0=7ff;1=01f',
    mem_bw_info: { bandwidth_gran: 10, delay_linear: 1, min_bandwidth: 10, num_closids: 8 },
    mem_bw_schema: 'MB:0= 20;1= 70',
    schemata: ['L3:0=7ff;1=01f', 'MB:0= 20;1= 70', 'L3CODE:0=f'],
    mbm_stats: [{ mbm_total_bytes: 5, mbm_local_bytes: 4 }, { mbm_total_bytes: 7 }],
    cmt_stats: [{ llc_occupancy: 3 }, { llc_occupancy: 9 }],
  });
  t.strictSame(JSON.parse(call(t, 'stats', tree({ tasks: '' }), { closID: '/' }).stdout), {});
  t.end();
});

t.test('tasks and groups', { skip: skipReason ?? withoutHierarchy() }, async (t) => {
  const root = temporaryDirectory(t, 'resctrl');
  mountHierarchy(root);
  const child = spawn('/bin/busybox', ['sleep', '1000'], { stdio: 'ignore' });
  const pid = String(child.pid);
  const tasks = (path: string) => readFileSync(join(root, path, 'tasks'), 'utf8').split('\n');
  try {
    // The directories where the kernel keeps monitoring groups.
    for (const path of ['mon_groups', 'gold', 'gold/mon_groups']) mkdirSync(join(root, path));

    t.equal(
      call(t, 'create', root, {}).stdout,
      join(root, 'box'),
      'a group of its own, noted before it is made',
    );
    t.equal(call(t, 'create', root, {}).stdout, '', 'what was there is not noted');
    t.equal(call(t, 'add', root, {}, pid).error, '');
    t.ok(tasks('box').includes(pid));

    const monitored = { closID: 'gold', enableMonitoring: true };
    const monitor = join(root, 'gold/mon_groups/box');
    t.equal(call(t, 'create', root, monitored).stdout, monitor, 'a named group stays');
    t.equal(call(t, 'add', root, monitored, pid).error, '');
    t.notOk(tasks('box').includes(pid));
    t.ok(tasks('gold/mon_groups/box').includes(pid), 'moved to the group, then to its monitor');
    t.match(call(t, 'create', root, monitored).error, `${monitor} exists already`);
    t.ok(existsSync(monitor));

    const ofRoot = { closID: '/', enableMonitoring: true };
    t.equal(call(t, 'create', root, ofRoot).stdout, join(root, 'mon_groups/box'));
    t.equal(call(t, 'add', root, ofRoot, pid).error, '');
    t.match(
      call(t, 'add', root, { closID: 'gold' }, '4194304').error,
      `config.json: linux.intelRdt: ${root}/gold/tasks: write: ESRCH`,
    );
    t.match(
      call(t, 'create', root, { enableMonitoring: true }).error,
      'linux.intelRdt.enableMonitoring: ',
      'a group in which nothing is monitored',
    );
    t.ok(existsSync(join(root, 'box')), 'and which was there before');

    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    for (const path of ['box', 'gold/mon_groups/box', 'mon_groups/box', 'box']) {
      t.equal(spawnSync(program('resctrl'), ['remove', join(root, path)]).status, 0);
      t.notOk(existsSync(join(root, path)), `${path} is gone`);
    }
  } finally {
    child.kill('SIGKILL');
    for (const path of ['gold/mon_groups', 'gold', 'mon_groups']) rmdirSync(join(root, path));
    unmountHierarchy(root);
  }
});

t.test('a host without resctrl', { skip: skipReason ?? withResctrl() }, async (t) => {
  const sandbox = new Sandbox(t);
  const bundle = sandbox.bundle(['true'], (config) => {
    config.linux['intelRdt'] = { closID: '/', enableMonitoring: true };
  });
  const { status, error } = sandbox.tare(['run', '--bundle', bundle, sandbox.id('rdt')]);
  t.equal(status, 1);
  t.match(
    error,
    'config.json: linux.intelRdt: intelRdt is specified in config, but Intel RDT is not enabled: no resctrl file system is mounted; `mount -t resctrl resctrl /sys/fs/resctrl`',
  );
  t.strictSame(sandbox.leftovers(), []);
});

function withResctrl(): string | false {
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8').includes(' - resctrl ');
  return mounted ? 'a resctrl is mounted here' : false;
}

function mountHierarchy(at: string): boolean {
  return spawnSync('mount', ['-t', 'cgroup', '-o', `none,${hierarchy}`, 'none', at]).status === 0;
}

/**
 * Unmounts the hierarchy until the kernel destroys it. The kernel does not do so while it still
 * frees removed groups: the hierarchy stays, and each process of the host is in it.
 */
function unmountHierarchy(at: string): void {
  const stays = () => readFileSync('/proc/self/cgroup', 'utf8').includes(`:${hierarchy}:`);
  const deadline = Date.now() + 10_000;
  do {
    spawnSync('umount', [at]);
    // The kernel destroys the hierarchy a moment after the unmount.
    spawnSync('sleep', ['0.05']);
  } while (stays() && Date.now() < deadline && mountHierarchy(at));
}

/** Returns why there is no hierarchy for tests, or false. */
function withoutHierarchy(): string | false {
  const at = temporaryDirectory(t, 'resctrl');
  const works = mountHierarchy(at);
  if (works) unmountHierarchy(at);
  return works ? false : 'this kernel mounts no hierarchy of cgroup v1';
}
