/** docker, whose daemon runs a containerd of its own. */
import assert from 'node:assert/strict';
import { quote } from '../machine/vm.js';
import {
  confining,
  ending,
  executing,
  restarting,
  running,
  shell,
  terminals,
  volumes,
  type Alike,
} from './alike.js';
import type { Case, Engine, Runtime } from './case.js';
import { imageArchive, type Guest } from './guest.js';
import { imageName as image } from './image.js';
import { swarm } from './swarm.js';

/** daemon.json. The name runc is predefined. */
function configuration({ name, path, driver }: Runtime): string {
  return JSON.stringify({
    ...(name === 'runc' ? {} : { runtimes: { [name]: { path } } }),
    'default-runtime': name,
    'exec-opts': [`native.cgroupdriver=${driver}`],
  });
}

const state = '/run/docker/runtime-*';

class Docker implements Alike {
  readonly command = 'docker';

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

  /** Removes a container and checks that nothing of it is left. */
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
    return [
      ...lives(engine),
      ...resources(engine),
      ...networks(engine),
      ...privileges(engine),
      swarm(guest, runtime.name, configuration(runtime)),
    ];
  },
};

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
    running(engine, async (name) => {
      assert.equal(
        await engine.inspect(name, '{{.HostConfig.Runtime}}'),
        `${engine.runtime.name}\n`,
      );
    }),
    terminals(engine),
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
    executing(engine, (absent) => {
      // docker versions differ in whether the status is 126 or 127.
      assert.ok([126, 127].includes(absent.status), String(absent.status));
      assert.match(absent.stdout, /exec: "nosuchcommand": executable file not found in \$PATH/);
    }),
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
    ending(engine),
    restarting(engine, '{{.RestartCount}} {{.State.ExitCode}} {{.State.Running}}', '2 3 false'),
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
        const pid = Number(await engine.inspect('limited', '{{.State.Pid}}'));
        const cgroup = await guest.cgroupOf(pid);
        const limits = () => guest.ok(`cd ${cgroup}; cat memory.max pids.max cpu.max`);
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
    volumes(engine),
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
    confining(engine, '00000000a80425fb'),
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
