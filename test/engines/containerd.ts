/** containerd, driven by ctr(8). */
import assert from 'node:assert/strict';
import { quote } from '../machine/vm.js';
import type { Case, Engine, Runtime } from './case.js';
import { imageArchive, type Guest, type Output } from './guest.js';
import { imageName } from './image.js';

const config = `version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
`;
const state = '/run/runtime';

class Containerd {
  constructor(
    readonly guest: Guest,
    readonly runtime: Runtime,
  ) {}

  async start(): Promise<void> {
    await this.guest.ok(
      `mkdir -p ${state} /etc/containerd; printf %s ${quote(config)} >/etc/containerd/config.toml`,
    );
    await this.guest.daemon('containerd', 'exec containerd', 'ctr version');
    await this.guest.ok(`ctr image import ${quote(imageArchive)}`);
  }

  /** The command line of `ctr run`. */
  runLine(flags: string, id: string, command: string): string {
    const runtime = `--runc-binary ${this.runtime.path} --runc-root ${state}`;
    const cgroup =
      this.runtime.driver === 'systemd'
        ? `--runc-systemd-cgroup --cgroup machine.slice:ctr:${id}`
        : '';
    return `ctr run ${runtime} ${cgroup} ${flags} ${imageName} ${id} ${command}`;
  }

  run(flags: string, id: string, command: string): Promise<Output> {
    return this.guest.run(this.runLine(flags, id, command));
  }

  /**
   * Starts a container that sleeps until it is killed; returns the pid of its process in the guest.
   */
  async sleeper(id: string, flags = ''): Promise<number> {
    (await this.run(`--detach ${flags}`, id, 'sleep 1000')).expect({});
    const tasks = await this.guest.run('ctr task ls');
    tasks.expect({ stdout: new RegExp(`^${id} +\\d+ +RUNNING`, 'm') });
    return Number(new RegExp(`^${id} +(\\d+)`, 'm').exec(tasks.stdout)?.[1]);
  }

  /** Deletes a running task and its container. */
  async remove(id: string): Promise<void> {
    await this.guest.ok(`ctr task delete --force ${id} && ctr container delete ${id}`);
  }

  /** Runs a command, and kills it after it has printed `ready`. */
  killed(id: string, flags: string, command: string): Promise<Output> {
    return this.guest.run(
      `{ ${this.runLine('--rm', id, command)}; echo $? >/run/${id}.status; } >/run/${id} &
       until grep -q ready /run/${id}; do sleep 0.1; done
       ctr task kill ${flags} ${id}; wait
       cat /run/${id}; exit $(cat /run/${id}.status)`,
    );
  }

  async nothingStays(...ids: string[]): Promise<void> {
    for (const id of ids) await this.guest.nothingStays(id, state);
  }
}

const shell = (script: string): string => `sh -c ${quote(script)}`;

export const containerd: Engine = {
  name: 'containerd',
  peers: ['runc'],
  memory: 2048,
  version: 'containerd --version',
  async start(guest, runtime) {
    const engine = new Containerd(guest, runtime);
    await engine.start();
    return [...streams(engine), ...lives(engine), ...resources(engine), ...privileges(engine)];
  },
};

