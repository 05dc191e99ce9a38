/** run() as an ordinary user, who has no cgroup of his own. */
import { whyNot } from './containers.js';
import { ProjectOfUser } from './user-programs.js';
import { uid } from '../cli/ordinary-user.js';
import { Sandbox, staticProgram } from '../cli/tare.js';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

const skip = { skip: whyNot ?? false };

function project(t: Test): ProjectOfUser {
  const sandbox = new Sandbox();
  t.teardown(() => sandbox.remove());
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
  const paths = ['memory.limit', 'cpu.quota', 'pids.limit'].map(
    (path) => `linux.resources.${path}`,
  );
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

t.test('a container does not use up what the user may watch', skip, (t) => {
  const user = project(t);
  const exhaust = join(user.user.directory, 'exhaust');
  copyFileSync(staticProgram('exhaust'), exhaust);
  const { status, stdout, stderr } = user.run(`
    import { run } from 'tare';
    import { watch } from 'node:fs';
    const mounts = [{ source: ${JSON.stringify(exhaust)}, destination: '/exhaust' }];
    const command = run(['/exhaust', 'inotify'], { mounts, stdin: 'pipe', buffer: false });
    command.catch(() => undefined);
    for await (const chunk of command.stdout) {
      console.log(String(chunk).trim());
      break;
    }
    watch('/').close();
    command.kill();
  `);
  t.strictSame([status, stderr, stdout], [0, '', '32 EMFILE\n']);
  t.end();
});
