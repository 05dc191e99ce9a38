/** Hooks, and what is left of a container whose creation fails, is interrupted, or is deleted meanwhile. */
import { Output, cli, exitOf, skipReason, type Config } from '../support/tare.js';
import { Inside, type Edit } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const script = (text: string) => ({ path: '/bin/busybox', args: ['sh', '-c', text] });
  const lines = (path: string): string[] =>
    existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];

  inside.test('every kind in its order and place, with the state of that time', async (t) => {
    const log = join(inside.directory, 'order');
    const say = (kind: string, host: boolean) =>
      script(
        `echo ${kind} $(cat | busybox sed 's/.*"pid":\\([0-9]*\\).*"status":"\\([a-z]*\\)".*/\\1 \\2/') >>${host ? log : '/order'}`,
      );
    const bundle = inside.script('sleep 1000', (config, rootfs) => {
      writeFileSync(join(rootfs, 'order'), '');
      config.hooks = {
        prestart: [say('prestart', true)],
        createRuntime: [say('createRuntime', true), say('second', true)],
        createContainer: [say('createContainer', true)],
        startContainer: [say('startContainer', false)],
        poststart: [say('poststart', true)],
        poststop: [script(`cat >>${log}`)],
      };
    });
    const id = inside.fresh();
    inside.must(['create', '-b', bundle, id]);
    const { pid } = JSON.parse(inside.must(['state', id]).stdout) as { pid: number };
    inside.must(['start', id]);
    inside.must(['delete', '--force', id]);
    const seen = lines(log);
    t.strictSame(seen.slice(0, 5), [
      `prestart ${pid} creating`,
      `createRuntime ${pid} creating`,
      `second ${pid} creating`,
      'createContainer 1 creating',
      `poststart ${pid} running`,
    ]);
    t.match(JSON.parse(seen.slice(5).join('')), { id, status: 'stopped', bundle });
    t.strictSame(lines(join(bundle, 'rootfs/order')), ['startContainer 1 created']);
  });

  inside.test('a poststart hook of a short program is told its pid', async (t) => {
    const log = join(inside.directory, 'short');
    const bundle = inside.script('true', (config) => {
      // The program ends while the first hook runs.
      config.hooks = { poststart: [script('sleep 0.2'), script(`cat >>${log}`)] };
    });
    const pids = join(inside.directory, 'short-pid');
    inside.must(['run', '--pid-file', pids, '-b', bundle, inside.fresh()]);
    const pid = Number(readFileSync(pids, 'utf8'));
    t.match(JSON.parse(readFileSync(log, 'utf8')), { pid, status: 'running' });
  });

  inside.test('createContainer hooks work in the root, and what they mount is seen', async (t) => {
    const file = join(inside.directory, 'mounted');
    writeFileSync(file, 'mounted by the hook\n');
    const users: Edit[] = [
      () => undefined,
      (config) => {
        config.linux.namespaces.push({ type: 'user' });
        const all = [{ containerID: 0, hostID: 0, size: 65536 }];
        Object.assign(config.linux, { uidMappings: all, gidMappings: all });
      },
    ];
    for (const edit of users) {
      const bundle = inside.script('cat /lib/target', (config, rootfs) => {
        edit(config, rootfs);
        mkdirSync(join(rootfs, 'lib'), { recursive: true });
        config.hooks = {
          createContainer: [script(`touch ./lib/target && mount --bind ${file} ./lib/target`)],
        };
      });
      t.equal(inside.must(['run', '-b', bundle, inside.fresh()]).stdout, 'mounted by the hook\n');
      t.equal(readFileSync(join(bundle, 'rootfs/lib/target'), 'utf8'), '', 'only in the container');
    }
  });

  inside.test(
    'the environment: what the hook says, else that of the caller, or of the container',
    async (t) => {
      const out = join(inside.directory, 'environment');
      const bundle = inside.script('true', (config, rootfs) => {
        writeFileSync(join(rootfs, 'environment'), '');
        config.process.env.push('OF=container');
        config.hooks = {
          createRuntime: [
            script(`echo $OF >>${out}`),
            { ...script(`echo $OF >>${out}`), env: ['OF=hook'] },
          ],
          startContainer: [
            script('echo $OF >>/environment'),
            { ...script('echo $OF >>/environment'), env: ['OF=hook'] },
          ],
        };
      });
      const id = inside.fresh();
      inside.must(['create', '-b', bundle, id], { env: { OF: 'caller' } });
      inside.must(['start', id]);
      inside.must(['delete', '--force', id]);
      t.strictSame(lines(out), ['caller', 'hook']);
      t.strictSame(lines(join(bundle, 'rootfs/environment')), ['container', 'hook']);
    },
  );

  inside.test('an empty environment is one; HOME comes with that of the container', async (t) => {
    const out = join(inside.directory, 'empty-environment');
    const bundle = inside.script('true', (config, rootfs) => {
      writeFileSync(join(rootfs, 'environment'), '');
      config.hooks = {
        createRuntime: [{ ...script(`echo [$OF] >>${out}`), env: [] }],
        startContainer: [
          script('echo [$HOME] >>/environment'),
          { ...script('echo [$HOME] >>/environment'), env: [] },
        ],
      };
    });
    inside.must(['run', '-b', bundle, inside.fresh()], { env: { OF: 'caller' } });
    t.strictSame(lines(out), ['[]']);
    t.strictSame(lines(join(bundle, 'rootfs/environment')), ['[/]', '[]']);
  });

  inside.test('hooks of create see the container: state tells it', async (t) => {
    const log = join(inside.directory, 'asked');
    const ask = script(
      `${cli} --root ${inside.root} state $(sed 's/.*"id":"//; s/".*//') >>${log}`,
    );
    const kinds = ['prestart', 'createRuntime'];
    const bundle = inside.script('true', (config) => {
      config.hooks = Object.fromEntries(kinds.map((kind) => [kind, [ask]]));
    });
    const id = inside.fresh();
    inside.must(['create', '-b', bundle, id]);
    const { pid } = JSON.parse(inside.must(['state', id]).stdout) as { pid: number };
    inside.must(['delete', '--force', id]);
    const told = JSON.parse(
      `[${readFileSync(log, 'utf8').replaceAll('}\n{', '},{')}]`,
    ) as unknown[];
    t.match(told, [
      { id, pid, status: 'creating' },
      { id, pid, status: 'creating' },
    ]);
  });

  inside.test('the pid for a hook in a pid namespace that was joined', async (t) => {
    await inside.created(inside.script('sleep 1000'), async (first) => {
      inside.must(['start', first]);
      const { pid } = JSON.parse(inside.must(['state', first]).stdout) as { pid: number };
      const bundle = inside.script('echo $$', (config) => {
        for (const entry of config.linux.namespaces) {
          if (entry.type === 'pid') entry.path = `/proc/${pid}/ns/pid`;
        }
        config.hooks = { startContainer: [script('cat >/state')] };
      });
      const { stdout } = inside.must(['run', '-b', bundle, inside.fresh()]);
      const state = JSON.parse(readFileSync(join(bundle, 'rootfs/state'), 'utf8')) as {
        pid: number;
      };
      t.equal(`${state.pid}\n`, stdout);
      t.not(state.pid, 1);
    });
  });

  inside.test(
    'a failed hook of create ends the container: it is destroyed, then poststop runs',
    async (t) => {
      for (const kind of ['prestart', 'createRuntime', 'createContainer']) {
        const log = join(inside.directory, `failed-${kind}`);
        const id = inside.fresh();
        const bundle = inside.script('true', (config) => {
          config.hooks = {
            [kind]: [script('echo said; exit 3'), script(`echo second >>${log}`)],
            poststop: [
              script('exit 1'),
              script(
                `cat >/dev/null; echo poststop $(ls ${inside.root} | grep -c ${id}$) >>${log}`,
              ),
            ],
          };
        });
        const result = inside.tare(['create', '-b', bundle, id]);
        t.equal(result.status, 1);
        t.match(
          result.error,
          `hooks.${kind}[0]: error running ${kind} hook #0: /bin/busybox: exited with status 3; its last output: said`,
        );
        t.strictSame(lines(log), ['poststop 0'], 'after the state was removed');
        t.match(
          result.stderr,
          /level=warning msg=.*hooks\.poststop\[0\]/,
          'its failure is a warning',
        );
      }
      const early = join(inside.directory, 'early');
      const bundle = inside.script('true', (config) => {
        config.mounts.push({ destination: '/x', type: 'nofs', source: 'x' });
        config.hooks = { createRuntime: [script('true')], poststop: [script(`echo >${early}`)] };
      });
      t.equal(inside.tare(['create', '-b', bundle, inside.fresh()]).status, 1);
      t.notOk(existsSync(early), 'no hook had run');
    },
  );

  inside.test('a failed hook of start destroys the container, and poststop runs', async (t) => {
    for (const kind of ['startContainer', 'poststart']) {
      const log = join(inside.directory, `failed-${kind}`);
      const bundle = inside.script('echo program; sleep 1000', (config) => {
        config.hooks = { [kind]: [script('exit 3')], poststop: [script(`echo poststop >>${log}`)] };
      });
      const id = inside.fresh();
      inside.must(['create', '-b', bundle, id]);
      t.match(
        inside.tare(['start', id]).error,
        `hooks.${kind}[0]: error running ${kind} hook #0: /bin/busybox: exited with status 3`,
      );
      t.match(inside.tare(['state', id]).error, 'does not exist');
      t.strictSame(lines(log), ['poststop']);
      const other = inside.fresh();
      const run = inside.tare(['run', '-b', bundle, other]);
      t.equal(run.status, 1);
      t.match(run.error, new RegExp(`^start ${other}: config\\.json: hooks`), 'one frame');
      t.strictSame(lines(log), ['poststop', 'poststop'], 'run deletes it itself');
    }
  });

  // With SCHED_FLAG_RESET_ON_FORK, exec sets the scheduling after the process has appeared. The
  // plan of a hook must not wait for that.
  inside.test('a hook in the container is not scheduled as its process', async (t) => {
    const bundle = inside.script('true', (config) => {
      config.process['scheduler'] = {
        policy: 'SCHED_BATCH',
        nice: 7,
        flags: ['SCHED_FLAG_RESET_ON_FORK'],
      };
      config.hooks = { startContainer: [script('true')] };
    });
    await inside.created(bundle, (id) => {
      t.equal(inside.tare(['start', id], { timeout: 10_000 }).status, 0);
    });
  });

  /**
   * Makes a bundle whose create blocks in a hook: create() returns when the hook runs, and
   * release() lets the hook continue.
   */
  const held = (name: string, more: Edit = () => undefined) => {
    const fifo = join(inside.directory, `${name}.fifo`);
    execFileSync('mkfifo', [fifo]);
    const bundle = inside.script('sleep 1000', (config: Config, rootfs) => {
      config.hooks = { createRuntime: [script(`echo >${fifo}; read x <${fifo}`)] };
      more(config, rootfs);
    });
    const create = (id: string) => {
      const child = inside.spawn(['create', '-b', bundle, id], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      readFileSync(fifo); // waits for the hook
      return child;
    };
    // open(2) blocks until the hook reads.
    const release = () => writeFileSync(fifo, '\n');
    return { create, release };
  };

  inside.test(
    'delete --force while create is at work waits for it, and leaves nothing',
    async (t) => {
      const { create, release } = held('meanwhile');
      const id = inside.fresh();
      const creating = create(id);
      const deleting = inside.spawn(['delete', '--force', id], { stdio: 'ignore' });
      const other = inside.tare(['create', '-b', inside.script('true'), id]);
      t.match(other.error, `container with given ID already exists: ${id}`);
      t.match(JSON.parse(inside.must(['state', id]).stdout), { id, status: 'creating' });
      t.match(inside.must(['list']).stdout, new RegExp(`${id} +\\d+ +creating`));
      t.match(inside.tare(['exec', id, 'true']).error, 'cannot exec in a container that is being');
      const starting = inside.spawn(['start', id], { stdio: 'ignore' });
      release();
      t.strictSame(await Promise.all([exitOf(creating), exitOf(deleting)]), [0, 0]);
      // start may run before or after delete, so its status is not checked.
      await exitOf(starting);
      t.match(inside.tare(['state', id]).error, 'does not exist');
    },
  );

  inside.test('delete --force removes what a killed create has left, its cgroup too', async (t) => {
    const { create, release } = held('killed');
    const id = inside.fresh();
    const creating = create(id);
    creating.kill('SIGKILL');
    await exitOf(creating);
    release(); // the hook is a process of the host, and outlives create
    t.ok(
      inside.leftovers().some((line) => line.startsWith('state: ')),
      'something is left',
    );
    t.ok(inside.leftovers().some((line) => line.startsWith('cgroup: ')));
    inside.must(['delete', '--force', id]);
    t.strictSame(
      readdirSync(inside.root).filter((name) => !name.startsWith('@')),
      [],
    );
    inside.must(['delete', '--force', id]);
    inside.tare(['run', '-b', inside.script('true'), id]);
  });

  inside.test('two deletes at once: one does it, the other finds it done', async (t) => {
    const id = inside.fresh();
    inside.must(['create', '-b', inside.script('sleep 1000'), id]);
    const deletes = Array.from({ length: 6 }, () =>
      inside.spawn(['delete', '--force', id], { stdio: ['ignore', 'ignore', 'pipe'] }),
    );
    const said = deletes.map((child) => new Output(child.stderr));
    t.strictSame(await Promise.all(deletes.map((child) => exitOf(child))), [0, 0, 0, 0, 0, 0]);
    t.equal(said.map(({ text }) => text).join(''), '');
  });

  inside.test('a damaged container does not hide the others, and can be removed', async (t) => {
    const [good, bad] = [inside.fresh(), inside.fresh()];
    for (const id of [good, bad]) inside.must(['create', '-b', inside.script('sleep 1000'), id]);
    writeFileSync(join(inside.root, bad, 'state.json'), '{');
    const list = inside.tare(['list', '--quiet']);
    t.match(list, { status: 0, stdout: `${good}\n` });
    t.match(list.stderr, /level=warning msg=.*state\.json/);
    inside.must(['delete', '--force', bad]);
    inside.must(['delete', '--force', good]);
  });
}
