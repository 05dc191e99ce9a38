/** The reaper: pid 1 of run(), which makes the program an ordinary process. */
import { Containers, failure, runInside, sh, skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { exitOf } from '../support/tare.js';
import { once } from 'node:events';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { kill } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { run, type Running } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const skip = { skip: skipReason ?? false };
allowTime(t, 120_000);

const perl = (script: string): string[] => ['perl', '-e', script];

/** Resolves with the first output. */
async function output(running: Running): Promise<string> {
  const [chunk] = (await once(running.stdout, 'data')) as [Buffer];
  return chunk.toString();
}

t.test('signals end the program as they end any process', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const ends: [string[], string][] = [
    [perl('use POSIX; POSIX::abort()'), 'SIGABRT'],
    [perl('unpack "p", pack "J", 1'), 'SIGSEGV'],
    [perl('alarm 1; sleep 100'), 'SIGALRM'],
    [perl('kill TERM => $$; sleep 100'), 'SIGTERM'],
    [sh('kill -9 $$; sleep 100'), 'SIGKILL'],
    [sh('kill -HUP $$; sleep 100'), 'SIGHUP'],
    [sh('ulimit -S -t 1; while :; do :; done'), 'SIGXCPU'],
  ];
  await Promise.all(
    ends.map(async ([command, signal]) => {
      const result = await inside(command);
      t.match(result, { exitCode: null, signal, failed: true }, command.join(' '));
    }),
  );
});

t.test('exit statuses', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  for (const exitCode of [0, 3, 128 + 9, 255]) {
    t.match(await inside(sh(`exit ${exitCode}`)), { exitCode, signal: null });
  }
  t.match(await failure(inside(['no-such-program'])), { code: 'ERR_TARE_COMMAND_NOT_FOUND' });
  t.match(await failure(inside(['/usr'])), { code: 'ERR_TARE_COMMAND_NOT_EXECUTABLE' });
});

t.test('orphans are reaped', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const { stdout } = await inside(
    sh(`
      i=0; while [ $i -lt 1000 ]; do (true &); i=$((i+1)); done
      tries=0
      while [ $(ls /proc | grep -c '^[0-9]') -gt 5 ] && [ $tries -lt 50 ]; do
        sleep 0.1; tries=$((tries+1))
      done
      grep -h '^State:' /proc/[0-9]*/status; grep -h '^PPid:' /proc/$$/status; echo $$`),
  );
  t.notMatch(stdout, /zombie/);
  t.match(stdout, /^PPid:\t1\n2$/m);
});

t.test('signals from outside reach the program', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGKILL'] as const) {
    const running = inside(perl('$| = 1; print "ready\\n"; sleep 100'));
    await output(running);
    running.kill(signal);
    t.match(await running, { exitCode: null, signal, failed: true }, signal);
  }
  const deaf = sh('trap "" TERM; echo ready; while :; do sleep 0.1; done');
  const running = inside(deaf, { killSignal: 'SIGTERM', forceKillAfterDelay: 50 });
  await output(running);
  running.kill();
  t.match(await running, { signal: 'SIGKILL' });

  const late = await inside(['sleep', '100'], { timeout: 100, killSignal: 'SIGTERM' });
  t.match(late, { signal: 'SIGTERM', timedOut: true });
  t.ok(late.durationMs < 3000, 'it does not have to be killed');

  const handles = inside(perl('$SIG{RTMIN}=sub{exit 9}; $|=1; print "ready\\n"; sleep 1 while 1'));
  await output(handles);
  handles.kill(34);
  t.match(await handles, { exitCode: 9 });
});

/** The state of the child of `pid` that has the number `inside` in its pid namespace. */
function stateInside(pid: number, inside: number): string {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  for (const child of children) {
    const status = readFileSync(`/proc/${child}/status`, 'utf8');
    if (new RegExp(`^NSpid:.*\\t${inside}$`, 'm').test(status)) {
      return /^State:\t(\w)/m.exec(status)![1]!;
    }
  }
  return 'none';
}

