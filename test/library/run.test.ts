/** run(): a command in a container of its own. */
import { failure, openFiles, runInside, sh, skipReason } from '../support/containers.js';
import { Sandbox } from '../support/tare.js';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Container, run, type RunOptions, type Running } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };

t.test('output, exit code, what it used', skip, async (t) => {
  const inside = runInside(t);
  await inside(['true']);
  // The first run() also starts a search for what other programs have left.
  await sleep(100);
  const before = openFiles();
  const result = await inside(sh('echo out; echo err >&2'));
  t.match(result, {
    command: sh('echo out; echo err >&2'),
    exitCode: 0,
    signal: null,
    stdout: 'out\n',
    stderr: 'err\n',
    failed: false,
    timedOut: false,
    aborted: false,
    outputTooLong: false,
    oomKilled: false,
  });
  t.ok(result.startMs > 0 && result.durationMs >= result.startMs);
  t.type(result.usage.cpuMs.user, 'number');
  for (let i = 0; i < 100 && openFiles().length > before.length; i++) await sleep(20);
  t.same(openFiles(), before);
});

t.test("the host's programs, as safe as can be", skip, async (t) => {
  const inside = runInside(t);
  process.env['TARE_TEST_SECRET'] = 'secret';
  const { stdout } = await inside(
    sh(`
      echo "id $(id -u):$(id -g) $(cat /proc/self/uid_map | tr -s ' ')"
      grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '
      echo "env $(env | cut -d= -f1 | sort | tr '\\n' ' ')"
      echo "etc $(ls /etc | tr '\\n' ' ')"
      echo "home $(ls /home /root /run /var | tr '\\n' ' ')"
      echo "net $(ls /sys/class/net)"
      echo "processes $(ls /proc | grep -c '^[0-9]*$')"
      for place in / /usr /etc /proc/sys/kernel/hostname /sys/class; do
        touch "$place/x" 2>/dev/null && echo "$place can be written"
      done
      touch /tmp/x /run/x /dev/shm/x && echo written
      echo "cwd $(pwd)"`),
  );
  delete process.env['TARE_TEST_SECRET'];
  t.match(stdout, /^id 0:0 +0 2\d{9} 65536$/m);
  for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) {
    t.match(stdout, new RegExp(`^Cap${set}: 0{16}$`, 'm'));
  }
  t.match(stdout, /^NoNewPrivs: 1\nSeccomp: 2$/m);
  t.match(stdout, /^env HOME LANG PATH PWD (SHLVL )?(_ )?$/m);
  t.notMatch(stdout, /^etc .*(shadow|ssh|machine-id)/m);
  t.match(stdout, /^home \/home: +\/root: +\/run: +\/var: run tmp $/m);
  t.match(stdout, /^net lo$/m);
  t.notMatch(stdout, /can be written/);
  t.match(stdout, /^written\ncwd \/tmp$/m);
});

t.test('Node runs in it', skip, async (t) => {
  const inside = runInside(t);
  const code = 'console.log(1 + 1, os.hostname(), process.env.GREETING)';
  const { stdout } = await inside(['node', '-e', code], { env: { GREETING: 'hello' } });
  t.equal(stdout, '2 tare hello\n');
});

t.test('an environment of any size', skip, async (t) => {
  const inside = runInside(t);
  // The last one is larger than what init receives in one message.
  for (const count of [1, 3, 10]) {
    const names = Array.from({ length: count }, (_, i) => `LARGE${i}`);
    const env = Object.fromEntries(names.map((name) => [name, name[5]!.repeat(100_000)]));
    const { stdout } = await inside(sh('env | grep ^LARGE | wc -c'), { env });
    t.equal(Number(stdout), count * ('LARGE0='.length + 100_001), `${count} of 100 KB`);
  }
});

t.test('what fails', skip, async (t) => {
  const inside = runInside(t);
  const failed = await failure(inside(sh('echo why >&2; exit 3')));
  t.match(failed, {
    code: 'ERR_TARE_COMMAND_FAILED',
    message: '/bin/sh -c "echo why >&2; exit 3": exited with 3\nwhy',
    result: { exitCode: 3, failed: true, stderr: 'why\n' },
  });
  t.match(await inside(sh('exit 3'), { reject: false }), { exitCode: 3, failed: true });
  const absent = await failure(inside(['absent'], { reject: false }));
  t.match(absent, { code: 'ERR_TARE_COMMAND_NOT_FOUND', message: /absent/ });
  t.equal(absent.result, undefined, 'there was nothing to become of');
});

