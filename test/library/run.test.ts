/** run(): a command in a container of its own. */
import { failure, openFiles, runInside, sh, skipReason } from '../support/containers.js';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

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
