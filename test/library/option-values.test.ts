/**
 * Values that neither JSON nor a system call can express are refused in the caller's words, and each
 * option is read once.
 */
import { failure } from '../support/containers.js';
import t from 'tap';
import { Container, run, sandboxSpec, validate, type Spec } from '../../lib/index.js';

/** run() without its types, as JavaScript can call it. */
const anyhow = run as unknown as (command: unknown, options?: unknown) => Promise<unknown>;

const code = 'ERR_TARE_INVALID_ARGUMENT';
const lone = 'a\ud800b';
const notUnicode = 'must be valid Unicode, without lone surrogates';
// eslint-disable-next-line no-sparse-arrays
const sparse = ['true', , 'x'];
const ownProto: unknown = JSON.parse('{"__proto__": "x"}');

t.test('of run()', async (t) => {
  const mount = { source: '/usr', destination: '/mnt' };
  for (const [given, message] of [
    [{ env: { A: lone } }, `env.A: ${notUnicode}`],
    [{ env: { [lone]: 'x' } }, `env: a name: ${notUnicode}`],
    [{ env: ownProto }, 'env.__proto__: invalid name'],
    [{ annotations: ownProto }, 'annotations.__proto__: invalid name'],
    [{ cwd: `/${lone}` }, `cwd: ${notUnicode}`],
    [{ hostname: lone }, `hostname: ${notUnicode}`],
    [{ rootfs: lone }, `rootfs: ${notUnicode}`],
    [{ mounts: [mount, { ...mount, source: lone }] }, `mounts[1].source: ${notUnicode}`],
    [{ mounts: [{ ...mount, destination: `/${lone}` }] }, `mounts[0].destination: ${notUnicode}`],
    [{ mounts: [{ ...mount, within: lone }] }, `mounts[0].within: ${notUnicode}`],
    [{ stdout: { file: lone } }, `stdout.file: ${notUnicode}`],
    [{ pids: 1e300 }, 'pids: must be a number from 1 to 4194304, not 1e+300'],
    [{ cpus: 1e300 }, 'cpus: must be a number from 0.01 to 1048576, not 1e+300'],
    [{ maxBuffer: 1e300 }, /^maxBuffer: must be a number from 0 to 9007199254740991, not 1e/],
    [{ memory: 1e300 }, /^memory: invalid size 1e\+300/],
    [{ rlimits: { nofile: 1e300 } }, /^rlimits\.nofile: must be a number from 0 to 1844/],
    [{ rlimits: { cpu: { soft: NaN, hard: 1 } } }, /^rlimits\.cpu\.soft: .*, not NaN$/],
    [{ cpus: NaN }, 'cpus: must be a number from 0.01 to 1048576, not NaN'],
    [{ stdout: 9999 }, 'stdout: 9999 is not an open file descriptor'],
    [{ stdout: ['pipe', { fd: 9999 }] }, 'stdout[1]: 9999 is not an open file descriptor'],
    [{ stdin: 9999 }, 'stdin: 9999 is not an open file descriptor'],
    [{ stdio: ['ignore', 'pipe', 9999] }, 'stdio[2]: 9999 is not an open file descriptor'],
    [Object.create({ network: 'none' }), 'options: must be a plain object, not an object'],
    [new Map(), 'options: must be a plain object, not an object'],
  ] as [unknown, string | RegExp][]) {
    t.match(await failure(anyhow(['true'], given)), { code, message });
  }
  for (const [command, message] of [
    [['true', lone], `command[1]: ${notUnicode}`],
    [sparse, 'command[1]: must be a string, not undefined'],
  ] as [unknown, string][]) {
    t.match(await failure(anyhow(command)), { code, message });
    t.throws(() => sandboxSpec(command as string[], { rootfs: '/' }), { code, message });
  }
});

