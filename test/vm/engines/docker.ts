/** docker, its daemon with a containerd of its own. */
import assert from 'node:assert/strict';
import { quote } from '../vm.js';
import type { Case, Engine, Runtime } from './case.js';
import { imageArchive, type Guest } from './guest.js';
import { imageName as image } from './image.js';

/** daemon.json; runc is there already by that name. */
function configuration({ name, path }: Runtime): string {
  return JSON.stringify({
    ...(name === 'runc' ? {} : { runtimes: { [name]: { path } } }),
    'default-runtime': name,
    'exec-opts': ['native.cgroupdriver=cgroupfs'],
  });
}

const state = '/run/docker/runtime-*';

class Docker {
  constructor(
    readonly guest: Guest,
    readonly runtime: Runtime,
  ) {}

  async start(): Promise<void> {
    await this.guest.ok(
      `mkdir -p /etc/docker; printf %s ${quote(configuration(this.runtime))} >/etc/docker/daemon.json`,
    );
    await this.guest.daemon('dockerd', 'exec dockerd', 'docker version');
    await this.guest.ok(`docker load --quiet --input ${quote(imageArchive)}`);
  }

  /** Starts a container that sleeps until it is killed. */
  async sleeper(name: string, flags = ''): Promise<void> {
    await this.guest.ok(`docker run --detach --name ${name} ${flags} ${image} sleep 1000`);
  }

  inspect(name: string, format: string): Promise<string> {
    return this.guest.ok(`docker inspect --format ${quote(format)} ${name}`);
  }

  /** Removes a container, of which nothing is to stay then. */
  async remove(name: string): Promise<void> {
    const id = (await this.inspect(name, '{{.Id}}')).trim();
    await this.guest.ok(`docker rm --force ${name}`);
    await this.guest.nothingStays(id, state);
  }
}

export const docker: Engine = {
  name: 'docker',
  peers: ['runc'],
  memory: 3072,
  version: 'docker --version',
  async start(guest, runtime) {
    const engine = new Docker(guest, runtime);
    await engine.start();
    return [...lives(engine), ...resources(engine), ...networks(engine), ...privileges(engine)];
  },
};

const shell = (script: string) => `sh -c ${quote(script)}`;

const dockerfile = `FROM ${image}
ENV WORD=said
RUN echo $WORD >/made && id -u >>/made
USER 7
WORKDIR /tmp
RUN ["sh", "-c", "id -u >/tmp/user; pwd >>/tmp/user"]
CMD ["cat", "/made", "/tmp/user"]
`;

