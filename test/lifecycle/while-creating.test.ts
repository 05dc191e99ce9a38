/** Calls on a container whose create() is still in progress. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Sandbox, cli, exitOf, skipReason, type Config } from '../support/tare.js';

/** Mounts that keep init busy for some time after the container's state is written. */
const manyMounts = (config: Config): void => {
  for (let i = 0; i < 400; i++) {
    config.mounts.push({ destination: `/tmp/${i}`, type: 'tmpfs', source: 'tmpfs' });
  }
};

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  /** Resolves when the file exists. */
  const appears = async (path: string): Promise<void> => {
    while (!existsSync(path)) await sleep(1);
  };

  /** Returns whether a hook sleeps for `seconds`, a number that no other hook uses. */
  const hangs = (seconds: string): boolean =>
    spawnSync('pgrep', ['-f', `sleep ${seconds}`]).status === 0;

  // Until pivot_root(2) the container's mount namespace shows the host's root.
  sandbox.test('exec joins nothing that is half made', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      manyMounts(config);
      config.root.readonly = false;
    });
    mkdirSync(join(bundle, 'rootfs/here'));
    const answers = new Set<string>();
    let created = 0;
    for (let round = 0; round < 5; round++) {
      const id = sandbox.id(`half${round}`);
      const create = sandbox.spawn(['create', '-b', bundle, id], { stdio: 'ignore' });
      const ended = exitOf(create).then((status) => (created += status === 0 ? 1 : 0));
      await appears(join(sandbox.root, id, 'state.json'));
      const look = 'test -d /here && test -d /tmp/399 && echo in the container || echo elsewhere';
      const { stdout, error } = sandbox.tare(['exec', id, 'sh', '-c', look]);
      answers.add(stdout + error);
      await ended;
      sandbox.must(['delete', '--force', id]);
    }
    t.strictSame([...answers], ['in the container\n']);
    t.equal(created, 5, 'each create succeeded');
  });

  sandbox.test('while hooks run: exec is refused, start and delete wait', async (t) => {
    const at = join(sandbox.directory, 'at-hook');
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      const script = `echo >${at}; while [ -e ${at} ]; do sleep 0.01; done`;
      const wait = { path: '/bin/busybox', args: ['sh', '-c', script] };
      config.hooks = { createRuntime: [wait], poststop: [{ path: '/bin/true' }] };
    });
    const id = sandbox.id('hooks');
    const create = sandbox.spawn(['create', '-b', bundle, id], { stdio: 'ignore' });
    await appears(at);
    const log = (name: string): string => join(sandbox.directory, `${name}.log`);
    const verbs = [
      ['start', id],
      ['delete', id],
    ] as const;
    const { error } = sandbox.tare(['exec', id, 'true']);
    t.equal(error, `exec in ${id}: cannot exec in a container that is being created`);
    const calls = verbs.map((args) =>
      sandbox.spawn([...args], { stdio: 'ignore', global: ['--log', log(args[0])] }),
    );
    // Both calls have read the state `creating`.
    await sleep(200);
    unlinkSync(at);
    t.equal(await exitOf(create), 0);
    const [started, deleted] = await Promise.all(calls.map(exitOf));
    // Either call may come first; the other one reports that, and names the container.
    const said =
      started === 0 ? readFileSync(log('delete'), 'utf8') : readFileSync(log('start'), 'utf8');
    t.equal((started ?? 0) + (deleted ?? 0), 1);
    t.match(
      said,
      started === 0
        ? `delete ${id}: cannot delete container ${id} that is not stopped: running; `
        : `start ${id}: container ${id} does not exist`,
    );
    sandbox.tare(['delete', '--force', id]);
  });

  sandbox.test('delete --force ends a hook that never ends', async (t) => {
    const kinds = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart'];
    for (const kind of kinds) {
      const id = sandbox.id(kind);
      const seconds = `1000.${process.pid}${kinds.indexOf(kind)}`;
      const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
        config.hooks = { [kind]: [{ path: '/bin/sleep', args: ['sleep', seconds] }] };
      });
      const log = join(sandbox.directory, `${kind}.log`);
      const global = ['--log', log];
      const run = sandbox.spawn(['run', '--detach', '-b', bundle, id], { stdio: 'ignore', global });
      const ended = exitOf(run);
      while (!hangs(seconds)) await sleep(1);
      const begin = performance.now();
      sandbox.must(['delete', '--force', id]);
      t.ok(performance.now() - begin < 20_000, `${kind}: it does not wait for the hook`);
      t.not(await ended, 0, 'run fails');
      t.match(readFileSync(log, 'utf8'), `error running ${kind} hook #0: `);
      t.notOk(hangs(seconds), 'the hook is gone');
      t.notOk(existsSync(join(sandbox.root, id)), 'nothing stays');
    }
  });

  sandbox.test('delete --force ends the hook of a create that was killed', async (t) => {
    const id = sandbox.id('orphan');
    const seconds = `1000.${process.pid}9`;
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      config.hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', seconds] }] };
    });
    const create = sandbox.spawn(['create', '-b', bundle, id], { stdio: 'ignore' });
    while (!hangs(seconds)) await sleep(1);
    create.kill('SIGKILL');
    await exitOf(create);
    t.ok(hangs(seconds), 'the hook lives on');
    sandbox.must(['delete', '--force', id]);
    while (hangs(seconds)) await sleep(1);
    t.notOk(existsSync(join(sandbox.root, id)), 'nothing stays');
  });

  // start holds the lock while its hooks run.
  sandbox.test('a hook of start may execute in the container', async (t) => {
    const id = sandbox.id('poststart');
    const out = join(sandbox.directory, 'out');
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      const exec = [cli, '--root', sandbox.root, 'exec', id, 'echo', 'here'].join(' ');
      config.hooks = {
        poststart: [{ path: '/bin/sh', args: ['sh', '-c', `${exec} >${out} 2>&1`] }],
      };
    });
    sandbox.must(['create', '-b', bundle, id]);
    sandbox.must(['start', id]);
    t.equal(readFileSync(out, 'utf8'), 'here\n');
    sandbox.must(['delete', '--force', id]);
  });
}
