/**
 * process.scheduler and process.ioPriority where they need privileges, and the processors of a
 * cpuset.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Sandbox, cli, exitOf, state, type Config } from '../support/tare.js';
import { inNewUserNamespace, mapped } from '../support/inside.js';

const sandbox = new Sandbox(t);

const policyOf = (pid: number): string =>
  execFileSync('chrt', ['-p', `${pid}`], { encoding: 'utf8' })
    .replaceAll(/^pid \d+'s current (scheduling )?/gm, '')
    .trimEnd();

interface Made {
  id: string;
  pid: number;
}

/** Runs `body` with a running container. */
async function running(
  name: string,
  edit: (config: Config, rootfs: string) => void,
  body: (made: Made) => Promise<void> | void,
): Promise<void> {
  const bundle = sandbox.bundle(['sleep', '1000']);
  sandbox.edit(bundle, (config) => edit(config, join(bundle, 'rootfs')));
  const id = sandbox.id(name);
  const run = sandbox.spawn(['run', '--detach', '--bundle', bundle, id], { stdio: 'inherit' });
  if ((await exitOf(run)) !== 0) throw new Error(`${name} does not run`);
  await body({ id, pid: state(sandbox.must(['state', id]).stdout).pid });
  sandbox.must(['delete', '--force', id]);
}

function refused(name: string, edit: (config: Config) => void): string {
  const bundle = sandbox.bundle(['true'], edit);
  const result = sandbox.tare(['create', '--bundle', bundle, sandbox.id(name)]);
  if (result.status === 0) throw new Error(`${name} is created`);
  return result.error;
}

const inUser = (config: Config, rootfs: string): void => {
  inNewUserNamespace(config);
  chownSync(rootfs, mapped.first, mapped.first);
};
const realTime = [
  ['SCHED_FIFO', 99],
  ['SCHED_RR', 1],
] as const;

for (const [policy, priority] of realTime) {
  sandbox.test(`${policy}, and for a container with a user namespace too`, async (t) => {
    for (const edit of [() => undefined, inUser]) {
      await running(
        policy,
        (config, rootfs) => {
          edit(config, rootfs);
          config.process['scheduler'] = { policy, priority };
          config.process['ioPriority'] = { class: 'IOPRIO_CLASS_RT', priority: 2 };
        },
        ({ pid }) => {
          t.equal(policyOf(pid), `policy: ${policy}\npriority: ${priority}`);
          const io = execFileSync('ionice', ['-p', `${pid}`], { encoding: 'utf8' });
          t.equal(io, 'realtime: prio 2\n');
        },
      );
    }
  });
}

sandbox.test('SCHED_DEADLINE in create, and in exec from process.json', async (t) => {
  const deadline = {
    policy: 'SCHED_DEADLINE',
    flags: ['SCHED_FLAG_RESET_ON_FORK'],
    nice: 19,
    runtime: 42_000,
    deadline: 100_000,
    period: 1_000_000,
  };
  const shown =
    /policy: SCHED_DEADLINE\|SCHED_RESET_ON_FORK\n.*\n.*parameters: 42000\/100000\/1000000/;
  await running(
    'deadline',
    (config) => (config.process['scheduler'] = deadline),
    ({ id, pid }) => {
      t.match(policyOf(pid), shown);
      const file = join(sandbox.directory, 'process.json');
      const pidFile = join(sandbox.directory, 'exec.pid');
      const process = { cwd: '/', args: ['/bin/sleep', '1000'], scheduler: deadline };
      writeFileSync(file, JSON.stringify(process));
      sandbox.must(['exec', '--detach', '--pid-file', pidFile, '--process', file, id]);
      t.match(policyOf(Number(readFileSync(pidFile, 'utf8'))), shown);
    },
  );
});

sandbox.test('SCHED_DEADLINE needs every processor', async (t) => {
  const scheduler = {
    policy: 'SCHED_DEADLINE',
    runtime: 42_000,
    deadline: 1_000_000,
    period: 1_000_000,
  };
  t.match(
    refused('cpuset', (config) => {
      config.process['scheduler'] = scheduler;
      config.linux['resources'] = { cpu: { cpus: '0' } };
    }),
    "config.json: process.scheduler: sched_setattr: EPERM (Operation not permitted); process scheduler can't be used together with AllowedCPUs: ",
  );
  // The kernel reserves 5 % of the time of the two processors, so the second container does not
  // fit.
  const whole = (config: Config): void => {
    config.process['scheduler'] = { ...scheduler, runtime: 1_000_000 };
  };
  await running('first', whole, () => {
    t.match(
      refused('second', whole),
      /process\.scheduler: sched_setattr: EBUSY .*; the processors do not have enough time left/,
    );
  });
  t.match(
    refused('period', (config) => {
      config.process['scheduler'] = { ...scheduler, period: 1_000_000_000_000 };
    }),
    /process\.scheduler: sched_setattr: EINVAL .*kernel\.sched_deadline_period_min_us/,
  );
});

sandbox.test('without CAP_SYS_NICE, the right that lacks is named', async (t) => {
  await running(
    'plain',
    () => undefined,
    ({ id }) => {
      const exec = (process: Record<string, unknown>): string => {
        const file = join(sandbox.directory, 'process.json');
        writeFileSync(file, JSON.stringify({ cwd: '/', args: ['/bin/true'], ...process }));
        const done = spawnSync(
          'setpriv',
          [
            ...['--bounding-set', '-sys_nice', '--inh-caps', '-sys_nice', '--', cli],
            ...['--root', sandbox.root, 'exec', '--process', file, id],
          ],
          { encoding: 'utf8' },
        );
        t.equal(done.status, 255);
        return done.stderr;
      };
      t.match(
        exec({ scheduler: { policy: 'SCHED_FIFO', priority: 1 } }),
        'scheduler: sched_setattr: EPERM (Operation not permitted); SCHED_FIFO needs CAP_SYS_NICE in the host',
      );
      t.match(
        exec({ scheduler: { policy: 'SCHED_OTHER', nice: -5 } }),
        /scheduler: sched_setattr: E(PERM|ACCES) .*; a nice value below the caller's.*need CAP_SYS_NICE/,
      );
    },
  );
});

sandbox.test("processors are the cpuset's, not the caller's, and execCPUAffinity's", async (t) => {
  const show = ['grep', 'Cpus_allowed_list', '/proc/self/status'];
  const bound = (...args: string[]): string =>
    spawnSync('taskset', ['-c', '0', cli, '--root', sandbox.root, ...args], { encoding: 'utf8' })
      .stdout;
  for (const [cpus, seen] of [
    ['0-1', '0-1'],
    ['1', '1'],
  ] as const) {
    const edit = (config: Config): void => {
      config.linux['resources'] = { cpu: { cpus, mems: '0' } };
    };
    const bundle = sandbox.bundle(show, edit);
    t.equal(bound('run', '-b', bundle, sandbox.id('bound')), `Cpus_allowed_list:\t${seen}\n`, cpus);
    await running('cpuset', edit, ({ id }) => {
      t.equal(bound('exec', id, ...show), `Cpus_allowed_list:\t${seen}\n`, `exec: ${cpus}`);
    });
  }
  await running(
    'final',
    (config) => {
      config.linux['resources'] = { cpu: { cpus: '1', mems: '0' } };
      config.process['execCPUAffinity'] = { initial: '0', final: '0' };
    },
    ({ id }) => {
      t.match(
        sandbox.tare(['exec', id, ...show]).error,
        'config.json: process.execCPUAffinity.final: sched_setaffinity: EINVAL (Invalid argument); none of these processors is online and in the container',
      );
    },
  );
});