function lives(engine: Docker): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'run',
      async run() {
        const script = 'echo out; echo err >&2; tty; pwd; echo $PATH; exit 42';
        const ended = await guest.run(`docker run --name plain ${image} ${shell(script)}`);
        ended.expect({ status: 42, stdout: 'out\nnot a tty\n/\n/bin\n', stderr: 'err\n' });
        assert.equal(
          await engine.inspect('plain', '{{.HostConfig.Runtime}}'),
          `${engine.runtime.name}\n`,
        );
        await engine.remove('plain');
      },
    },
    {
      name: 'tty and standard input',
      async run() {
        const typed = await guest.run(
          `echo line | docker run --rm --interactive ${image} head -n 1`,
        );
        typed.expect({ stdout: 'line\n' });
        const script = 'tty; read line; echo "got $line"; exit 3';
        const line = `docker run --rm --interactive --tty ${image} ${shell(script)}`;
        const ended = await guest.onTerminal(line, 'typed\n');
        ended.expect({ status: 3, stdout: /^\/dev\/pts\/0\r+\n[^]*got typed\r+\n$/m });
      },
    },
    {
      name: 'exit codes 125, 126, 127',
      async run() {
        const absent = await guest.run(`docker run --rm ${image} nosuchcommand`);
        absent.expect({
          status: 127,
          stderr: /exec: "nosuchcommand": executable file not found in \$PATH/,
        });
        const path = await guest.run(`docker run --rm ${image} /no/such/file`);
        path.expect({ status: 127, stderr: /no such file or directory/ });
        const denied = await guest.run(`docker run --rm ${image} /etc/passwd`);
        denied.expect({ status: 126, stderr: /permission denied/ });
        const directory = await guest.run(`docker run --rm ${image} /etc`);
        directory.expect({ status: 126 });
        (await guest.run(`docker run --rm --nosuchflag ${image}`)).expect({ status: 125 });
        assert.equal(await guest.ok('docker ps --all --quiet'), '');
      },
    },
    {
      name: 'exec',
      async run() {
        await engine.sleeper('host', '--env A=one');
        const script = 'tr "\\0" " " </proc/1/cmdline; echo $A $B; pwd; id -u; exit 5';
        const flags = '--env B=two --workdir /tmp --user 7';
        const plain = await guest.run(`docker exec ${flags} host ${shell(script)}`);
        plain.expect({ status: 5, stdout: 'sleep 1000 one two\n/tmp\n7\n' });
        const input = await guest.run('echo line | docker exec --interactive host head -n 1');
        input.expect({ stdout: 'line\n' });
        const terminal = await guest.onTerminal(`docker exec --tty host ${shell('tty; exit 6')}`);
        terminal.expect({ status: 6, stdout: /^\/dev\/pts\/\d+\r+\n/m });
        const absent = await guest.run('docker exec host nosuchcommand');
        // Its versions do not agree on whether that is 126 or 127.
        assert.ok([126, 127].includes(absent.status), String(absent.status));
        assert.match(absent.stdout, /exec: "nosuchcommand": executable file not found in \$PATH/);
        (await guest.run('docker exec host /etc/passwd')).expect({ status: 126 });
        await guest.ok('docker exec --detach host touch /executed');
        await guest.until('docker exec host test -e /executed');
        await engine.remove('host');
      },
    },
    {
      name: 'pause, unpause',
      async run() {
        await engine.sleeper('stopped');
        await guest.ok('docker pause stopped');
        assert.equal(await engine.inspect('stopped', '{{.State.Status}}'), 'paused\n');
        assert.notEqual((await guest.run('docker exec stopped true')).status, 0);
        await guest.ok('docker unpause stopped; docker exec stopped true');
        await engine.remove('stopped');
      },
    },
    {
      name: 'stop, kill, wait, logs',
      async run() {
        const script =
          'trap "echo terminated; exit 7" TERM; echo ready; while :; do sleep 0.2; done';
        await guest.ok(`docker run --detach --name traps ${image} ${shell(script)}`);
        await guest.until('docker logs traps | grep ready');
        await guest.ok('docker stop --time 20 traps');
        assert.equal(await guest.ok('docker wait traps'), '7\n');
        assert.equal(await guest.ok('docker logs traps'), 'ready\nterminated\n');
        await guest.ok('docker start traps; docker kill --signal KILL traps');
        assert.equal(await guest.ok('docker wait traps'), '137\n');
        await engine.remove('traps');
      },
    },
    {
      name: 'restart policy',
      async run() {
        const flags = '--restart on-failure:2 --name failing';
        await guest.ok(`docker run --detach ${flags} ${image} ${shell('echo once; exit 3')}`);
        await guest.until('test "$(docker logs failing | wc -l)" = 3', 60);
        const told = '{{.RestartCount}} {{.State.ExitCode}} {{.State.Running}}';
        await guest.until(`test "$(docker inspect --format ${quote(told)} failing)" = "2 3 false"`);
        await engine.remove('failing');
      },
    },
    {
      name: 'build with RUN',
      async run() {
        await guest.ok(
          `mkdir /run/build; printf %s ${quote(dockerfile)} >/run/build/Dockerfile
           DOCKER_BUILDKIT=0 docker build --quiet --tag made /run/build`,
          120,
        );
        assert.equal(await guest.ok('docker run --rm made'), 'said\n0\n7\n/tmp\n');
      },
    },
    {
      name: 'healthcheck',
      async run() {
        await engine.sleeper(
          'checked',
          '--health-cmd "test -e /well" --health-interval 1s --health-retries 1',
        );
        const health = (wanted: string) =>
          guest.until(
            `docker inspect --format {{.State.Health.Status}} checked | grep -x ${wanted}`,
          );
        await health('unhealthy');
        await guest.ok('docker exec checked touch /well');
        await health('healthy');
        await engine.remove('checked');
      },
    },
    {
      name: 'copy, top, commit, rename, diff',
      async run() {
        await engine.sleeper('copied', '--init');
        await guest.ok('echo text >/run/file; docker cp /run/file copied:/tmp/file');
        assert.equal(await guest.ok('docker exec copied cat /tmp/file'), 'text\n');
        assert.match(
          await guest.ok('docker top copied -o pid,args'),
          /docker-init .*\n\d+ +sleep 1000/,
        );
        assert.match(await guest.ok('docker diff copied'), /^A \/tmp\/file$/m);
        await guest.ok('docker commit copied committed; docker rename copied renamed');
        assert.equal(await guest.ok('docker run --rm committed cat /tmp/file'), 'text\n');
        await engine.remove('renamed');
      },
    },
  ];
}