t.test('the program stops and goes on', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const running = inside(sh('echo ready; while :; do sleep 0.01; done'));
  await output(running);
  const container = await running.container;
  const { pid } = await container.state();
  for (const [signal, state] of [
    ['SIGSTOP', /T/],
    ['SIGCONT', /[SRD]/],
  ] as const) {
    await container.kill(signal);
    for (let i = 0; i < 200 && !state.test(stateInside(pid, 2)); i++) await sleep(10);
    t.match(stateInside(pid, 2), state, signal);
  }
  running.kill('SIGTERM');
  t.match(await running, { signal: 'SIGTERM' });
});

t.test('a stopped reaper does not keep the container', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  for (const stop of ['pause', 'SIGSTOP'] as const) {
    const running = inside(sh('echo ready; sleep 100'));
    await output(running);
    const container = await running.container;
    if (stop === 'pause') await container.pause();
    else kill((await container.state()).pid, stop);
    running.kill('SIGKILL');
    t.match(await running, { exitCode: null, signal: 'SIGKILL' }, stop);
  }
});

t.test('Ctrl-C reaches the foreground of a terminal', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const running = inside(sh('sleep 100 & trap "echo seen; exit 5" INT; echo ready; wait'), {
    tty: true,
  });
  const terminal = (await running.terminal)!;
  await once(terminal, 'data');
  terminal.write('\x03');
  const result = await running;
  t.equal(result.exitCode, 5);
  t.match(result.stdout, /\^Cseen/);
  const job = inside(sh('tty; ps -o tty= -p $$ 2>/dev/null; sleep 100'), { tty: true });
  await once((await job.terminal)!, 'data');
  (await job.terminal)!.write('\x03');
  t.match(await job, { signal: 'SIGINT' });
});

t.test('what the program leaves ends with it', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const began = Date.now();
  const { stdout } = await inside(sh('(trap "" TERM HUP; sleep 100)& sleep 100 & echo out'));
  t.equal(stdout, 'out\n');
  t.ok(Date.now() - began < 5000, 'and so does its output');
  const others = await inside(
    perl('if (fork) { sleep 1 } else { $< = $> = 7; $0 = "other"; sleep 100 }'),
    { capabilities: ['CAP_SETUID', 'CAP_KILL'] },
  );
  t.match(others, { exitCode: 0 });
  t.ok(others.durationMs < 1900, 'also what has another uid');
  const own = await inside(perl('if (fork) { sleep 1 } else { $< = $> = 7; sleep 100 }'), {
    capabilities: ['CAP_SETUID'],
  });
  t.match(own, { exitCode: 0 }, 'also where the reaper may not kill it');
});

/**
 * Exits with status 3 and leaves two processes: one that sleeps, and one that executes `prepare`, and
 * then sends SIGUSR1 to pid 1 every 10 ms and writes a dot for each signal.
 */
const leaveSender = (prepare: string): string[] =>
  perl(`
    pipe my $ready, my $written;
    if (fork) { close $written; readline $ready; exit 3 }
    if (!fork) { sleep 100 }
    ${prepare}
    syswrite $written, "ready\\n";
    while (kill USR1 => 1) { syswrite STDOUT, '.'; select undef, undef, undef, 0.01 }
    print "kill: $!\\n"`);

