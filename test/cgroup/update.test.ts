/**
 * update and events that need no controller: flags, refusals, the device filter, the form of a
 * sample.
 */
import { Output, Sandbox, exitOf, state, skipReason } from '../support/tare.js';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  function cgroupOf(id: string): string {
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
    return join('/sys/fs/cgroup', path);
  }

  async function created(
    t: Test,
    name: string,
    bundle = sandbox.bundle(['sleep', '1000']),
  ): Promise<string> {
    const id = sandbox.id(name);
    const child = sandbox.spawn(['create', '-b', bundle, id], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.equal(await exitOf(child), 0);
    return id;
  }

  sandbox.test(
    'resources from a file and from standard input, in every status but stopped',
    async (t) => {
      const id = await created(t, 'file');
      const depth = (): string =>
        readFileSync(join(cgroupOf(id), 'cgroup.max.depth'), 'utf8').trim();
      const resources = (value: string): string =>
        JSON.stringify({ unified: { 'cgroup.max.depth': value } });
      const file = join(sandbox.directory, 'resources.json');
      writeFileSync(file, resources('3'));
      t.match(sandbox.tare(['update', '--resources', file, id]), {
        status: 0,
        stdout: '',
        stderr: '',
      });
      t.equal(depth(), '3', 'created');
      sandbox.must(['start', id]);
      sandbox.must(['update', id, '-r', '-'], { input: resources('4') });
      t.equal(depth(), '4', 'running');
      sandbox.must(['pause', id]);
      sandbox.must(['update', '--resources=-', id], { input: resources('5') });
      t.equal(depth(), '5', 'paused');
      t.equal(state(sandbox.must(['state', id]).stdout).status, 'paused', 'and it stays so');
      sandbox.must(['update', id]);
      t.equal(depth(), '5', 'nothing is named');
      sandbox.must(['kill', id, 'KILL']);
      while (state(sandbox.must(['state', id]).stdout).status !== 'stopped');
      t.equal(
        sandbox.tare(['update', '-r', '-', id], { input: resources('6') }).error,
        `update ${id}: container not running`,
      );
      sandbox.must(['delete', id]);
    },
  );

  sandbox.test('what is wrong is refused by its place, and nothing is written', async (t) => {
    const id = await created(t, 'wrong');
    const file = join(sandbox.directory, 'wrong.json');
    for (const [resources, message] of [
      ['{"memory": {"limit": "1"}}', 'memory.limit: expected an integer'],
      ['{', `${file}: line 1`],
      [
        '{"memory": {"swap": 100}}',
        'memory.swap: unable to set swap limit without memory limit; set memory.limit too',
      ],
      ['{"cpu": {"idle": 2}}', 'cpu.idle: 2 is neither 0 nor 1'],
      [
        '{"unified": {"a/b.c": "1"}}',
        'unified["a/b.c"]: unified resource "a/b.c" must be a file name (no slashes)',
      ],
      [
        '{"unified": {"cgroup.max.depth": "7", "cgroup.nonesuch": "1"}}',
        'unified["cgroup.nonesuch"] needs ',
      ],
    ] as const) {
      writeFileSync(file, resources);
      const result = sandbox.tare(['update', '--resources', file, id]);
      t.equal(result.status, 1, resources);
      t.match(result.error, message);
      t.match(result.error, file);
      t.equal(readFileSync(join(cgroupOf(id), 'cgroup.max.depth'), 'utf8'), 'max\n', 'put back');
    }
    for (const [args, message] of [
      [
        ['--memory', '1x'],
        'invalid value for memory: "1x": expected bytes, with a unit such as k, m or g after them if need be, or -1',
      ],
      [
        ['--memory-swap', 'm'],
        'invalid value for memory-swap: "m": expected bytes, with a unit such as k, m or g after them if need be, or -1',
      ],
      [
        ['--memory-reservation', '1.2.3g'],
        'invalid value for memory-reservation: "1.2.3g": expected bytes, with a unit such as k, m or g after them if need be, or -1',
      ],
      [
        ['--cpu-share', '-1'],
        'invalid value for cpu-share: "-1": expected a number that is not negative',
      ],
      [['--cpu-quota', '1.5'], 'invalid value for cpu-quota: "1.5": expected an integer'],
      [['--pids-limit', 'many'], 'invalid value for pids-limit: "many": expected an integer'],
      [
        ['--blkio-weight', '5'],
        `update ${id}: flags: blockIO.weight: 5 is not in the range 10 to 1000`,
      ],
      [['--cpu-idle', '-1'], `update ${id}: flags: cpu.idle: -1 is neither 0 nor 1`],
      [
        ['--cpuset-cpus', 'a'],
        `update ${id}: flags: cpu.cpus: invalid list "a"; write numbers and ranges such as "0-3,7"`,
      ],
      [
        ['--resources', file, '--memory', '1'],
        `--resources ${file} describes the whole change: leave out --memory`,
      ],
      [
        ['--l3-cache-schema', 'L3:0=f'],
        `update ${id}: --l3-cache-schema: Intel RDT/CAT: l3 cache schema is not enabled: no resctrl file system is mounted`,
      ],
      [
        ['--mem-bw-schema', 'MB:0=20'],
        `update ${id}: --mem-bw-schema: Intel RDT/MBA: memory bandwidth schema is not enabled: no resctrl file system is mounted`,
      ],
    ] as const) {
      t.equal(sandbox.tare(['update', ...args, id]).error, message);
    }
    const missing = sandbox.id('missing');
    t.match(sandbox.tare(['update', '--pids-limit', '5', missing]).error, /does not exist/);
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('limits that only cgroup v1 has are warned of, and ignored', async (t) => {
    const id = await created(t, 'v1');
    const realtime = 'cgroup v2 does not limit the time of realtime processes';
    const warnings = (stderr: string): string[] =>
      stderr.split('\n').flatMap((line) => /level=warning msg="(.*)"$/.exec(line)?.[1] ?? []);
    for (const [args, field, reason] of [
      ['--cpu-rt-period 1000000', 'cpu.realtimePeriod', realtime],
      ['--cpu-rt-runtime 1000', 'cpu.realtimeRuntime', realtime],
      [
        '--kernel-memory 10M',
        'memory.kernel',
        "cgroup v2 counts the kernel's memory with memory.limit",
      ],
      [
        '--kernel-memory-tcp 10M',
        'memory.kernelTCP',
        'cgroup v2 counts socket buffers with memory.limit',
      ],
    ] as const) {
      const { status, stderr } = sandbox.tare(['update', ...args.split(' '), id]);
      t.equal(status, 0, args);
      t.strictSame(warnings(stderr), [`update ${id}: flags: ${field}: ignored, as ${reason}`]);
    }
    const input = JSON.stringify({
      memory: { swappiness: 60 },
      network: { classID: 1 },
      unified: { 'cgroup.max.depth': '7' },
    });
    const { status, stderr } = sandbox.tare(['update', '-r', '-', id], { input });
    t.equal(status, 0);
    t.match(warnings(stderr), [/memory\.swappiness: ignored/, /network\.classID: ignored/]);
    t.equal(readFileSync(join(cgroupOf(id), 'cgroup.max.depth'), 'utf8'), '7\n', 'the rest holds');
    t.equal(sandbox.must(['update', id]).stderr, '', 'they are not named again');
    sandbox.must(['delete', '--force', id]);

    const run = sandbox.tare([
      'run',
      '-b',
      sandbox.bundle(['true'], (config) => {
        config.linux['resources'] = {
          memory: { kernel: 1e7, kernelTCP: 1e7, swappiness: 60, disableOOMKiller: true },
          cpu: { realtimeRuntime: 1000, realtimePeriod: 1000000 },
          blockIO: { leafWeight: 100, weightDevice: [{ major: 8, minor: 0, leafWeight: 100 }] },
          network: { classID: 1, priorities: [{ name: 'lo', priority: 1 }] },
        };
      }),
      sandbox.id('v1-run'),
    ]);
    t.equal(run.status, 0, 'a container starts');
    const named = warnings(run.stderr).map(
      (text) => /^config\.json: linux\.resources\.(\S+): ignored, as /.exec(text)?.[1],
    );
    t.strictSame(named, [
      ...['memory.kernel', 'memory.kernelTCP', 'memory.swappiness', 'memory.disableOOMKiller'],
      ...['cpu.realtimeRuntime', 'cpu.realtimePeriod'],
      ...['blockIO.leafWeight', 'blockIO.weightDevice[0].leafWeight'],
      ...['network.classID', 'network.priorities'],
    ]);
  });

  sandbox.test('the device filter is replaced in one step', async (t) => {
    const rules = (...more: object[]) => [{ allow: false, access: 'rwm' }, ...more];
    const full = { allow: true, type: 'c', major: 1, minor: 7, access: 'rw' };
    // /dev/null is never refused, and /dev/kmsg is never allowed, also not while the filter is
    // replaced.
    const script =
      'while :; do : </dev/null || echo refused; head -c1 </dev/kmsg && echo allowed; done 2>/dev/null';
    const bundle = sandbox.bundle(['sh', '-c', script], (config) => {
      config.linux['resources'] = { devices: rules() };
      config.linux['devices'] = [
        { path: '/dev/kmsg', type: 'c', major: 1, minor: 11 },
        { path: '/dev/other', type: 'c', major: 240, minor: 7 },
      ];
    });
    const id = sandbox.id('devices');
    const run = sandbox.spawn(['run', '-b', bundle, id], { stdio: ['ignore', 'pipe', 'inherit'] });
    const output = new Output(run.stdout);
    while (sandbox.tare(['state', id]).status !== 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const kmsg = { allow: false, type: 'c', major: 1, minor: 11, access: 'rwm' };
    for (let round = 0; round < 20; round++) {
      const devices = round % 2 === 0 ? rules(kmsg, { ...full, minor: 9 }) : rules(kmsg);
      sandbox.must(['update', '-r', '-', id], { input: JSON.stringify({ devices }) });
    }
    t.equal(output.text, '');
    // A device without a driver: if the filter allows it, open(2) fails with another error.
    const opened = (): string => sandbox.tare(['exec', id, 'cat', '/dev/other']).stderr;
    const other = { allow: true, type: 'c', major: 240, minor: 7, access: 'r' };
    t.match(opened(), 'Operation not permitted');
    sandbox.must(['update', '-r', '-', id], { input: JSON.stringify({ devices: rules(other) }) });
    t.match(opened(), 'No such device or address');
    sandbox.must(['update', '-r', '-', id], { input: '{"unified": {"cgroup.max.depth": "3"}}' });
    t.match(opened(), 'No such device or address', 'another update leaves it');
    sandbox.must(['update', '-r', '-', id], { input: JSON.stringify({ devices: rules() }) });
    t.match(opened(), 'Operation not permitted');
    sandbox.must(['kill', id, 'KILL']);
    await exitOf(run);
    t.equal(await output.all(), '');
  });

  sandbox.test('a sample has the form that readers of events expect', async (t) => {
    const id = await created(t, 'stats');
    sandbox.must(['start', id]);
    const { stdout } = sandbox.must(['events', '--stats', id]);
    t.match(
      stdout,
      new RegExp(`^\\{"type":"stats","id":"${id}","data":\\{"cpu":\\{"usage":\\{.*\\}\\n$`),
    );
    const { data } = JSON.parse(stdout) as { data: Record<string, Record<string, unknown>> };
    t.strictSame(Object.keys(data), [
      ...['cpu', 'cpuset', 'memory', 'pids', 'blkio', 'hugetlb', 'intel_rdt', 'network_interfaces'],
    ]);
    t.equal(data['pids']!['current'], 1);
    t.equal(data['network_interfaces'], null);
    sandbox.must(['delete', '--force', id]);
    t.match(sandbox.tare(['events', '--stats', id]).error, /does not exist/);
  });

  sandbox.test('events come at their interval, until the end', async (t) => {
    const id = await created(t, 'events');
    sandbox.must(['start', id]);
    for (const interval of ['0s', '-1s', '5', 'soon', '1.5.2s', '']) {
      const { status, error } = sandbox.tare(['events', '--interval', interval, id]);
      t.equal(status, 1, interval);
      t.match(error, /interval/);
    }
    const events = sandbox.spawn(['events', '--interval', '50ms', id]);
    const output = new Output(events.stdout);
    const begin = Date.now();
    for (let sample = 0; sample < 3; sample++) await output.until('"type":"stats"');
    t.ok(Date.now() - begin >= 149, 'not sooner');
    sandbox.must(['delete', '--force', id]);
    t.equal(await exitOf(events), 0);
    const lines = (await output.all()).trimEnd().split('\n');
    for (const line of lines) t.equal((JSON.parse(line) as { id: string }).id, id);
  });

  sandbox.test('a container in a threaded subtree', async (t) => {
    const top = join('/sys/fs/cgroup', `${sandbox.tag}-threaded`);
    mkdirSync(join(top, 'inner'), { recursive: true });
    writeFileSync(join(top, 'inner/cgroup.type'), 'threaded');
    const cgroupsPath = `/${sandbox.tag}-threaded/own`;
    const bundle = sandbox.bundle(['sh', '-c', 'sleep 1000 & exec sleep 1000'], (config) => {
      config.linux.cgroupsPath = cgroupsPath;
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    });
    const id = await created(t, 'threaded', bundle);
    sandbox.must(['start', id]);
    const file = (name: string): string => readFileSync(join(top, 'own', name), 'utf8').trim();
    t.equal(file('cgroup.type'), 'threaded');
    while (file('cgroup.threads').split('\n').length < 2);
    const pids = (): number[] =>
      (JSON.parse(sandbox.must(['ps', '-f', 'json', id]).stdout) as number[]).sort((a, b) => a - b);
    t.strictSame(
      pids(),
      file('cgroup.threads')
        .split('\n')
        .map(Number)
        .sort((a, b) => a - b),
    );
    t.match(sandbox.must(['exec', id, 'cat', '/proc/self/cgroup']).stdout, /^0::\/$/m);
    sandbox.must(['pause', id]);
    t.equal(state(sandbox.must(['state', id]).stdout).status, 'paused');
    sandbox.must(['resume', id]);
    sandbox.must(['kill', id, 'KILL']);
    while (pids().length > 0);
    sandbox.must(['delete', id]);
    rmdirSync(join(top, 'inner'));
    rmdirSync(top);
  });

  sandbox.test('events of a container that has ended', async (t) => {
    const id = sandbox.id('ended');
    sandbox.must(['run', '--keep', '-b', sandbox.bundle(['true']), id]);
    for (const args of [['--stats'], []]) {
      t.equal(
        sandbox.tare(['events', ...args, id]).error,
        `events of ${id}: container with id ${id} is not running`,
      );
    }
    sandbox.must(['delete', id]);
  });
}