function streams(engine: Containerd): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'run',
      basic: true,
      async run() {
        const script = 'echo out; echo err >&2; tty; pwd; echo $PATH; exit 42';
        const ended = await engine.run('--rm', 'plain', shell(script));
        ended.expect({ status: 42, stdout: 'out\nnot a tty\n/\n/bin\n', stderr: 'err\n' });
        await engine.nothingStays('plain');
      },
    },
    {
      name: 'standard input',
      async run() {
        const line = engine.runLine('--rm', 'input', 'head -n 2');
        const ended = await guest.run(`printf 'one\\ntwo\\nthree\\n' | ${line}`);
        ended.expect({ stdout: 'one\ntwo\n' });
      },
    },
    {
      name: 'tty',
      basic: true,
      async run() {
        const script =
          'tty; test -t 0 && test -t 1 && test -t 2 && echo all; read line; echo "got $line"; exit 3';
        const line = engine.runLine('--rm --tty', 'terminal', shell(script));
        const ended = await guest.onTerminal(line, 'typed\n');
        ended.expect({
          status: 3,
          stdout: /^\/dev\/pts\/0\r+\nall\r+\n[^]*got typed\r+\n$/m,
        });
        await engine.nothingStays('terminal');
      },
    },
    {
      name: 'exec',
      basic: true,
      async run() {
        await engine.sleeper('host');
        const exec = (id: string, command: string, flags = '') =>
          `ctr task exec --exec-id ${id} ${flags} host ${command}`;
        const plain = await guest.run(
          exec('plain', shell('tr "\\0" " " </proc/1/cmdline; tty; exit 5')),
        );
        plain.expect({ status: 5, stdout: 'sleep 1000 not a tty\n' });
        const input = await guest.run(`echo line | ${exec('input', 'head -n 1')}`);
        input.expect({ stdout: 'line\n' });
        const terminal = await guest.onTerminal(exec('terminal', shell('tty; exit 6'), '--tty'));
        terminal.expect({ status: 6, stdout: /^\/dev\/pts\/\d+\r+\n/ });
        const absent = await guest.run(exec('absent', 'nosuchcommand'));
        absent.expect({
          status: 1,
          stderr: /exec: "nosuchcommand": executable file not found in \$PATH/,
        });
        (await guest.run(exec('after', 'true'))).expect({});
        await engine.remove('host');
        await engine.nothingStays('host');
      },
    },
  ];
}

function lives(engine: Containerd): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'pause, resume',
      basic: true,
      async run() {
        const pid = await engine.sleeper('stopped');
        const status = async () => /stopped +\d+ +(\w+)/.exec(await guest.ok('ctr task ls'))?.[1];
        await guest.ok('ctr task pause stopped');
        assert.equal(await status(), 'PAUSED');
        await guest.ok(`grep -qx 1 ${await guest.cgroupOf(pid)}/cgroup.freeze`);
        await guest.ok('ctr task resume stopped');
        assert.equal(await status(), 'RUNNING');
        await guest.ok('ctr task exec --exec-id after stopped true');
        await engine.remove('stopped');
        await engine.nothingStays('stopped');
      },
    },
    {
      name: 'kill',
      basic: true,
      async run() {
        const script =
          'trap "echo terminated; exit 7" TERM; echo ready; while :; do sleep 0.2; done';
        const killed = await engine.killed('traps', '--signal SIGTERM', shell(script));
        killed.expect({ status: 7, stdout: 'ready\nterminated\n' });
        const sleeps = shell('echo ready; sleep 1000');
        (await engine.killed('deaf', '--signal SIGKILL', sleeps)).expect({ status: 137 });
        const two = shell('sleep 1000 & echo ready; wait');
        (await engine.killed('every', '--all --signal SIGKILL', two)).expect({ status: 137 });
        await engine.nothingStays('traps', 'deaf', 'every');
      },
    },
    {
      name: 'a create that fails',
      basic: true,
      async run() {
        for (const [id, command, message] of [
          ['absent', 'nosuchcommand', /exec: "nosuchcommand": executable file not found in \$PATH/],
          ['nopath', '/no/such/file', /\/no\/such\/file.*: no such file or directory/i],
          ['denied', '/etc/passwd', /permission denied/i],
        ] as const) {
          (await engine.run('--rm', id, command)).expect({ status: 1, stderr: message });
          await engine.nothingStays(id);
        }
        assert.equal(await guest.ok('ctr container ls --quiet'), '');
      },
    },
    {
      name: 'checkpoint, restore',
      async run() {
        const counts = 'n=0; while :; do n=$((n + 1)); echo $n >/count; sleep 0.1; done';
        (await engine.run('--detach --null-io', 'counting', shell(counts))).expect({});
        const count = async (id: string) =>
          Number(await guest.ok(`ctr task exec --exec-id read ${id} cat /count`));
        await guest.until('test $(ctr task exec --exec-id wait counting cat /count) -gt 5');
        const image = 'tare.test/counting:saved';
        await guest.ok(`ctr container checkpoint --rw --image --task counting ${image}`);
        const saved = await count('counting');
        await engine.remove('counting');
        await guest.ok(`ctr container restore --rw --live goes-on ${image}`, 90);
        await guest.until(
          `test $(ctr task exec --exec-id wait goes-on cat /count) -gt ${saved + 5}`,
        );
        await engine.remove('goes-on');
        await engine.nothingStays('counting', 'goes-on');
      },
    },
    {
      name: 'ten at once',
      async run() {
        const one = engine.runLine('--rm', 'many$n', 'sh -c "echo $n"');
        const ended = await guest.run(
          `for n in $(seq 10); do ${one} & done >/run/many 2>&1; wait; sort -n /run/many`,
          120,
        );
        ended.expect({ stdout: '1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n' });
        await engine.nothingStays('many');
      },
    },
  ];
}