t.test('wrong options are told before anything is made', skip, async (t) => {
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
    [{ stdio: 'pipe', stdout: 'pipe' }, /^stdout: give either that or stdio$/],
    [{ tty: true, stdout: 'inherit' }, /^tty: the terminal is all three streams/],
    [{ input: 'x', stdin: 'ignore' }, /^input: is written to standard input, which must be "pipe"/],
    [{ input: 'x', stdio: ['ignore', 'pipe', 'pipe'] }, /^input: is written to standard input/],
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

t.test('input', skip, async (t) => {
  const inside = runInside(t);
  t.equal((await inside(['cat'], { input: 'text' })).stdout, 'text');
  t.equal((await inside(['cat'], { input: Buffer.from('bytes') })).stdout, 'bytes');
  const stream = Readable.from(['a', 'stream']);
  t.equal((await inside(['cat'], { input: stream })).stdout, 'astream');
  const large = Buffer.alloc(2 ** 20);
  t.equal((await inside(['true'], { input: large })).exitCode, 0, 'who does not read it');
  const running = inside(['cat'], { stdin: 'pipe' });
  running.stdin.end('at once');
  t.equal((await running).stdout, 'at once');
});

t.test('output as bytes, elsewhere, and too much of it', skip, async (t) => {
  const inside = runInside(t);
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
  const bytes = await run(sh('printf "\\377"'), { root: sandbox.root, encoding: 'buffer' });
  t.same(bytes.stdout, Buffer.from([255]));
  t.equal((await inside(sh('printf "\\377"'), { encoding: 'hex' })).stdout, 'ff');
  t.match(await inside(sh('echo gone'), { stdout: 'ignore' }), { stdout: undefined });
  const running = inside(sh('echo read'), { buffer: false });
  t.equal((await running.stdout.toArray()).join(''), 'read\n');
  t.equal((await running).stdout, undefined);
  const long = await failure(inside(['yes'], { maxBuffer: 1000 }));
  t.match(long, {
    code: 'ERR_TARE_OUTPUT_TOO_LONG',
    message: /^yes: wrote more than 1000 bytes; raise maxBuffer/,
    result: { outputTooLong: true, signal: 'SIGKILL' },
  });
  t.equal(long.result!.stdout, 'y\n'.repeat(500));
});

t.test('output that becomes a stream on the way', skip, async (t) => {
  const inside = runInside(t);
  const long = await inside(sh('head -c 3000000 /dev/zero | tr "\\0" x; echo end >&2'));
  t.equal(long.stdout, 'x'.repeat(3_000_000));
  t.equal(long.stderr, 'end\n');
  const exact = await inside(sh('printf 12345'), { maxBuffer: 5 });
  t.match(exact, { stdout: '12345', outputTooLong: false });
  const { signal } = await failure(
    inside(sh('sleep 0.1; printf 123456; sleep 9'), { maxBuffer: 5 }),
  ).then(({ result }) => result!);
  t.equal(signal, 'SIGKILL', 'also where the program has more to say later');
  for (const wait of [0, 150, 400]) {
    const running = inside(sh('echo one; sleep 0.25; echo two; sleep 0.25; echo three'));
    await running.container;
    await sleep(wait);
    t.equal((await running.stdout.toArray()).join(''), 'one\ntwo\nthree\n', `after ${wait} ms`);
    t.equal((await running).stdout, 'one\ntwo\nthree\n');
  }
  const ended = inside(sh('echo one'));
  await ended;
  t.same(await ended.stdout.toArray(), [], 'there is nothing more, and an end of it');
  const broken = inside(sh('while echo; do sleep 0.02; done; echo gone >&2; exit 9'));
  broken.stdout.destroy();
  t.match(await failure(broken), { result: { signal: 'SIGPIPE' } }, 'nothing reads it');
});

t.test('a slow reader slows the command down', skip, async (t) => {
  const inside = runInside(t);
  const megabytes = 8;
  const running = inside(['dd', 'if=/dev/zero', 'bs=1048576', `count=${megabytes}`], {
    buffer: false,
    stderr: 'ignore',
  });
  const stdout = running.stdout;
  const container = await running.container;
  await sleep(200);
  t.ok(stdout.readableLength <= 4 * stdout.readableHighWaterMark, `${stdout.readableLength} bytes`);
  t.equal((await container.state()).status, 'running');
  let length = 0;
  for await (const chunk of stdout) length += (chunk as Buffer).length;
  t.equal(length, megabytes * 2 ** 20);
  t.match(await running, { exitCode: 0, stdout: undefined, stderr: undefined });
});

t.test('timeout, abort and kill', skip, async (t) => {
  const inside = runInside(t);
  const late = await failure(inside(['sleep', '1000'], { timeout: 100 }));
  t.match(late, {
    code: 'ERR_TARE_TIMED_OUT',
    message: 'sleep 1000: did not end within 100 ms',
    result: { timedOut: true, signal: 'SIGKILL', exitCode: null },
  });
  t.ok(late.result!.durationMs >= 99 && late.result!.durationMs < 5000);

  const reason = new Error('enough');
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 50);
  const aborted = await failure(inside(['sleep', '1000'], { signal: controller.signal }));
  t.match(aborted, { code: 'ERR_TARE_ABORTED', result: { aborted: true } });
  t.equal(aborted.cause, reason);
  const before = await failure(inside(['true'], { signal: AbortSignal.abort(reason) }));
  t.match(before, { code: 'ERR_TARE_ABORTED', message: 'true: was aborted' });
  t.equal(before.cause, reason);

  const patient = sh('trap "echo asked; exit 7" TERM; echo ready; while :; do sleep 0.1; done');
  const running = inside(patient, { killSignal: 'SIGTERM', reject: false });
  await once(running);
  running.kill();
  t.match(await running, { exitCode: 7, stdout: 'ready\nasked\n', failed: true });

  const deaf = inside(sh('trap "" TERM; echo ready; while :; do sleep 0.1; done'), {
    killSignal: 'SIGTERM',
    forceKillAfterDelay: 50,
    reject: false,
  });
  await once(deaf);
  deaf.kill();
  t.match(await deaf, { signal: 'SIGKILL' });

  const early = inside(['sleep', '1000'], { reject: false });
  early.kill();
  t.match(await early, { signal: 'SIGKILL', failed: true }, 'before the program runs');
});

/** Waits for the first output. */
async function once(running: Running<RunOptions>): Promise<void> {
  await new Promise((resolve) => running.stdout!.once('data', resolve));
}

t.test('a terminal', skip, async (t) => {
  const inside = runInside(t);
  const running = inside(sh('tty; stty size; read line; echo "[$line]"'), {
    tty: { columns: 77, rows: 11 },
  });
  const terminal = (await running.terminal)!;
  let seen = '';
  terminal.on('data', (chunk: Buffer) => {
    seen += String(chunk);
    if (seen.endsWith('11 77\r\n')) terminal.write('word\n');
  });
  t.equal((await running).stdout, '/dev/pts/0\r\n11 77\r\nword\r\n[word]\r\n');
  t.equal((await inside(sh('tty'), { tty: true })).stdout, '/dev/pts/0\r\n');
});

t.test('mounts, a root of its own, the working directory, the user', skip, async (t) => {
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
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
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
  const rootfs = join(sandbox.bundle(['true']), 'rootfs');
  const inside = runInside(t);
  chmodSync(rootfs, 0o700);
  const error = await failure(inside(['true'], { rootfs, cwd: '/' }));
  t.match(error, {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    path: rootfs,
    message: new RegExp(`^rootfs: ${rootfs} has mode 700.*; let others enter and read it`),
    cause: { code: 'ERR_TARE_SYSTEM', errno: -13 },
  });
  chmodSync(rootfs, 0o755);
  t.match(await inside(['true'], { rootfs, cwd: '/' }), { exitCode: 0 });
});

t.test("what is written to a writable mount is root's", skip, async (t) => {
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
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

t.test('the specification may be changed, the container is one', skip, async (t) => {
  const inside = runInside(t);
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
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

t.test('each command has what was asked for it, whatever the one before had', skip, async (t) => {
  const inside = runInside(t);
  const shows = async (options: Pick<RunOptions, 'mounts' | 'hostname'>): Promise<string> =>
    (await inside(sh('hostname; cat /m/file; grep -c . /proc/mounts'), options)).stdout.trimEnd();
  const place = t.testdir({ one: { file: 'one' }, two: { file: 'two' } });
  const [one, two] = [join(place, 'one'), join(place, 'two')];
  for (const path of [place, one, two]) chmodSync(path, 0o755);
  const mount = { source: one, destination: '/m' };
  const mounts = [mount];
  const first = await shows({ mounts });
  t.match(first, /^tare\none\d+$/);
  mount.source = two;
  t.equal(
    await shows({ mounts }),
    first.replace('one', 'two'),
    'the same array with another content',
  );
  t.match(await shows({ mounts, hostname: 'other' }), /^other\ntwo/);

  const count = sh('grep -c . /proc/mounts; grep " /usr/bin " /proc/mounts | cut -d" " -f4');
  const plain = await inside(count);
  t.match(plain.stdout, /\nro,/);
  const changed = inside(count, {
    spec: (spec) => {
      for (const { destination, options = [] } of spec.mounts ?? []) {
        if (destination === '/usr/bin')
          options.splice(0, options.length, 'bind', 'nodev', 'noexec');
      }
      spec.linux!.maskedPaths!.length = 0;
      spec.linux!.readonlyPaths!.length = 0;
      return spec;
    },
  });
  await t.rejects(changed, { code: 'ERR_TARE_COMMAND_NOT_EXECUTABLE' });
  t.equal((await inside(count)).stdout, plain.stdout, 'and not for the next one');
  t.equal((await inside(count, { hostname: 'other' })).stdout, plain.stdout);
});

t.test('many at a time', skip, async (t) => {
  const inside = runInside(t);
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, i) => inside(sh(`echo ${i}`)).then(({ stdout }) => stdout)),
  );
  t.same(
    results,
    Array.from({ length: 40 }, (_, i) => `${i}\n`),
  );
});
