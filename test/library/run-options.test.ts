/**
 * The options of run() and Container: each unknown or invalid one is refused with an error that
 * names it.
 */
import { Containers, failure, runInside, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { exitOf } from '../support/tare.js';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { TareError } from '../../lib/index.js';
import { Container, run, sandboxSpec, type RunOptions, type Spec } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
allowTime(t, 120_000);

/** run() without its types, as JavaScript can call it. */
const anyhow = run as unknown as (command: unknown, options?: unknown) => Promise<unknown>;

t.test('unknown ones, with the nearest name', async (t) => {
  for (const [given, message] of [
    [{ timeOut: 1 }, 'timeOut: unknown option; did you mean timeout?'],
    [{ memoy: '1MiB' }, 'memoy: unknown option; did you mean memory?'],
    [{ pid: 5 }, 'pid: unknown option; did you mean pids?'],
    [{ nosuchoption: undefined }, /^nosuchoption: unknown option; there are rootfs, readonly, /],
    [{ constructor: 1 }, /^constructor: unknown option/],
    [
      {
        mounts: [
          { source: '/', destination: '/a' },
          { source: '/', destination: '/x', writeable: true },
        ],
      },
      'mounts[1].writeable: unknown option; did you mean writable?',
    ],
    [
      { mounts: [{ source: '/', destination: '/x', options: ['bind'], writable: true }] },
      /^mounts\[0\].writable: unknown option/,
    ],
    [{ tty: { columns: 1, row: 1 } }, 'tty.row: unknown option; did you mean rows?'],
    [{ network: { Path: '/x' } }, 'network.Path: unknown option; did you mean path?'],
    [{ rlimits: { nofiles: 1 } }, 'rlimits.nofiles: unknown option; did you mean nofile?'],
    [{ user: { uid: 1, gid: 1, guid: 1 } }, /^user.guid: unknown option; did you mean .id\?$/],
    [{ stdout: { file: '/x', apend: true } }, 'stdout.apend: unknown option; did you mean append?'],
    [
      { seccomp: { defaultAcion: 'SCMP_ACT_ERRNO' } },
      'seccomp.defaultAcion: unknown option; did you mean defaultAction?',
    ],
    [
      { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ name: ['chmod'] }] } },
      'seccomp.syscalls[0].name: unknown option; did you mean names?',
    ],
    [{ seccomp: {} }, 'seccomp.defaultAction: must be given'],
  ] as [object, string | RegExp][]) {
    t.match(await failure(anyhow(['true'], given)), { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
  t.throws(() => sandboxSpec(['true'], { rootfs: '/', hostnam: 'x' } as never), {
    message: 'hostnam: unknown option; did you mean hostname?',
  });
  const calls: [() => Promise<unknown>, string][] = [
    [() => Container.create('a', { bundel: '/x' } as never), 'bundle'],
    [() => Container.open('a', { rot: '/x' } as never), 'root'],
    [() => Container.list({ rot: '/x' } as never), 'root'],
  ];
  for (const [call, name] of calls) {
    const message = new RegExp(`: unknown option; did you mean ${name}\\?$`);
    t.match(await failure(call()), { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
});

t.test('values that cannot be', async (t) => {
  const getter = {
    get timeout(): number {
      throw new RangeError('not today');
    },
  };
  for (const [given, message] of [
    [null, 'options: must be an object, not null'],
    [7, 'options: must be an object, not 7'],
    [[], 'options: must be an object, not an array'],
    [getter, 'options: reading it failed: not today'],
    [{ memory: Symbol('x') }, /^memory: invalid size Symbol\(x\); give bytes/],
    [{ memory: {} }, /^memory: invalid size an object/],
    [{ memory: 0 }, 'memory: must be a size of at least 1 byte, not 0'],
    [{ tmpSize: '0.4' }, 'tmpSize: must be a size of at least 1 byte, not "0.4"'],
    [{ env: new Map() }, 'env: must be a plain object, not an object'],
    [{ rlimits: Object.create({ nofile: 64 }) }, 'rlimits: must be a plain object, not an object'],
    [{ cpus: '1' }, 'cpus: must be a number from 0.01 to 1048576, not "1"'],
    [{ timeout: NaN }, /^timeout: must be a number from 0 to/],
    [{ maxBuffer: -1 }, /^maxBuffer: must be a number from 0 to 9007199254740991, not -1$/],
    [{ readonly: 'no' }, 'readonly: must be true or false, not "no"'],
    [{ reject: 0 }, 'reject: must be true or false, not 0'],
    [{ rootfs: 7 }, 'rootfs: must be a string, not 7'],
    [{ rootfs: 'a\0b' }, 'rootfs: must not contain a NUL character'],
    [{ id: {} }, 'id: must be a string, not an object'],
    [{ spec: {} }, 'spec: must be a function, not an object'],
    [{ signal: {} }, 'signal: must be an AbortSignal, not an object'],
    [{ killSignal: Symbol('x') }, /^killSignal: invalid signal Symbol\(x\);/],
    [{ killSignal: 0 }, 'killSignal: signal 0 ends no process'],
    [{ killSignal: 'toString' }, /^killSignal: invalid signal "toString";/],
    [{ input: 5 }, /^input: must be a string, a Uint8Array, a readable stream/],
    [{ input: null }, /^input: must be a string/],
    [{ stdin: 'pip' }, /^stdin: must be "pipe", .*, not "pip"$/],
    [{ stdout: [] }, 'stdout: must name at least one target'],
    [{ stdout: ['pipe', 'ignore'] }, 'stdout[1]: "ignore" cannot be combined with other targets'],
    [{ stdout: 2 ** 32 + 1 }, /^stdout: must be "pipe", .*, not 4294967297$/],
    [{ stdout: { file: 5 } }, 'stdout.file: must be a string, not 5'],
    [{ stdout: { file: new URL('http://x/') } }, /^stdout.file: must be a path or a file: URL/],
    [{ stdio: 'some' }, /^stdio: must be "pipe", "ignore", "inherit" or an array, not "some"/],
    [{ capabilities: ['net_admin'] }, /^capabilities\[0\]: must be the name of a capability/],
    [{ mounts: {} }, 'mounts: must be an array, not an object'],
    [{ mounts: [null] }, 'mounts[0]: must be an object, not null'],
    [{ mounts: [{ destination: '/x' }] }, 'mounts[0].source: must be given'],
    [{ env: { 'A=B': 'x' } }, 'env.A=B: invalid name of a variable'],
    [{ cwd: 'relative' }, 'cwd: must be an absolute path in the container, not "relative"'],
    [{ user: -1 }, /^user: must be a number from 0/],
    [{ tty: { columns: 1, rows: 70000 } }, 'tty.rows: must be a number from 0 to 65535, not 70000'],
    [{ tty: true, all: true }, /^all: not available with tty/],
    [{ lines: true, encoding: 'hex' }, 'lines: needs an encoding of text, not "hex"'],
    [{ rlimits: { nofile: { soft: 2, hard: 1 } } }, /^rlimits.nofile.soft: must not be more than/],
    [{ hostname: 'x'.repeat(1000), tmpSize: 'y'.repeat(1000) }, /^tmpSize: invalid size "y{100}…"/],
  ] as [unknown, string | RegExp][]) {
    t.match(await failure(anyhow(['true'], given)), { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
  for (const [command, message] of [
    [null, 'command: must be an array of the program and its arguments, not null'],
    ['ls -l', /^command: must be an array .*; for a shell: \["sh", "-c", "…"\]$/],
    [[], /^command: must be an array/],
    [['a', 1], 'command[1]: must be a string, not 1'],
    [['a\0'], 'command[0]: must not contain a NUL character'],
  ] as [unknown, string | RegExp][]) {
    t.match(await failure(anyhow(command)), { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  for (const [spec, message] of [
    [() => undefined, 'spec: must be an object, not undefined'],
    [() => circular, /^spec: reading it failed: Converting circular structure/],
  ] as unknown as [() => Spec, string | RegExp][]) {
    t.match(await failure(run(['true'], { spec })), { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
});

t.test('wrong options are told before anything is made', options, async (t) => {
  const inside = runInside(t);
  for (const [options, message] of [
    [{ memory: 'much' }, /^memory: invalid size "much"; give bytes, or text such as "128MiB"/],
    [{ cpus: 0 }, /^cpus: must be a number from 0.01 to 1048576, not 0$/],
    [{ pids: 1.5 }, /^pids: must be a whole number, not 1.5$/],
    [{ user: 'root' }, /^user: must be a uid: 1000, "1000:100" or \{uid, gid\}, not "root"$/],
    [{ timeout: -1 }, /^timeout: must be a number from 0 to/],
    [
      { encoding: 'klingon' },
      /^encoding: must be "buffer" or an encoding such as "utf8", not "klingon"$/,
    ],
    [
      { stdio: 'pipe', stdout: 'pipe' },
      /^stdout: cannot be combined with stdio, which includes it$/,
    ],
    [{ tty: true, stdout: 'inherit' }, /^tty: the terminal is all three standard streams/],
    [{ input: 'x', stdin: 'ignore' }, /^input: needs stdin to be "pipe"$/],
    [{ input: 'x', stdio: ['ignore', 'pipe', 'pipe'] }, /^input: needs stdin to be "pipe"$/],
    [{ env: { A: 1 } }, /^env.A: must be a string, not 1$/],
    [{ mounts: [{ source: '/x', destination: 'x' }] }, /^mounts\[0\]\.destination: must be an abs/],
    [{ killSignal: 'SIGNONE' }, /^killSignal: invalid signal "SIGNONE";/],
    [{ network: 'bridge' }, /^network: must be "none", "host" or \{path\}, not "bridge"$/],
  ] as [RunOptions, RegExp][]) {
    const error = await failure(inside(['true'], options));
    t.match(error, { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
  t.match(await failure(inside([])), { message: /^command: must be an array/ });
});

t.test('what the caller changes later changes no call that is under way', options, async (t) => {
  const containers = new Containers(t);
  const env = { TOKEN: 'first' };
  const first = run(['sh', '-c', 'echo $TOKEN'], { ...containers.options, env });
  env.TOKEN = 'second';
  t.equal((await first).stdout, 'first\n');
  const frozen = (): never => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error
    throw Object.freeze(new Error('no'));
  };
  t.match(await failure(run(['true'], { ...containers.options, spec: frozen })), {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    message: 'spec: the function threw: no',
  });
});

t.test('what is refused leaves nothing running', options, async (t) => {
  const containers = new Containers(t);
  const running = anyhow(['sleep', '60'], { ...containers.options, input: 5 });
  t.match(await failure(running), { message: /^input:/ });
  t.same(await Container.list(containers.options), []);
  const refused = run(['cat'], { ...containers.options, stdin: 'pipe', cpus: 0 });
  refused.stdin.end('the promise tells, and not a null');
  refused.kill();
  t.equal((await failure(refused)).message, 'cpus: must be a number from 0.01 to 1048576, not 0');
  t.equal((await failure(refused.container)).code, 'ERR_TARE_INVALID_ARGUMENT');
});

t.test("the core's errors name the option", options, async (t) => {
  const containers = new Containers(t);
  const fails = async (given: RunOptions, path: string, message: RegExp): Promise<void> => {
    const error = await failure(run(['true'], { ...containers.options, ...given }));
    t.match(error, { path, message });
    t.notMatch(error.message, /config\.json|linux\.|process\.| --[a-z]/);
  };
  const there = { source: '/usr', destination: '/tmp/there' };
  await fails(
    { mounts: [there, { source: '/nowhere', destination: '/tmp/x' }] },
    'mounts[1].source',
    /^mounts\[1\]\.source: \/nowhere: .*ENOENT/,
  );
  await fails({ rootfs: '/nowhere' }, 'rootfs', /^rootfs: \/nowhere: /);
  await fails({ network: { path: '/nowhere' } }, 'network.path', /^network\.path: \/nowhere/);
  const double = { source: '/nowhere', destination: '/tmp/x' };
  await fails(
    { mounts: [double, { ...double, source: '/usr' }] },
    'mounts[0].source',
    /^mounts\[0\]\.source: \/nowhere: /,
  );
  // What the caller has written is no place in the configuration.
  const source = '/nowhere/process.args/mounts[0]';
  for (const [command, given, path, message] of [
    [['true'], { rootfs: source }, 'rootfs', `rootfs: ${source}: `],
    [
      ['true'],
      { mounts: [{ ...double, source }] },
      'mounts[0].source',
      `mounts[0].source: ${source}: `,
    ],
    [['process.args'], {}, 'process.args', 'exec: "process.args": executable'],
  ] as [string[], RunOptions, string, string][]) {
    const error = await failure(run(command, { ...containers.options, ...given }));
    t.equal(error.path, path);
    t.ok(error.message.startsWith(message), error.message);
  }
  const edited = await failure(
    run(['true'], {
      ...containers.options,
      spec: (spec) => ({ ...spec, process: { ...spec.process!, cwd: 'relative' } }),
    }),
  );
  t.match(edited, { path: 'process.cwd', message: /^spec: process\.cwd: / });
  const created = await Container.create(containers.id('a'), {
    bundle: containers.bundle(['sleep', '1000']),
    ...containers.options,
    start: true,
  });
  t.match((await failure(created.delete())).message, /\{ force: true \}/);
  t.match(await failure(created.kill('SIGTERM', { al: true } as never)), {
    message: 'al: unknown option; did you mean all?',
  });
  t.match(await failure(created.delete({ forced: true } as never)), { message: /mean force\?/ });
  t.match(await failure(created.exec(undefined as never)), { message: /^process: must be an obj/ });
  const misspelt: [Promise<unknown>, string][] = [
    [created.update({ pid: { limit: 5 } } as never), 'pid: unknown option; did you mean pids?'],
    [
      created.update({ memory: { limt: 5 } } as never),
      'memory.limt: unknown option; did you mean limit?',
    ],
    [
      created.update({
        blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rat: 1 }] },
      } as never),
      'blockIO.throttleReadBpsDevice[0].rat: unknown option; did you mean rate?',
    ],
    [
      created.exec({ args: ['true'], capabilites: {} } as never),
      'capabilites: unknown option; did you mean capabilities?',
    ],
    [
      created.exec({
        args: ['true'],
        rlimits: [{ type: 'RLIMIT_CORE', soft: 0, had: 0 }],
      } as never),
      'rlimits[0].had: unknown option; did you mean hard?',
    ],
  ];
  for (const [call, message] of misspelt) {
    t.match(await failure(call), { code: 'ERR_TARE_INVALID_ARGUMENT', message });
  }
  t.throws(() => created.stats({ intervall: 1 } as never), { message: /mean interval\?/ });
  await created.delete({ force: true });
});

t.test('messages are bounded, and printable', options, async (t) => {
  const containers = new Containers(t);
  const script = `
    i=0; while [ $i -lt 3000 ]; do printf é; i=$((i+1)); done >&2
    printf 'a\\033[31mb\\302\\233c\\007d\\re\\tf' >&2; exit 1`;
  const error = await failure(run(['sh', '-c', script], containers.options));
  t.ok(Buffer.byteLength(error.message) < 2600, `${Buffer.byteLength(error.message)} bytes`);
  t.match(error.message, /exited with 1\n… \(its last 2 KiB\)\né+a\\x1b\[31mb\\x9bc\\x07d\\re\tf$/);
  t.match(error.result!.stderr, '\x1b[31m', 'what it wrote is as it wrote it');
  const long = await failure(run(['sh', '-c', `exit 1 # ${'x'.repeat(9000)}`], containers.options));
  t.ok(long.message.length < 400);
});

t.test("the stack is the caller's", options, async (t) => {
  const containers = new Containers(t);
  async function caller(command: string[], given: object): Promise<TareError> {
    const failed = failure(anyhow(command, { ...containers.options, ...given }));
    await sleep(1);
    return failed;
  }
  for (const [command, given] of [
    [['true'], { timeOut: 1 }],
    [['absent'], {}],
    [['false'], {}],
    [['sleep', '9'], { timeout: 50 }],
  ] as const) {
    const { stack, name, message } = await caller([...command], given);
    t.ok(stack!.startsWith(`${name}: ${message}\n    at caller (`), stack!);
  }
});

t.test('an unawaited failure is one unhandled rejection', options, async (t) => {
  const containers = new Containers(t);
  const body = `
    let count = 0;
    process.on('unhandledRejection', () => count++);
    const told = async (running) => {
      count = 0;
      void running.terminal;
      await running.container.catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 300));
      tell(String(count));
    };
    await told(run(['true'], { ...data.options, timeOut: 1 }));
    await told(run(['absent'], data.options));
    await told(run(['false'], data.options));
    const failed = run(['false'], data.options);
    count = 0;
    for await (const line of failed) tell(line);
  `;
  const { child, output } = program(
    `${body.replace('for await', 'try { for await')} } catch { tell('thrown ' + count); }`,
    {
      options: containers.options,
    },
  );
  const ended = exitOf(child);
  t.equal(await output.until('thrown 0\n'), '1\n1\n1\nthrown 0\n');
  t.equal(await ended, 0);
});

t.test('no limit: 0 and Infinity', options, async (t) => {
  const containers = new Containers(t);
  for (const none of [0, Infinity]) {
    const given = { timeout: none, cpuTimeout: none, maxBuffer: Infinity };
    t.match(await run(['true'], { ...containers.options, ...given }), { exitCode: 0 });
  }
  const limits = { memory: Infinity, cpus: Infinity, pids: Infinity };
  t.match(await run(['true'], { ...containers.options, ...limits }), { exitCode: 0 });
});

t.test('one signal for many commands warns of nothing', options, async (t) => {
  const containers = new Containers(t);
  const warnings: Error[] = [];
  const warned = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warned);
  const controller = new AbortController();
  const { signal } = controller;
  const of = { ...containers.options, signal, reject: false };
  await Promise.all(Array.from({ length: 40 }, () => run(['true'], of)));
  const left = [1, 2, 3].map(() => run(['sleep', '1000'], of));
  await Promise.all(left.map(({ container }) => container));
  controller.abort();
  for (const running of left) t.match(await running, { aborted: true });
  await sleep(10);
  process.off('warning', warned);
  t.same(warnings, []);
});