t.test('a process that the reaper cannot kill gets one second', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const options = { capabilities: ['CAP_SETUID'], timeout: 10_000 } as const;
  const killable = await inside(leaveSender(''), options);
  t.match(killable, { exitCode: 3, stdout: /^\.*$/ });
  t.ok(killable.durationMs < 1000, `${killable.durationMs} ms: a sender that can be killed`);

  // With effective uid 0 a process may signal pid 1. Pid 1 has no CAP_KILL, and may not signal a
  // process whose real and saved uids are 7 (kill(2)). Perl has no setresuid(2) of its own.
  const number = process.arch === 'arm64' ? 147 : 117;
  const setresuid = `syscall(${number}, 7, 0, 7) == 0 or die "setresuid: $!";`;
  const began = performance.now();
  const survivor = await inside(leaveSender(setresuid), options);
  const elapsed = performance.now() - began;
  t.match(survivor, { exitCode: 3, stderr: '' });
  t.match(survivor.stdout, /^\.{20,}$/, 'its signals reach pid 1 during that second');
  t.ok(survivor.durationMs >= 1000, `${survivor.durationMs} ms: it outlives the SIGKILL`);
  t.ok(elapsed < 5000, `${elapsed} ms: its signals do not extend the second`);
});

t.test('init: false: the program is pid 1', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  t.match(await inside(sh('kill -TERM $$; echo $$'), { init: false }), {
    exitCode: 0,
    stdout: '1\n',
  });
  const running = inside(sh('echo ready; while :; do sleep 0.1; done'), {
    init: false,
    killSignal: 'SIGTERM',
    forceKillAfterDelay: 50,
  });
  await output(running);
  running.kill();
  const result = await running;
  t.match(result, { signal: 'SIGKILL' });
  t.equal(result.usage.maxRss, undefined);
});

t.test('how much memory its largest process had', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const megabytes = 2 ** 20;
  const small = (await inside(['true'])).usage.maxRss!;
  t.ok(small > 2 ** 16 && small < 20 * megabytes, `${small}: not of this program`);
  const script = '$x = "x" x (100 << 20); $y = length $x;';
  const large = (await inside(perl(script))).usage.maxRss!;
  t.ok(large > 100 * megabytes && large < 300 * megabytes, `${large}`);
  const child = (await inside(sh(`perl -e '${script}'; true`))).usage.maxRss!;
  t.ok(child > 100 * megabytes, `${child}: of a child`);
  const left = (await inside(sh(`perl -e '${script} sleep 100' & sleep 1.5`))).usage.maxRss!;
  t.ok(left > 100 * megabytes, `${left}: of one that was left`);
  const running = inside(perl(`$| = 1; ${script} print "ready"; sleep 100`));
  await output(running);
  running.kill('SIGKILL');
  const killed = (await running).usage.maxRss!;
  t.ok(killed > 100 * megabytes, `${killed}: of one that was killed`);
  const busy = 'my @t; do { @t = times } while $t[0] + $t[1] < 0.3; mkdir "/tmp/done"';
  const { cpuMs } = (
    await inside(sh(`(perl -e '${busy}' &); while ! [ -d /tmp/done ]; do sleep 0.1; done; wait`))
  ).usage;
  t.ok(cpuMs.user + cpuMs.system > 250, `${cpuMs.user} + ${cpuMs.system} ms: of an orphan`);
});

t.test('nothing of the reaper is within reach', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const script = `
    ls /proc/self/fd | tr '\\n' ' '; echo
    cat /proc/1/comm
    for path in fd exe root environ maps mem; do
      head -c 1 /proc/1/$path >/dev/null 2>&1 && echo "read $path"
    done
    # Their numbers are for uid 0 to see.
    for fd in /proc/1/fd/*; do readlink $fd && echo "read $fd"; (: 3<>$fd) 2>/dev/null && echo "opened $fd"; done
    kill -9 1; kill -STOP 1; kill -TERM 1; echo alive`;
  for (const more of [{}, { capabilities: ['CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_SYS_ADMIN'] }]) {
    const { stdout, exitCode } = await inside(sh(script), more);
    t.equal(exitCode, 0);
    t.match(stdout, /^0 1 2 3 \ntare:init\nalive\n$/);
  }
  // Even a process that may trace all processes in the container cannot reach the reaper, if root
  // made the container.
  const tracer = await inside(
    sh(`cat /proc/1/environ; readlink /proc/1/exe || echo denied >&2
        for file in mem exe; do (echo x > /proc/1/$file); done; echo end`),
    { capabilities: ['CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE'], seccomp: 'unconfined' },
  );
  t.equal(tracer.stdout, 'end\n');
  t.equal(tracer.stderr.match(/denied|not permitted/g)?.length, 4, tracer.stderr);

  const running = inside(sh('echo ready; sleep 100'));
  await output(running);
  const { pid } = await (await running.container).state();
  t.equal(readlinkSync(`/proc/${pid}/exe`), '/memfd:tare-init (deleted)');
  t.throws(() => writeFileSync(`/proc/${pid}/exe`, 'x'), /ETXTBSY|EPERM/, 'that is sealed');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  t.match(status, /^CapPrm:\t0{16}$/m);
  t.match(status, /^CapEff:\t0{16}$/m);
  running.kill();
  await running;
});

