/** exec --ignore-paused: the process exists at once, and runs when the container is resumed. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { recvtty } from '../support/recvtty.js';
import { Output, Sandbox, exitOf, state, skipReason } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  /** Calls `body` with the id and the cgroup directory of a paused container. */
  async function paused(
    name: string,
    body: (id: string, cgroup: string) => Promise<void>,
  ): Promise<void> {
    const id = sandbox.id(name);
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      config.mounts.push({ destination: '/out', type: 'tmpfs', options: ['mode=777'] });
    });
    const run = sandbox.spawn(['run', '-d', '-b', bundle, id], { stdio: 'inherit' });
    if ((await exitOf(run)) !== 0) throw new Error(`${id} does not run`);
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const own = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
    const cgroup = join('/sys/fs/cgroup', own);
    mkdirSync(join(cgroup, 'below'));
    sandbox.must(['pause', id]);
    await body(id, cgroup);
    sandbox.must(['delete', '--force', id]);
  }
  const status = (id: string): string => state(sandbox.must(['state', id]).stdout).status;
  const procs = (cgroup: string): string => readFileSync(join(cgroup, 'cgroup.procs'), 'utf8');

  sandbox.test('detached: at once, with its pid, and in the cgroup', async (t) => {
    for (const where of [[], ['--cgroup', 'below']]) {
      await paused('detached', async (id, cgroup) => {
        const pidFile = join(sandbox.directory, 'pid');
        const script = 'grep ^0:: /proc/self/cgroup >/out/done; exec sleep 1000';
        const flags = ['--detach', '--ignore-paused', '--pid-file', pidFile, ...where];
        sandbox.must(['exec', ...flags, id, 'sh', '-c', script]);
        const pid = readFileSync(pidFile, 'utf8');
        const [name] = where.slice(1);
        t.ok(
          procs(join(cgroup, name ?? ''))
            .split('\n')
            .includes(pid),
          'in the cgroup',
        );
        // The new process is not frozen immediately.
        for (let i = 0; i < 20 && status(id) !== 'paused'; i++) await sleep(100);
        t.equal(status(id), 'paused');
        const before = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        t.notMatch(before, 'sleep', 'it has not run');
        sandbox.must(['resume', id]);
        const read = 'until [ -s /out/done ]; do sleep 0.1; done; cat /out/done';
        t.equal(
          sandbox.must(['exec', id, 'sh', '-c', read]).stdout,
          `0::/${name ?? ''}\n`,
          'then it runs',
        );
      });
    }
  });

  sandbox.test(
    'attached: waits until the container is resumed and the process has ended',
    async (t) => {
      await paused('attached', async (id) => {
        const exec = sandbox.spawn(
          ['exec', '--ignore-paused', id, 'sh', '-c', 'echo ran; exit 7'],
          {
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        );
        const output = new Output(exec.stdout);
        let ended = false;
        exec.once('exit', () => (ended = true));
        await sleep(500);
        t.notOk(ended);
        t.equal(output.text, '');
        sandbox.must(['resume', id]);
        t.equal(await exitOf(exec), 7);
        t.equal(await output.all(), 'ran\n');
      });
    },
  );

  sandbox.test('with a terminal', async (t) => {
    await paused('terminal', async (id) => {
      const socket = join(sandbox.directory, 'console.sock');
      const receiver = await recvtty(socket);
      const flags = ['--detach', '--tty', '--ignore-paused', '--console-socket', socket];
      sandbox.must(['exec', ...flags, id, 'sh', '-c', 'tty; echo ran']);
      sandbox.must(['resume', id]);
      t.match(await receiver.output.all(), /^\/dev\/pts\/\d+\r\nran\r\n$/);
    });
  });

  sandbox.test('what is wrong is told at once, and leaves no process', async (t) => {
    await paused('wrong', async (id, cgroup) => {
      const before = procs(cgroup);
      const absent = sandbox.tare(['exec', '--ignore-paused', id, 'absent']);
      t.match(absent, { status: 255, error: /executable file not found in \$PATH/ });
      const refused = sandbox.tare(['exec', id, 'true']);
      t.match(refused, {
        status: 255,
        error: `exec in ${id}: cannot exec in a paused container (use --ignore-paused to override)`,
      });
      t.equal(procs(cgroup), before);
    });
  });
}
