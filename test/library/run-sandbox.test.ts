/** run(): the files, network, privileges and limits that a command has. */
import { Containers, failure, runInside, sh, skipReason } from '../support/containers.js';
import { Sandbox } from '../support/tare.js';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Container, run, sandboxSpec } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };

t.test('mounts, a root of its own, the working directory, the user', skip, async (t) => {
  const sandbox = new Sandbox(t);
  const inside = runInside(t);
  const data = join(sandbox.directory, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'file'), 'content');
  const script = 'cat file; touch new 2>&1; echo; id -u';
  const mounts = [{ source: data, destination: '/data' }];
  const read = await inside(sh(script), { mounts, cwd: '/data', user: 1000 });
  t.match(read.stdout, /^content.*Read-only file system\n\n1000\n$/s);

  const bundle = sandbox.bundle(['true']);
  const rootfs = join(bundle, 'rootfs');
  const own = await inside(['ls', '/'], { rootfs, cwd: '/' });
  t.match(own.stdout, /^bin\ndev\netc\n/);
  t.match(await failure(inside(['true'], { rootfs: '/nowhere' })), { path: 'rootfs' });
});

t.test('a root that its container may not enter', skip, async (t) => {
  const sandbox = new Sandbox(t);
  const rootfs = join(sandbox.bundle(['true']), 'rootfs');
  const inside = runInside(t);
  chmodSync(rootfs, 0o700);
  const error = await failure(inside(['true'], { rootfs, cwd: '/' }));
  t.match(error, {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    path: rootfs,
    message: new RegExp(
      `^rootfs: ${rootfs} has mode 700, which denies access to .*; let others enter and read it`,
    ),
    cause: { code: 'ERR_TARE_SYSTEM', errno: -13 },
  });
  chmodSync(rootfs, 0o755);
  t.match(await inside(['true'], { rootfs, cwd: '/' }), { exitCode: 0 });
});

t.test("what is written to a writable mount is root's", skip, async (t) => {
  const sandbox = new Sandbox(t);
  const data = join(sandbox.directory, 'data');
  mkdirSync(data);
  const mounts = [{ source: data, destination: '/data', writable: true }];
  await runInside(t)(sh('echo new > /data/file'), { mounts });
  t.equal(readFileSync(join(data, 'file'), 'utf8'), 'new\n');
  t.equal(statSync(join(data, 'file')).uid, 0);
});

t.test('the network', skip, async (t) => {
  const inside = runInside(t);
  const server = createServer((socket) => socket.end('hello from outside'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const code = `net.connect(${port}, '127.0.0.1').on('error', (e) => console.log(e.code)).pipe(process.stdout)`;
  t.match((await inside(['node', '-e', code])).stdout, 'ECONNREFUSED');
  t.match((await inside(['node', '-e', code], { network: 'host' })).stdout, 'hello from outside');
  const names = await inside(sh('cat /etc/resolv.conf'), { network: 'host' });
  t.equal(names.stdout, readFileSync('/etc/resolv.conf', 'utf8'));
});

t.test('seccomp and capabilities', skip, async (t) => {
  const inside = runInside(t);
  const refused = await inside(sh('unshare -U true'), { reject: false });
  t.match(refused.stderr, /unshare failed: Operation not permitted/);
  t.match(await inside(sh('unshare -U true'), { seccomp: 'unconfined' }), { exitCode: 0 });
  const own = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['uname'], action: 'SCMP_ACT_ERRNO' }],
  };
  t.match(await inside(['uname', '-r'], { seccomp: own, reject: false }), { failed: true });
  const caps = await inside(['grep', 'CapEff', '/proc/self/status'], {
    capabilities: ['CAP_CHOWN'],
  });
  t.match(caps.stdout, /0{15}1$/m);
});

t.test('rlimits and environment', skip, async (t) => {
  const containers = new Containers(t);
  const { stdout } = await run(['sh', '-c', 'ulimit -Sn; ulimit -Hn; ulimit -c'], {
    ...containers.options,
    rlimits: { nofile: { soft: 50, hard: 60 }, core: 0 },
  });
  t.equal(stdout, '50\n60\n0\n');
  const env = { A: 'a', B: undefined, PATH: process.env['PATH'] };
  const shown = await run(['sh', '-c', 'echo $A${B-unset}'], { ...containers.options, env });
  t.equal(shown.stdout, 'aunset\n');
  t.match(sandboxSpec(['x'], { rootfs: '/', rlimits: { as: Infinity } }).process, {
    rlimits: [{ type: 'RLIMIT_AS', soft: 2 ** 64, hard: 2 ** 64 }],
  });
});

t.test('relative paths are those of the time of the call', skip, async (t) => {
  const containers = new Containers(t);
  const here = process.cwd();
  t.teardown(() => process.chdir(here));
  const [first, second] = ['first', 'second'].map((name) => {
    const directory = join(containers.sandbox.directory, name);
    mkdirSync(join(directory, 'm'), { recursive: true });
    writeFileSync(join(directory, 'm/f'), name);
    return directory;
  }) as [string, string];
  process.chdir(first);
  const running = run(['cat', '/m/f'], {
    ...containers.options,
    mounts: [{ source: 'm', destination: '/m' }],
    stdout: ['pipe', { file: 'out' }],
  });
  process.chdir(second);
  t.equal((await running).stdout, 'first');
  t.equal(readFileSync(join(first, 'out'), 'utf8'), 'first');
  t.same(readdirSync(second), ['m']);

  rmSync(second, { recursive: true });
  t.match(await run(['true'], containers.options), { exitCode: 0 }, 'without a working directory');
});

t.test('the specification may be changed, the container is one', skip, async (t) => {
  const inside = runInside(t);
  const sandbox = new Sandbox(t);
  const running = inside(sh('hostname; sleep 1000'), {
    id: sandbox.id('named'),
    hostname: 'one',
    spec: (spec) => ({ ...spec, hostname: 'two' }),
    reject: false,
  });
  const container = await running.container;
  t.type(container, Container);
  t.equal(running.id, sandbox.id('named'));
  const process = await container.exec(
    { args: ['cat', '/proc/sys/kernel/hostname'] },
    { stdio: 'pipe' },
  );
  t.equal((await process.stdout!.toArray()).join(''), 'two\n');
  await container.kill('SIGKILL');
  t.match(await running, { signal: 'SIGKILL' });
});
