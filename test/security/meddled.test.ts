/**
 * A container interferes with processes that are executed in it (`meddler`, test/programs): what
 * its host accepts from it, and what is left after delete.
 */
import { Container } from '../../lib/index.js';
import { Output, exitOf, program, skipReason, type Config } from '../support/tare.js';
import { Inside, field } from '../support/inside.js';
import { bundleOf } from './spied.js';
import { spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  /** Runs `body` with a container of this process whose program is the meddler. */
  const meddled = async (
    t: Test,
    args: string[],
    given: string[],
    body: (container: Container, said: () => number) => Promise<void>,
  ): Promise<void> => {
    const edit = (config: Config): void => {
      const sets = ['bounding', 'effective', 'permitted'];
      config.process.capabilities = Object.fromEntries(sets.map((set) => [set, given]));
    };
    const bundle = bundleOf(inside, 'meddler', edit, args);
    const path = join(inside.directory, `said-${args.join('-')}`);
    const out = openSync(path, 'w');
    const container = await Container.create(inside.fresh(), {
      bundle,
      root: inside.root,
      stdio: ['ignore', out, 'inherit'],
    });
    closeSync(out);
    await container.start();
    await body(container, () => readFileSync(path, 'utf8').split('said').length - 1);
    const late = sleep(20_000, 'late', { ref: false });
    t.not(await Promise.race([container.delete({ force: true }), late]), 'late', 'it is deleted');
    t.strictSame(children(), [], 'no process of it is left');
  };

  /** The children of this process. */
  const children = (): string[] =>
    readdirSync('/proc/self/task').flatMap((thread) =>
      readFileSync(`/proc/self/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter((pid) => pid !== '')
        .map((pid) => `${pid}: ${readFileSync(`/proc/${pid}/stat`, 'utf8')}`),
    );

  // Weakened: the host knows of a forked child only by that process's own message. Processes
  // that are killed before it stay zombies of this process, the container's init waits for them,
  // and delete waits for init.
  inside.test('a child that is killed as it enters is reaped', async (t) => {
    await meddled(t, ['kill'], [], async (container) => {
      let failed = 0;
      for (let i = 0; i < 300; i++) {
        try {
          await (await container.exec({ args: ['true'] })).wait();
        } catch (error) {
          failed++;
          t.match(error, {
            code: 'ERR_TARE_SYSTEM',
            message: /init (?:was killed|closed its channel)/,
          });
        }
      }
      t.comment(`${failed} of 300 came to nothing`);
      t.ok(failed > 0, 'they were killed in time');
    });
  });

  for (const [whose, what] of [
    ['self', 'nothing'],
    ['self', 'executing'],
    ['self', 'forked'],
    ['self', 'console'],
    ['them', 'nothing'],
    ['them', 'forked'],
    ['them', 'console'],
  ] as const) {
    // Weakened: the sender's pid is taken for that of the forked child. The process is then the
    // container's init, and each message leaks two descriptors.
    inside.test(`what others say as ${whose}: ${what}`, async (t) => {
      const given = ['CAP_SYS_PTRACE', 'CAP_SYS_ADMIN'];
      await meddled(t, [whose, what], given, async (container, said) => {
        const { pid } = await container.state();
        const refused = whose === 'them' && what !== 'nothing';
        // Without the pidfds of children that were killed while they were traced: this process can
        // reap them only after the tracer, which the container's programs may delay.
        const open = (): number =>
          readdirSync('/proc/self/fd').filter((fd) => {
            try {
              return readlinkSync(`/proc/self/fd/${fd}`) !== 'anon_inode:[pidfd]';
            } catch {
              return false; // the descriptor of the directory itself
            }
          }).length;
        let fds = 0;
        let failed = 0;
        for (let i = 0; i < 1500 && said() < 20; i++) {
          try {
            const process = await container.exec({ args: ['true'] });
            t.not(process.pid, pid, 'it is not the sender');
            t.equal(process.terminal, null);
            t.same(await process.wait(), { exitCode: 0, signal: null });
          } catch (error) {
            failed++;
            t.match(error, { message: /protocol error: unexpected message from init/ });
          }
          if (i === 0) fds = open();
        }
        t.ok(said() >= 20, 'it spoke');
        t.equal(failed > 0, refused, `${failed} were refused`);
        for (let i = 0; i < 250 && open() > fds + 2; i++) await sleep(20);
        t.ok(open() <= fds + 2, 'no descriptor stays');
        t.match(await container.state(), { status: 'running', pid });
      });
    });
  }

  // Weakened: run_container_hooks() without InitProcess::limit(). start waits forever, and delete
  // waits for start.
  inside.test('a hook that is stopped as it enters is over when its time is', async (t) => {
    const bundle = bundleOf(inside, 'meddler', (config) => {
      config.process.args = ['sleep', '1000'];
      config.process.capabilities = {};
      const hook = { path: '/bin/busybox', args: ['true'], timeout: 1 };
      config.hooks = { startContainer: Array.from({ length: 20 }, () => hook) };
    });
    for (let i = 0; i < 5; i++) {
      const id = inside.fresh();
      inside.must(['create', '-b', bundle, id]);
      const stopper = inside.spawn(['exec', id, '/bin/meddler', 'stop'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Output(stopper.stdout).until('begun\n');
      const started = inside.tare(['start', id], { timeout: 15_000 });
      t.match(started.error, 'ran longer than its timeout of 1 s and was killed');
      await exitOf(stopper);
    }
  });

  /**
   * Deletes a container while a process to be executed waits in its cgroup for a host that is
   * stopped.
   */
  const held = async (t: Test, more: (id: string) => void): Promise<void> => {
    const id = inside.fresh();
    const bundle = inside.script('sleep 1000');
    inside.must(['create', '-b', bundle, id]);
    inside.must(['start', id]);
    const host = spawn(program('exec-stopped'), [inside.root, id], { stdio: 'inherit' });
    const state = (): string => field(readFileSync(`/proc/${host.pid}/status`, 'utf8'), 'State');
    for (let i = 0; i < 500 && !state().startsWith('T'); i++) await sleep(20);
    t.match(state(), /^T/);
    more(id);
    const begin = Date.now();
    inside.must(['delete', '--force', id]);
    t.ok(Date.now() - begin < 5000, 'no process is waited for');
    host.kill('SIGKILL');
    await exitOf(host);
  };

  // Weakened: destroy() calls rmdir(2) alone. delete takes 10 s and fails.
  inside.test('delete ends a process that is about to be executed', async (t) => {
    await held(t, () => undefined);
    await held(t, (id) => inside.must(['pause', id]));
  });
}