t.test('exec, state and ps', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const running = inside(sh('echo ready; sleep 100; true'));
  await output(running);
  const container = await running.container;
  const { pid, status } = await container.state();
  t.equal(status, 'running');
  t.ok((await container.ps()).includes(pid));
  const process = await container.exec({ args: ['sh', '-c', 'kill -TERM $$'] });
  t.same(await process.wait(), { exitCode: null, signal: 'SIGTERM' });
  const ended = container.wait();
  running.kill('SIGTERM');
  t.same(await ended, { exitCode: null, signal: 'SIGTERM' });
  await running;
});

t.test('a container that is created with a reaper', skip, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sh', '-c', 'kill -TERM $$; exit 5']);
  t.same(await containers.run('a', bundle, { init: true }), { exitCode: null, signal: 'SIGTERM' });
  t.same(await containers.run('b', bundle), { exitCode: 5, signal: null }, 'not by default');

  const waits = containers.bundle(['sleep', '100']);
  const container = await containers.create('c', waits, { init: true });
  t.equal((await container.state()).status, 'created');
  await container.kill('SIGTERM');
  t.same(await container.wait(), { exitCode: 143, signal: null }, 'before it is started');
  t.equal((await container.state()).status, 'stopped');
  await container.delete();

  const other = await containers.create('d', waits, { init: true });
  await other.start();
  t.equal((await other.state()).status, 'running');
  t.equal(containers.sandbox.must(['kill', containers.id('d'), 'TERM']).status, 0);
  t.same(await other.wait(), { exitCode: null, signal: 'SIGTERM' }, 'by another program');
  await other.delete();

  const shared = containers.bundle(['sh', '-c', 'kill -TERM $$; exit 5'], (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
  });
  t.same(
    await containers.run('e', shared, { init: true }),
    { exitCode: null, signal: 'SIGTERM' },
    'without a pid namespace it is an ordinary process in any case',
  );

  const deadline = containers.bundle(['true'], (config) => {
    config.process.scheduler = { policy: 'SCHED_OTHER', flags: ['SCHED_FLAG_RESET_ON_FORK'] };
  });
  const refused = await failure(containers.create('f', deadline, { init: true }));
  t.match(refused, { code: 'ERR_TARE_UNSUPPORTED', path: 'process.scheduler' });
});

t.test('all ends with this program', skip, async (t) => {
  const containers = new Containers(t);
  const body = `
    const running = run(['sleep', '1000'], data.options);
    running.catch(() => undefined);
    const { pid } = await (await running.container).state();
    tell('pid ' + pid + '.');
    setInterval(() => undefined, 1000);
  `;
  const { child, output } = program(body, { options: containers.options });
  await output.until('.\n');
  const ended = exitOf(child);
  child.kill('SIGKILL');
  await ended;
  const left = (): string[] =>
    containers.sandbox.leftovers().filter((what) => what.startsWith('process:'));
  for (let i = 0; i < 500 && left().length > 0; i++) await sleep(10);
  t.same(left(), []);
  await run(['true'], containers.options);
  for (let i = 0; i < 500 && containers.sandbox.leftovers().length > 0; i++) await sleep(10);
});
