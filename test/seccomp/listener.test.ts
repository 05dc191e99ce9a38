/**
 * The container's seccomp filter: when it is loaded, and the agent that it notifies
 * (config-linux.md "Seccomp").
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';

import { Output, exitOf, program, skipReason, type Config } from '../support/tare.js';
import { Inside, field, inNewUserNamespace, type Edit } from '../support/inside.js';

interface ProcessState {
  ociVersion: string;
  fds: string[];
  pid: number;
  metadata?: string;
  state: { id: string; status: string; pid: number; bundle: string; annotations?: object };
}

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  let sockets = 0;

  class Agent {
    readonly output: Output;
    private constructor(
      readonly socket: string,
      private readonly child: ChildProcess,
    ) {
      this.output = new Output(child.stdout);
    }
    /** Starts an agent that answers with `verdicts` ("mkdir=123") and lets other calls continue. */
    static async start(
      verdicts: string[],
      socket = join(inside.directory, `agent${sockets++}`),
    ): Promise<Agent> {
      const child = spawn(program('seccomp-agent'), [socket, ...verdicts], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const agent = new Agent(socket, child);
      await agent.output.until('ready\n');
      return agent;
    }
    async told(): Promise<ProcessState> {
      return JSON.parse(await this.output.until('\n')) as ProcessState;
    }
    async stop(): Promise<void> {
      this.child.stdin?.end();
      if (this.child.exitCode === null) await once(this.child, 'exit');
    }
  }

  const rule = (action: string, ...names: string[]) => ({ names, action });
  const asking =
    (socket: string, names: string[], more: object = {}, noNewPrivileges = false): Edit =>
    (config) => {
      config.process['noNewPrivileges'] = noNewPrivileges;
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        listenerPath: socket,
        architectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32', 'SCMP_ARCH_X86_64'],
        syscalls: [rule('SCMP_ACT_NOTIFY', ...names)],
        ...more,
      };
    };
  const run = (...args: string[]) => inside.tare(args);
  const mkdir = 'mkdir /tmp/x 2>&1; ls -d /tmp/x 2>&1; mkdir -p /proc/self/x; echo end';
  const refused = /^mkdir: can't create directory '\/tmp\/x': No medium found/;

  for (const noNewPrivileges of [false, true]) {
    inside.test(`run, noNewPrivileges ${String(noNewPrivileges)}`, async (t) => {
      const agent = await Agent.start(['mkdir=123']);
      const id = inside.fresh();
      const bundle = inside.script(mkdir, (config, rootfs) => {
        config.annotations = { 'org.example.key': 'value' };
        asking(
          agent.socket,
          ['mkdir'],
          { listenerMetadata: 'b"ar' },
          noNewPrivileges,
        )(config, rootfs);
      });
      const result = run('run', '-b', bundle, id);
      t.equal(result.status, 0, result.stderr);
      t.match(result.stdout, refused);
      const told = await agent.told();
      t.type(told.pid, 'number');
      t.strictSame(told, {
        ociVersion: '1.3.0',
        fds: ['seccompFd'],
        pid: told.pid,
        metadata: 'b"ar',
        state: {
          ociVersion: '1.3.0',
          id,
          pid: told.pid,
          status: 'creating',
          bundle,
          annotations: { 'org.example.key': 'value' },
        },
      });
      await agent.stop();
    });

    inside.test(`create, exec and start, noNewPrivileges ${String(noNewPrivileges)}`, async (t) => {
      const agent = await Agent.start(['mkdir=123']);
      const bundle = inside.script(
        'sleep 1000',
        asking(agent.socket, ['mkdir'], {}, noNewPrivileges),
      );
      await inside.created(bundle, async (id) => {
        const created = await agent.told();
        const state = JSON.parse(inside.must(['state', id]).stdout) as { pid: number };
        t.equal(created.pid, state.pid);
        t.notOk('metadata' in created);
        inside.must(['start', id]);
        const result = run('exec', id, 'sh', '-c', mkdir);
        t.equal(result.status, 0, result.stderr);
        t.match(result.stdout, refused);
        const executed = await agent.told();
        t.not(executed.pid, state.pid);
        t.match(executed.state, { id, status: 'running', pid: state.pid });
      });
      await agent.stop();
    });

    inside.test(
      `every call but write is asked about, noNewPrivileges ${String(noNewPrivileges)}`,
      async (t) => {
        const agent = await Agent.start(['getuid==4321']);
        const names =
          'execve open openat read close fcntl sendto recvfrom sendmsg recvmsg dup3 close_range mmap ' +
          'prctl chdir getcwd setgroups setresuid setresgid capset umask statx faccessat2 futex getuid ' +
          'rt_sigaction sched_yield exit exit_group prlimit64 brk stat newfstatat';
        const edit = asking(agent.socket, names.split(' '), {}, noNewPrivileges);
        for (const more of [() => undefined, inNewUserNamespace, timeNamespace, ordinaryUser]) {
          const bundle = inside.script('id -ru', (config, rootfs) => {
            edit(config, rootfs);
            more(config);
          });
          const result = run('run', '-b', bundle, inside.fresh());
          t.match(result, { status: 0, stdout: '4321\n' }, more.name);
          t.match(await agent.told(), { state: { status: 'creating' } });
        }
        await inside.created(inside.script('sleep 1000', edit), async (id) => {
          inside.must(['start', id]);
          await agent.told();
          t.match(run('exec', id, 'id', '-ru'), { status: 0, stdout: '4321\n' });
          t.match(await agent.told(), { state: { status: 'running' } });
        });
        await agent.stop();
      },
    );

    inside.test(
      `no call of init's own is filtered, noNewPrivileges ${String(noNewPrivileges)}`,
      async (t) => {
        const names =
          'openat fcntl sendto recvfrom sendmsg recvmsg dup3 dup2 close close_range mmap prctl chdir getcwd ' +
          'setgroups setresuid setresgid capset capget umask statx faccessat2 futex sched_yield clone3 ' +
          'prlimit64 rt_sigaction pipe2 wait4';
        const refusing = { syscalls: [rule('SCMP_ACT_ERRNO', ...names.split(' '), 'read')] };
        for (const more of [() => undefined, ordinaryUser]) {
          const result = inside.run('echo end', (config, rootfs) => {
            asking('', [], refusing, noNewPrivileges)(config, rootfs);
            more(config);
          });
          t.match(result, { status: 0, stdout: 'end\n', stderr: '' }, more.name);
        }
        // A filter with a listener is loaded before the start gate, so init waits at the gate under
        // it.
        const agent = await Agent.start(['getuid==4321']);
        const both = {
          syscalls: [
            rule('SCMP_ACT_ERRNO', ...names.split(' ')),
            rule('SCMP_ACT_NOTIFY', 'getuid'),
          ],
        };
        const bundle = inside.script('id -ru', asking(agent.socket, [], both, noNewPrivileges));
        t.match(run('run', '-b', bundle, inside.fresh()), { status: 0, stdout: '4321\n' });
        const id = inside.fresh();
        t.match(run('create', '-b', bundle, id), { status: 0, stderr: '' });
        t.match(run('start', id), { status: 0, stderr: '' });
        inside.must(['delete', '--force', id]);
        await agent.stop();
      },
    );
  }

  inside.test('the right to load a filter is not the program’s', async (t) => {
    const refusing = { syscalls: [rule('SCMP_ACT_ERRNO', 'mkdir')] };
    const status = (more: (config: Config) => void) => {
      const text = inside.stdoutOf('cat /proc/self/status', (config, rootfs) => {
        asking('', [], refusing)(config, rootfs);
        more(config);
      });
      return ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'Seccomp', 'NoNewPrivs'].map(
        (name) => field(text, name),
      );
    };
    const set = '0000000020000420'; // those of the default config: kill, net_bind_service, audit_write
    const none = '0000000000000000';
    t.strictSame(
      status(() => undefined),
      [none, set, set, set, none, '2', '0'],
    );
    t.strictSame(status(ordinaryUser), [none, none, none, set, none, '2', '0']);
    const ambient = (config: Config) => {
      ordinaryUser(config);
      const names = ['CAP_KILL'];
      config.process.capabilities = {
        ...config.process.capabilities,
        inheritable: names,
        ambient: names,
      };
    };
    const kill = '0000000000000020';
    t.strictSame(status(ambient), [kill, kill, kill, set, kill, '2', '0']);
  });

  inside.test('hooks of startContainer are under the filter, and ask too', async (t) => {
    const killed = inside.run('true', (config, rootfs) => {
      asking('', [], { syscalls: [rule('SCMP_ACT_KILL', 'mkdir')] })(config, rootfs);
      config.process['rlimits'] = [{ type: 'RLIMIT_CORE', soft: 0, hard: 0 }];
      config.hooks = {
        startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'mkdir /tmp/x'] }],
      };
    });
    t.equal(killed.status, 1);
    t.match(killed.error, /error running startContainer hook #0: .*bad system call/);

    const agent = await Agent.start(['mkdir=123']);
    const bundle = inside.script('cat /said', (config, rootfs) => {
      asking(agent.socket, ['mkdir'])(config, rootfs);
      const script = '{ mkdir /tmp/x; ls /proc/self/fd; } >/said 2>&1';
      config.hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', script] }] };
    });
    const result = run('run', '-b', bundle, inside.fresh());
    t.match(result.stdout, refused, result.stderr);
    t.match(result.stdout, /\n0\n1\n2\n3\n$/, 'no descriptor but stdio, and that of ls');
    const created = await agent.told();
    const hook = await agent.told();
    t.match(hook.state, { status: 'created', pid: created.pid });
    t.not(hook.pid, created.pid);
    await agent.stop();
  });

  inside.test('an agent that goes leaves ENOSYS', async (t) => {
    const agent = await Agent.start([]);
    const bundle = inside.script('read x; mkdir /tmp/x', asking(agent.socket, ['mkdir']));
    const child = inside.spawn(['run', '-b', bundle, inside.fresh()]);
    const said = new Output(child.stderr);
    await agent.told();
    await agent.stop();
    child.stdin?.end('\n');
    t.equal(await exitOf(child), 1);
    t.match(await said.all(), 'Function not implemented');
  });

  inside.test('sockets', async (t) => {
    const name = `@${inside.tag}`;
    const agent = await Agent.start(['mkdir=123'], name);
    const bundle = inside.script(mkdir, asking(name, ['mkdir']));
    t.match(run('run', '-b', bundle, inside.fresh()).stdout, refused, 'an abstract one');
    await agent.stop();
    const missing = (path: string) => inside.run('true', asking(path, ['mkdir']));
    const failed = 'linux.seccomp.listenerPath: failed to connect with seccomp agent';
    for (const path of [name, agentless()]) {
      const result = missing(path);
      t.equal(result.status, 1);
      t.match(result.error, `config.json: ${failed}: ${path}: connect: E`);
    }
    const ignored = inside.run(
      'mkdir /tmp/x && echo made',
      asking(agentless(), [], { syscalls: [], listenerMetadata: 'bar' }),
    );
    t.match(ignored, { status: 0, stdout: 'made\n' }, 'ignored where nothing is asked');
  });

  inside.test('flags, as the debug log tells them', async (t) => {
    const flagsOf = async (flags: string[] | undefined, ask: boolean): Promise<string> => {
      const agent = await Agent.start([]);
      const syscalls = [rule(ask ? 'SCMP_ACT_NOTIFY' : 'SCMP_ACT_ERRNO', 'mkdir')];
      const names = flags?.map((name) => `SECCOMP_FILTER_FLAG_${name}`);
      const bundle = inside.script('true', asking(agent.socket, [], { flags: names, syscalls }));
      const { stderr, status } = run('--debug', 'run', '-b', bundle, inside.fresh());
      t.equal(status, 0, stderr);
      await agent.stop();
      return /"seccomp filter flags: (\d+)"/.exec(stderr)?.[1] ?? stderr;
    };
    t.equal(await flagsOf(['WAIT_KILLABLE_RECV'], true), '40');
    t.equal(await flagsOf(['WAIT_KILLABLE_RECV'], false), '0', 'which means nothing alone');
    t.equal(await flagsOf(undefined, true), '12');
    t.equal(await flagsOf(['TSYNC', 'LOG', 'SPEC_ALLOW'], false), '6');
    t.equal(await flagsOf(['TSYNC', 'LOG'], true), '10');
  });
}

function timeNamespace(config: Config): void {
  config.linux.namespaces.push({ type: 'time' });
}

function ordinaryUser(config: Config): void {
  config.process.user = { uid: 1000, gid: 1000 };
}

function agentless(): string {
  return '/some-non-existing-listener-path.sock';
}
