/**
 * process.scheduler, process.ioPriority, process.execCPUAffinity: settings that need no real-time
 * privileges.
 */
import { cli, state, skipReason, type Config } from '../support/tare.js';
import { Inside, field, inNewUserNamespace, mapped } from '../support/inside.js';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const pidOf = (id: string): number => state(inside.must(['state', id]).stdout).pid;
  const said = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { encoding: 'utf8' });
  const nice = (pid: number): number =>
    Number(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')[16]);
  const processors = (pid: number | 'self'): string =>
    field(readFileSync(`/proc/${pid}/status`, 'utf8'), 'Cpus_allowed_list');

  /** Starts a process with `exec --detach` and returns its pid; `process` is its process.json. */
  const execDetached = (id: string, process: Record<string, unknown>): number => {
    const file = join(inside.directory, 'process.json');
    const pidFile = join(inside.directory, 'exec.pid');
    writeFileSync(file, JSON.stringify({ cwd: '/', args: ['/bin/sleep', '1000'], ...process }));
    inside.must(['exec', '--detach', '--pid-file', pidFile, '--process', file, id]);
    return Number(readFileSync(pidFile, 'utf8'));
  };

  for (const [what, edit] of [
    ['in the host’s user namespace', () => undefined],
    [
      'in a new user namespace',
      (config: Config, rootfs: string) => {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
      },
    ],
  ] as const) {
    inside.test(`policy, nice and I/O priority, ${what}`, async (t) => {
      const bundle = inside.script('sleep 1000', (config, rootfs) => {
        edit(config, rootfs);
        config.process['scheduler'] = { policy: 'SCHED_BATCH', nice: 7, priority: 0 };
        config.process['ioPriority'] = { class: 'IOPRIO_CLASS_BE', priority: 5 };
      });
      await inside.created(bundle, (id) => {
        const pid = pidOf(id);
        t.match(said('chrt', '-p', `${pid}`), /policy: SCHED_BATCH\n.*priority: 0\n/);
        t.equal(nice(pid), 7);
        t.equal(said('ionice', '-p', `${pid}`), 'best-effort: prio 5\n');
        inside.must(['start', id]);
        t.match(said('chrt', '-p', `${pid}`), 'SCHED_BATCH', 'the program has it');

        const like = execDetached(id, {});
        t.match(said('chrt', '-p', `${like}`), 'SCHED_BATCH', "the container's own by default");
        t.equal(nice(like), 7);
        t.equal(said('ionice', '-p', `${like}`), 'best-effort: prio 5\n');

        const other = execDetached(id, {
          scheduler: { policy: 'SCHED_IDLE', flags: ['SCHED_FLAG_RESET_ON_FORK'] },
          ioPriority: { class: 'IOPRIO_CLASS_IDLE' },
        });
        t.match(said('chrt', '-p', `${other}`), 'SCHED_IDLE|SCHED_RESET_ON_FORK');
        t.equal(said('ionice', '-p', `${other}`), 'idle\n');
      });
    });
  }

  inside.test('where the config says nothing, nothing is changed', async (t) => {
    await inside.created(inside.script('sleep 1000'), (id) => {
      t.match(said('chrt', '-p', `${pidOf(id)}`), 'SCHED_OTHER');
      t.equal(nice(pidOf(id)), 0);
    });
  });

  inside.test('what is wrong in a process.json is told with its place in that', async (t) => {
    await inside.created(inside.script('sleep 1000'), (id) => {
      const file = join(inside.directory, 'wrong.json');
      const refused = (process: Record<string, unknown>): string => {
        writeFileSync(file, JSON.stringify({ cwd: '/', args: ['/bin/true'], ...process }));
        const result = inside.tare(['exec', '--process', file, id]);
        t.equal(result.status, 255);
        return result.error;
      };
      t.equal(
        refused({ scheduler: { policy: 'SCHED_BATCH', nice: 20 } }),
        `exec in ${id}: ${file}: scheduler.nice: 20 is not in the range -20 to 19`,
      );
      t.match(
        refused({ ioPriority: { class: 'IOPRIO_CLASS_NONE' } }),
        `${file}: ioPriority.class: unknown I/O scheduling class "IOPRIO_CLASS_NONE"; use one of `,
      );
      t.match(
        refused({ execCPUAffinity: { initial: '0-' } }),
        `${file}: execCPUAffinity.initial: invalid list of processors "0-"; write it like "0-3,7"`,
      );
      t.match(
        refused({ execCPUAffinity: { initial: '8191' } }),
        `${file}: execCPUAffinity.initial: 8191: sched_setaffinity: EINVAL (Invalid argument); none of `,
      );
      t.match(
        refused({ execCPUAffinity: { final: '8191' } }),
        `${file}: execCPUAffinity.final: sched_setaffinity: EINVAL (Invalid argument); none of `,
      );
    });
  });

  const all = processors('self');
  const [first, second] = /^(\d+)[-,](\d+)/.exec(all)?.slice(1) ?? [];
  if (second === undefined) {
    t.test('execCPUAffinity', { skip: 'needs two processors' }, () => undefined);
  } else {
    const bound = (...args: string[]): string =>
      spawnSync('taskset', ['-c', first!, cli, '--root', inside.root, ...args], {
        encoding: 'utf8',
      }).stdout;

    inside.test("a container does not inherit the caller's processors", async (t) => {
      const show = 'grep Cpus_allowed_list /proc/self/status';
      t.equal(
        bound('run', '--bundle', inside.script(show), inside.fresh()),
        `Cpus_allowed_list:\t${all}\n`,
      );
      await inside.created(inside.script('sleep 1000'), (id) => {
        t.equal(bound('exec', id, 'sh', '-c', show), `Cpus_allowed_list:\t${all}\n`);
      });
    });

    inside.test('execCPUAffinity is of exec alone', async (t) => {
      const bundle = inside.script('sleep 1000', (config) => {
        config.process['execCPUAffinity'] = { initial: first, final: second };
      });
      await inside.created(bundle, (id) => {
        t.equal(processors(pidOf(id)), all, "not the container's own process");
        t.equal(processors(execDetached(id, {})), second, 'the final list of config.json');
        const processOf = (affinity: Record<string, string>): string =>
          processors(execDetached(id, { execCPUAffinity: affinity }));
        t.equal(processOf({ initial: second }), second, 'the initial one stays without another');
        t.equal(processOf({ final: ` ${first},, ` }), first);
        t.equal(processOf({ initial: first!, final: `${first},${second}` }), all);
        const told = spawnSync(cli, ['--root', inside.root, '--debug', 'exec', id, 'true'], {
          encoding: 'utf8',
        }).stderr;
        t.match(told, `]: affinity: 0x${(2 ** Number(first)).toString(16)}`, '--debug tells');
      });
      t.equal(processors('self'), all);
    });
  }
}
