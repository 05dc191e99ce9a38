/** run() as an ordinary user without a cgroup of their own. */
import { skipReason } from '../support/containers.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { uid } from '../support/ordinary-user.js';
import { Sandbox, staticProgram } from '../support/tare.js';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

const skip = { skip: skipReason ?? false };

function project(t: Test): ProjectOfUser {
  const sandbox = new Sandbox(t);
  return new ProjectOfUser(sandbox);
}

t.test('without any preparation', skip, (t) => {
  const user = project(t);
  const { status, stdout, stderr } = user.run(`
    import { run, Container } from 'tare';
    const script = 'id -u; cat /proc/self/uid_map; ls /sys/class/net; ls /home; touch /usr/x || echo no';
    console.log((await run(['sh', '-c', script])).stdout.replace(/\\s+/g, ' '));
    console.log((await run(['cat'], { input: 'through' })).stdout);
    console.log((await run(['node', '-e', 'console.log(6 * 7)'])).stdout);
    const busy = await run(['sh', '-c', 'while :; do :; done'], { timeout: 400, reject: false });
    const { cpuMs } = busy.usage;
    console.log(busy.signal, busy.timedOut, cpuMs.user + cpuMs.system > 50);
    const child = await run(['sh', '-c', 'i=0; (while [ $i -lt 300000 ]; do i=$((i+1)); done); true']);
    console.log(child.usage.cpuMs.user > 20, 'that of its children');
    console.log(await Container.list());
  `);
  t.strictSame([status, stderr], [0, '']);
  const lines = stdout.split('\n');
  t.equal(lines[0], `0 0 ${uid} 1 lo no `);
  t.strictSame(lines.slice(1), [
    'through',
    '42',
    '',
    'SIGKILL true true',
    'true that of its children',
    '[]',
    '',
  ]);
  t.strictSame(user.user.containers(), []);
  t.end();
});

t.test('limits that cannot be set are told, with what to do', skip, (t) => {
  const user = project(t);
  const { status, stdout, stderr } = user.run(`
    import { run } from 'tare';
    for (const limit of [{ memory: '64MiB' }, { cpus: 0.5 }, { pids: 20 }]) {
      await run(['true'], limit).then(
        () => console.log('no error'),
        ({ code, message, path }) => console.log(JSON.stringify({ code, message, path })),
      );
    }
  `);
  t.strictSame([status, stderr], [0, '']);
  const errors = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);
  const paths = ['memory', 'cpus', 'pids'];
  t.equal(errors.length, 3);
  for (const [index, { code, message, path }] of errors.entries()) {
    t.equal(code, 'ERR_TARE_UNSUPPORTED');
    t.equal(path, paths[index]);
    t.match(
      message,
      /; (boot with cgroup_no_v1=all|run below a cgroup that is delegated to you).*, or remove the limit/,
    );
  }
  t.strictSame(user.user.containers(), []);
  t.end();
});

const needsHelpers = existsSync('/usr/bin/newuidmap')
  ? skip
  : { skip: skipReason ?? 'needs newuidmap and newgidmap (package uidmap)' };

t.test('another user than 0, where there are ranges', needsHelpers, (t) => {
  const user = project(t);
  user.user.ranges('700000:65536');
  const { status, stdout, stderr } = user.run(`
    import { run } from 'tare';
    const command = ['sh', '-c', 'echo $(id -u):$(id -g); cat /proc/self/uid_map; touch /tmp/x && echo written'];
    for (const user of [1000, '33:1000', { uid: 1, gid: 2 }, 0]) {
      console.log((await run(command, { user })).stdout.trim().replace(/\\s+/g, ' '));
    }
  `);
  t.strictSame([status, stderr], [0, '']);
  const all = `0 ${uid} 1 1 700000 65535 written`;
  t.strictSame(stdout.trim().split('\n'), [
    `1000:1000 ${all}`,
    `33:1000 ${all}`,
    `1:2 ${all}`,
    `0:0 0 ${uid} 1 written`,
  ]);
  t.end();
});

t.test('another user than 0, where there are none', skip, (t) => {
  const user = project(t);
  const { status, stdout, stderr } = user.run(`
    import { run } from 'tare';
    await run(['true'], { user: 1000 }).catch(({ code, path, message }) => console.log(code, path, message));
  `);
  t.strictSame([status, stderr], [0, '']);
  t.match(
    stdout,
    /^ERR_TARE_UNSUPPORTED user user: 1000:1000: .* install newuidmap and newgidmap .*usermod --add-subuids 100000-165535 tare-test .*; usermod --add-subgids 100000-165535 tare-test /,
  );
  t.end();
});

t.test('a container does not use up what the user may watch', skip, (t) => {
  const user = project(t);
  const exhaust = join(user.user.directory, 'exhaust');
  copyFileSync(staticProgram('exhaust'), exhaust);
  const { status, stdout, stderr } = user.run(`
    import { run } from 'tare';
    import { watch } from 'node:fs';
    const mounts = [{ source: ${JSON.stringify(exhaust)}, destination: '/exhaust' }];
    const take = async (command, options) => {
      const running = run(command, { mounts, stdin: 'pipe', buffer: false, ...options });
      running.catch(() => undefined);
      for await (const chunk of running.stdout) {
        console.log(String(chunk).trim());
        break;
      }
      watch('/').close();
      running.kill();
      await running.catch(() => undefined);
    };
    await take(['/exhaust', 'inotify']);
    await take(['/exhaust', 'watches']);
    // Neither a new value nor another namespace below gives more.
    const raise = 'echo 99 >/proc/sys/user/max_inotify_instances; exec /exhaust inotify';
    await take(['sh', '-c', raise], { stderr: 'ignore' });
    await take(['unshare', '--user', '/exhaust', 'inotify'], { seccomp: 'unconfined' });
  `);
  t.strictSame([status, stderr], [0, '']);
  t.strictSame(stdout.trim().split('\n'), ['32 EMFILE', '8192 ENOSPC', '32 EMFILE', '32 EMFILE']);
  t.end();
});