function resources(engine: Containerd): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'metrics',
      async run() {
        await engine.sleeper('measured', '--memory-limit 67108864');
        const metrics = await guest.ok('ctr task metrics --format json measured');
        const { memory, pids, cpu } = JSON.parse(metrics) as Record<string, Record<string, string>>;
        assert.equal(Number(memory?.['usage_limit']), 67108864);
        assert.equal(Number(pids?.['current']), 1);
        assert.ok(Number(cpu?.['usage_usec']) > 0, metrics);
        await engine.remove('measured');
      },
    },
    {
      name: 'events',
      async run() {
        const limit = 16 << 20;
        const script = 'head -c 100000000 /dev/zero | tail';
        const ended = await guest.run(
          `ctr events >/run/events & events=$!
           sleep 2
           ${engine.runLine(`--rm --memory-limit ${limit}`, 'eventful', shell(script))}
           status=$?
           sleep 2
           kill $events; exit $status`,
        );
        assert.notEqual(ended.status, 0);
        const events = await guest.ok('cat /run/events');
        for (const topic of ['create', 'start', 'oom', 'exit', 'delete'])
          assert.match(events, new RegExp(`/tasks/${topic} `), topic);
      },
    },
    {
      name: 'limits',
      async run() {
        const flags =
          '--memory-limit 33554432 --cpu-quota 50000 --cpu-period 100000 --cpu-shares 512';
        const files = 'memory.max cpu.max cpu.weight';
        const place =
          engine.runtime.driver === 'systemd'
            ? 'machine.slice/ctr-limited.scope'
            : 'default/limited';
        const ended = await engine.run(
          `--rm ${flags} --mount type=bind,src=/sys/fs/cgroup,dst=/tmp,options=rbind:ro`,
          'limited',
          shell(`cd /tmp/${place}; cat ${files}`),
        );
        // Since 1.23 crun converts shares to weights by another formula.
        ended.expect({ stdout: /^33554432\n50000 100000\n(20|59)\n$/ });
      },
    },
  ];
}

function privileges(engine: Containerd): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'user namespace',
      async run() {
        const maps = '--uidmap 0:100000:65536 --gidmap 0:100000:65536';
        const ended = await engine.run(
          `--rm ${maps}`,
          'mapped',
          shell(
            'cat /proc/self/uid_map; stat -c %u:%g /bin/busybox; id -u; touch /new && echo writes',
          ),
        );
        ended.expect({ stdout: /^ +0 +100000 +65536\n0:0\n0\nwrites\n$/ });
        await engine.nothingStays('mapped');
      },
    },
    {
      name: "a pod's shared namespaces",
      basic: true,
      async run() {
        const pid = await engine.sleeper('infra');
        const shared = { network: 'net', ipc: 'ipc', uts: 'uts', pid: 'pid' };
        const flags = Object.entries(shared)
          .map(([type, file]) => `--with-ns ${type}:/proc/${pid}/ns/${file}`)
          .join(' ');
        const links = (where: string) =>
          `for n in net ipc uts pid mnt; do readlink ${where}/$n; done`;
        const infra = (await guest.ok(links(`/proc/${pid}/ns`))).split('\n');
        const ended = await engine.run(
          `--rm ${flags}`,
          'member',
          shell(`${links('/proc/self/ns')}; ps -o pid,args`),
        );
        ended.expect({ stdout: /^ +1 sleep 1000$/m });
        const member = ended.stdout.split('\n');
        assert.deepEqual(member.slice(0, 4), infra.slice(0, 4));
        assert.notEqual(member[4], infra[4], 'its mount namespace is its own');
        await engine.remove('infra');
        await engine.nothingStays('infra', 'member');
      },
    },
    {
      name: 'seccomp, capabilities, read-only root',
      async run() {
        const script = `grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status; touch /new`;
        const ended = await engine.run('--rm --seccomp --read-only', 'confined', shell(script));
        ended.expect({
          status: 1,
          stdout: 'CapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\n',
          stderr: /Read-only file system/,
        });
      },
    },
  ];
}