t.test('of configurations', async (t) => {
  const spec = (edit: (spec: Spec) => void): Spec => {
    const made = sandboxSpec(['true'], { rootfs: '/' });
    edit(made);
    return made;
  };
  const cases: [Spec, string][] = [
    [
      spec(({ linux }) => (linux!.resources!.memory = { limit: NaN })),
      'spec.linux.resources.memory.limit: must be a finite number, not NaN',
    ],
    [
      spec(({ linux }) => (linux!.resources!.memory = { limit: Infinity, swap: 2n as never })),
      'spec.linux.resources.memory.limit: must be a finite number, not Infinity',
    ],
    [
      spec(({ process }) => (process!.args = sparse as string[])),
      'spec.process.args[1]: must be given, not undefined',
    ],
    [spec(({ process }) => process!.env!.push(lone)), `spec.process.env[3]: ${notUnicode}`],
    [
      spec((made) => (made.annotations = { [lone]: '' })),
      `spec.annotations: a name: ${notUnicode}`,
    ],
  ];
  for (const [given, message] of cases) {
    t.throws(() => validate(given), { code, message });
    t.match(await failure(Container.create('a', { spec: given })), { code, message });
    t.match(await failure(run(['true'], { spec: () => given })), { code, message });
  }
  const promised = Promise.resolve(spec(() => undefined)) as never as Spec;
  t.throws(() => validate(promised), { code, message: 'spec: must be an object, not a promise' });
  t.match(await failure(Container.create('a', { spec: promised })), {
    code,
    message: 'spec: must be a plain object, not a promise',
  });
  const rejected = async (): Promise<Spec> => Promise.reject(new Error('not awaited'));
  for (const edit of [() => promised, rejected as never as () => Spec]) {
    t.match(await failure(run(['true'], { spec: edit })), {
      code,
      message: 'spec: must be a function that returns the configuration itself, not a promise',
    });
  }
});

t.test('each option is read once', async (t) => {
  const reads: Record<string, number> = {};
  const counted = <T extends object>(name: string, values: T): T => {
    const object = { [Symbol('own')]: true };
    for (const [key, value] of Object.entries(values)) {
      const get = (): unknown => {
        reads[`${name}${key}`] = (reads[`${name}${key}`] ?? 0) + 1;
        return value;
      };
      Object.defineProperty(object, key, { get, enumerable: true });
    }
    return object as T;
  };
  const command = counted('', { command: ['true', 'x'] }).command;
  const mount = counted('mount.', { source: '/usr', destination: '/mnt', writable: false });
  const given = counted('', {
    env: counted('env.', { A: 'a' }),
    mounts: [mount],
    user: counted('user.', { uid: 1, gid: 1 }),
    network: counted('network.', { path: '/proc/self/ns/net' }),
    rlimits: counted('rlimits.', { nofile: counted('nofile.', { soft: 5, hard: 5 }) }),
    rootfs: '/',
    hostname: 'x',
    capabilities: ['CAP_CHOWN'],
    tty: counted('tty.', { columns: 1, rows: 1 }),
  });
  t.match(sandboxSpec(command, given), {
    hostname: 'x',
    process: { env: [/PATH/, /HOME/, /LANG/] },
  });
  t.equal(Object.keys(reads).length, 22);
  t.strictSame(
    Object.entries(reads).filter(([, count]) => count !== 1),
    [],
  );
  let inputs = 0;
  const refused = {
    get input() {
      inputs++;
      return 'text';
    },
    timeOut: 1,
  };
  t.match(await failure(anyhow(['true'], refused)), { message: /^timeOut: unknown option/ });
  t.equal(inputs, 1);
  const iterable = { path: '/x', [Symbol.iterator]: () => [][Symbol.iterator]() };
  t.match(await failure(anyhow(['true'], { network: iterable })), {
    message: 'network: must be a plain object, not an object',
  });
});

t.test('what the caller gets back are ordinary objects', (t) => {
  const seccomp = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'] }] } as never;
  const { linux, process, mounts } = sandboxSpec(['true'], {
    rootfs: '/',
    user: { uid: 1, gid: 2 },
    mounts: [{ destination: '/x', type: 'tmpfs', options: ['ro'] }],
    seccomp,
  });
  for (const object of [linux!.seccomp!, linux!.seccomp!.syscalls![0]!, process!.user!]) {
    t.equal(Object.getPrototypeOf(object), Object.prototype);
  }
  t.strictSame(linux!.seccomp, seccomp);
  t.equal(Object.getPrototypeOf(mounts!.at(-1)), Object.prototype);
  t.end();
});
