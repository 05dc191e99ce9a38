/** pause and resume: what is frozen, what is refused meanwhile, and how a paused container ends. */
import { Output, Sandbox, exitOf, state, skipReason } from '../support/tare.js';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  const statusOf = (id: string): string => state(sandbox.must(['state', id]).stdout).status;

  function cgroupOf(id: string): string {
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
    return join('/sys/fs/cgroup', path);
  }

  async function detached(t: Test, ...args: string[]): Promise<void> {
    const child = sandbox.spawn(args, { stdio: ['ignore', 'ignore', 'inherit'] });
    t.equal(await exitOf(child), 0, args[0]!);
  }

  sandbox.test('a paused container stands still until it is resumed', async (t) => {
    const id = sandbox.id('ticks');
    const bundle = sandbox.bundle(['sh', '-c', 'while :; do echo tick; sleep 0.01; done']);
    const run = sandbox.spawn(['run', '-b', bundle, id], { stdio: ['ignore', 'pipe', 'inherit'] });
    const output = new Output(run.stdout);
    await output.until('tick');
    t.match(sandbox.tare(['pause', id]), { status: 0, stdout: '', stderr: '' });
    t.equal(statusOf(id), 'paused');
    t.match(sandbox.must(['list']).stdout, new RegExp(`${id} +\\d+ +paused `));
    t.match(readFileSync(join(cgroupOf(id), 'cgroup.events'), 'utf8'), /^frozen 1$/m);
    t.equal(
      sandbox.tare(['pause', id]).error,
      `pause ${id}: container not running: it is paused already`,
    );
    t.equal(
      sandbox.tare(['delete', id]).error,
      `delete ${id}: cannot delete container ${id} that is not stopped: paused; kill it first, or use --force`,
    );
    const executed = sandbox.tare(['exec', id, 'true']);
    t.equal(executed.status, 255);
    t.match(executed.error, 'cannot exec in a paused container (use --ignore-paused to override)');
    t.match(sandbox.tare(['resume', id]), { status: 0, stdout: '', stderr: '' });
    t.equal(statusOf(id), 'running');
    t.equal(sandbox.tare(['resume', id]).error, `resume ${id}: container not paused`);
    await output.until('tick');
    sandbox.must(['kill', id, 'KILL']);
    t.equal(await exitOf(run), 128 + 9);
  });

  sandbox.test('a created container can be paused, and is created again afterwards', async (t) => {
    const id = sandbox.id('created');
    await detached(t, 'create', '-b', sandbox.bundle(['sleep', '1000']), id);
    sandbox.must(['pause', id]);
    t.equal(statusOf(id), 'paused');
    const error = `start ${id}: cannot start a container in the paused state; resume it first`;
    t.equal(sandbox.tare(['start', id]).error, error, 'start does not wait for a resume');
    sandbox.must(['resume', id]);
    t.equal(statusOf(id), 'created');
    sandbox.must(['pause', id]);
    writeFileSync(join(cgroupOf(id), 'cgroup.freeze'), '0');
    t.equal(statusOf(id), 'created', 'a stranger thawed it');
    sandbox.must(['start', id]);
    t.equal(statusOf(id), 'running');
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('a paused container can be killed, and be deleted by force', async (t) => {
    for (const shared of [false, true]) {
      const bundle = sandbox.bundle(['sh', '-c', 'sleep 1000 & exec sleep 1000'], (config) => {
        if (shared)
          config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
      });
      for (const end of [['kill', 'KILL'], ['delete']] as const) {
        const id = sandbox.id(`${end[0]}${shared ? '-shared' : ''}`);
        await detached(t, 'run', '-d', '-b', bundle, id);
        sandbox.must(['pause', id]);
        if (end[0] === 'kill') {
          sandbox.must(['kill', id, 'KILL']);
          while (statusOf(id) !== 'stopped');
        }
        sandbox.must(['delete', '--force', id]);
      }
    }
  });

  sandbox.test('what is not running is neither paused nor resumed', async (t) => {
    const id = sandbox.id('ended');
    sandbox.must(['run', '--keep', '-b', sandbox.bundle(['true']), id]);
    t.equal(sandbox.tare(['pause', id]).error, `pause ${id}: container not running`);
    t.equal(sandbox.tare(['resume', id]).error, `resume ${id}: container not paused`);
    sandbox.must(['delete', id]);
    for (const verb of ['pause', 'resume']) {
      const missing = sandbox.id('missing');
      t.match(sandbox.tare([verb, missing]), { status: 1, error: /does not exist/ });
    }
  });

  sandbox.test('kill ends what outlives its init', async (t) => {
    const id = sandbox.id('outlived');
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
    });
    await detached(t, 'run', '-d', '-b', bundle, id);
    await detached(t, 'exec', '-d', id, 'sleep', '1000');
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const list = join(cgroupOf(id), 'cgroup.procs');
    process.kill(pid, 'SIGKILL');
    while (statusOf(id) !== 'stopped');
    const lines = (): number => readFileSync(list, 'utf8').split('\n').length - 1;
    t.equal(lines(), 1);
    t.equal(sandbox.tare(['kill', id, 'TERM']).error, `kill ${id}: container not running`);
    sandbox.must(['kill', id, 'KILL']);
    while (lines() > 0);
    t.equal(sandbox.tare(['kill', id, 'KILL']).error, `kill ${id}: container not running`);
    sandbox.must(['delete', id]);
  });
}