function resources(engine: Docker): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'limits, update',
      async run() {
        await engine.sleeper(
          'limited',
          '--memory 64m --pids-limit 50 --cpus 0.5 --blkio-weight 300',
        );
        const id = (await engine.inspect('limited', '{{.Id}}')).trim();
        const limits = () =>
          guest.ok(`cd /sys/fs/cgroup/docker/${id}; cat memory.max pids.max cpu.max`);
        assert.equal(await limits(), '67108864\n50\n50000 100000\n');
        await guest.ok(
          'docker update --memory 32m --memory-swap 64m --pids-limit 40 --cpus 0.25 limited',
        );
        assert.equal(await limits(), '33554432\n40\n25000 100000\n');
        await engine.remove('limited');
      },
    },
    {
      name: 'stats',
      async run() {
        await engine.sleeper('measured', '--memory 64m');
        const stats = await guest.ok('docker stats --no-stream --format json measured');
        const { Name, MemUsage, PIDs } = JSON.parse(stats) as Record<string, string>;
        assert.equal(Name, 'measured');
        assert.match(MemUsage ?? '', /^\d.*B \/ 64MiB$/);
        assert.equal(PIDs, '1');
        await engine.remove('measured');
      },
    },
    {
      name: 'out of memory',
      async run() {
        const eats = 'head -c 100000000 /dev/zero | tail; sleep 1; exit 3';
        await guest.run(`docker run --name eater --memory 16m ${image} ${shell(eats)}`);
        assert.equal(await engine.inspect('eater', '{{.State.OOMKilled}}'), 'true\n');
        await engine.remove('eater');
      },
    },
    {
      name: 'volumes, tmpfs, read-only root, ulimits, devices',
      async run() {
        const flags =
          '--read-only --volume kept:/kept --volume /etc:/host:ro --tmpfs /scratch:size=1m ' +
          '--ulimit nofile=99:100 --shm-size 2m --device /dev/null:/dev/nothing';
        const script =
          'echo text >/kept/file; echo text >/scratch/file; ulimit -n; cat /host/hostname; ' +
          'echo gone >/dev/nothing; touch /host/new; touch /new; df -k /dev/shm | tail -n 1';
        const ended = await guest.run(`docker run --rm ${flags} ${image} ${shell(script)}`);
        ended.expect({
          stdout: /^99\nguest\nshm +2048 /,
          stderr: /\/host\/new: Read-only file system\n.*\/new: Read-only file system/,
        });
        assert.equal(await guest.ok(`docker run --rm -v kept:/k ${image} cat /k/file`), 'text\n');
      },
    },
  ];
}

function networks(engine: Docker): Case[] {
  const { guest } = engine;
  const serve = shell('mkdir /www; echo page >/www/index.html; exec httpd -f -h /www');
  return [
    {
      name: 'network none',
      async run() {
        const links = await guest.ok(`docker run --rm --network none ${image} ls /sys/class/net`);
        assert.equal(links, 'lo\n');
      },
    },
    {
      name: 'network host',
      async run() {
        const links = 'ls /sys/class/net';
        const inside = await guest.ok(`docker run --rm --network host ${image} ${links}`);
        assert.equal(inside.split('\n').includes('docker0'), true);
      },
    },
    {
      name: 'network bridge',
      async run() {
        await guest.ok('docker network create inner');
        await guest.ok(
          `docker run --detach --network inner --name server --publish 8080:80 ${image} ${serve}`,
        );
        const get = (url: string) =>
          guest.ok(`docker run --rm --network inner ${image} wget -q -O - ${url}`);
        assert.equal(await get('http://server/'), 'page\n');
        assert.equal(await guest.ok('busybox wget -q -O - http://127.0.0.1:8080/'), 'page\n');
        await guest.ok(`docker run --rm ${image} ping -c 1 172.17.0.1`);
        await engine.remove('server');
      },
    },
    {
      name: "another container's namespaces",
      async run() {
        await engine.sleeper('infra', '--ipc shareable');
        const links = shell('for n in net ipc pid; do readlink /proc/1/ns/$n; done');
        const shared = '--network container:infra --ipc container:infra --pid container:infra';
        assert.equal(
          await guest.ok(`docker run --rm ${shared} ${image} ${links}`),
          await guest.ok(`docker exec infra ${links}`),
        );
        await engine.remove('infra');
      },
    },
  ];
}

function privileges(engine: Docker): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'seccomp, capabilities, no new privileges',
      async run() {
        const status = shell(`grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status`);
        (await guest.run(`docker run --rm ${image} ${status}`)).expect({
          stdout:
            'CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n',
        });
        const flags =
          '--cap-drop all --cap-add chown --security-opt no-new-privileges --security-opt seccomp=unconfined';
        (await guest.run(`docker run --rm ${flags} ${image} ${status}`)).expect({
          stdout:
            'CapEff:\t0000000000000001\nCapBnd:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t0\n',
        });
        const all = await guest.ok(`docker run --rm --privileged ${image} ${status}`);
        assert.match(all, /CapEff:\t000001ffffffffff\n.*\n.*\nSeccomp:\t0\n/);
      },
    },
    {
      name: 'users and groups',
      async run() {
        const ids = shell('id -u; id -g; id -G');
        const ended = await guest.run(`docker run --rm --user 7:8 --group-add 9 ${image} ${ids}`);
        ended.expect({ stdout: '7\n8\n8 9\n' });
      },
    },
    {
      name: 'live restore',
      async run() {
        await engine.sleeper('survivor');
        await guest.ok(
          `sed -i 's/{/{"live-restore": true, /' /etc/docker/daemon.json
           kill -HUP $(cat /run/docker.pid); sleep 1
           kill $(cat /run/docker.pid); while [ -e /run/docker.pid ]; do sleep 0.2; done`,
        );
        await guest.daemon('dockerd', 'exec dockerd', 'docker version');
        assert.equal(await engine.inspect('survivor', '{{.State.Status}}'), 'running\n');
        await guest.ok('docker exec survivor true');
        await engine.remove('survivor');
      },
    },
  ];
}
