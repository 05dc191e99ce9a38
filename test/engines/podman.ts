/** podman, as root and as an ordinary user. */
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
import { home } from './root.js';
import { imageName as image } from './image.js';

/** containers.conf as an administrator would write it. */
const configuration = ({ name, path, driver }: Runtime) => `[engine]
runtime = "${name}"
runtime_supports_json = ["crun", "runc", "tare"]
cgroup_manager = "${driver}"
events_logger = "file"
[engine.runtimes]
${name} = ["${path}"]
[containers]
log_driver = "k8s-file"
`;

const user = `setpriv --reuid 1000 --regid 1000 --init-groups env USER=user HOME=${home} XDG_RUNTIME_DIR=/run/user/1000 sh -c`;

class Podman implements Alike {
  readonly command = 'podman';

  constructor(
    readonly guest: Guest,
    readonly runtime: Runtime,
  ) {}

  async start(): Promise<void> {
    await this.guest.ok(
      `mkdir -p /etc/containers
       printf %s ${quote(configuration(this.runtime))} >/etc/containers/containers.conf
       podman load --quiet --input ${quote(imageArchive)}`,
    );
  }

  async nothingStays(...ids: string[]): Promise<void> {
    for (const id of ids) await this.guest.nothingStays(id, `/run/${this.runtime.name}`);
  }

  /** Starts a container that sleeps until it is killed; returns its id. */
  async sleeper(name: string, flags = ''): Promise<string> {
    return (
      await this.guest.ok(`podman run --detach --name ${name} ${flags} ${image} sleep 1000`)
    ).trim();
  }

  /** Removes a container and checks that nothing of it is left. */
  async remove(name: string): Promise<void> {
    const id = (await this.guest.ok(`podman inspect --format {{.Id}} ${name}`)).trim();
    await this.guest.ok(`podman rm --force --time 0 ${name}`);
    await this.nothingStays(id);
  }
}

export const podman: Engine = {
  name: 'podman',
  peers: ['crun', 'runc'],
  memory: 3072,
  version: 'podman --version',
  async start(guest, runtime) {
    const engine = new Podman(guest, runtime);
    await engine.start();
    return [...lives(engine), ...resources(engine), ...manifests(engine), ...privileges(engine)];
  },
};

function lives(engine: Podman): Case[] {
  const { guest } = engine;
  return [
    { ...running(engine), basic: true },
    terminals(engine),
    {
      name: 'exit codes 125, 126, 127',
      basic: true,
      async run() {
        (await guest.run(`podman run --rm ${image} nosuchcommand`)).expect({
          status: 127,
          stderr: /nosuchcommand/,
        });
        (await guest.run(`podman run --rm ${image} /etc/passwd`)).expect({ status: 126 });
        (await guest.run(`podman run --rm --nosuchflag ${image}`)).expect({ status: 125 });
      },
    },
    { ...executing(engine, (absent) => absent.expect({ status: 127 })), basic: true },
    {
      name: 'pause, unpause',
      basic: true,
      async run() {
        await engine.sleeper('stopped');
        const status = () => guest.ok('podman inspect --format {{.State.Status}} stopped');
        await guest.ok('podman pause stopped');
        assert.equal(await status(), 'paused\n');
        (await guest.run('podman exec stopped true')).expect({ status: 255 });
        await guest.ok('podman unpause stopped');
        assert.equal(await status(), 'running\n');
        await guest.ok('podman exec stopped true');
        await engine.remove('stopped');
      },
    },
    ending(engine),
    restarting(engine, '{{.RestartCount}} {{.State.ExitCode}}', '2 3'),
    {
      name: 'healthcheck',
      async run() {
        const flags = '--health-cmd "test -e /well" --health-interval disable --health-retries 1';
        await engine.sleeper('checked', flags);
        const health = () => guest.ok('podman inspect --format {{.State.Health.Status}} checked');
        (await guest.run('podman healthcheck run checked')).expect({ status: 1 });
        assert.equal(await health(), 'unhealthy\n');
        await guest.ok('podman exec checked touch /well; podman healthcheck run checked');
        assert.equal(await health(), 'healthy\n');
        await engine.remove('checked');
      },
    },
    {
      name: 'checkpoint, restore',
      async run() {
        const counts = 'n=0; while :; do n=$((n + 1)); echo $n; sleep 0.1; done';
        await guest.ok(`podman run --detach --name counting ${image} ${shell(counts)}`);
        await guest.until('test $(podman logs --tail 1 counting) -gt 5');
        await guest.ok('podman container checkpoint counting', 90);
        const saved = Number(await guest.ok('podman logs --tail 1 counting'));
        assert.equal(
          await guest.ok('podman inspect --format {{.State.Checkpointed}} counting'),
          'true\n',
        );
        await guest.ok('podman container restore counting', 90);
        await guest.until(`test $(podman logs --tail 1 counting) -gt ${saved + 5}`);
        await engine.remove('counting');
      },
    },
    {
      name: 'copy, top, commit',
      async run() {
        await engine.sleeper('copied');
        await guest.ok('echo text >/run/file; podman cp /run/file copied:/tmp/file');
        assert.equal(await guest.ok('podman exec copied cat /tmp/file'), 'text\n');
        assert.match(await guest.ok('podman top copied user,args'), /root +sleep 1000/);
        await guest.ok('podman commit --quiet --pause copied localhost/committed');
        assert.equal(await guest.ok('podman run --rm localhost/committed cat /tmp/file'), 'text\n');
        await engine.remove('copied');
      },
    },
  ];
}

function resources(engine: Podman): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'limits, update',
      basic: true,
      async run() {
        const id = await engine.sleeper('limited', '--memory 64m --pids-limit 50 --cpus 0.5');
        const parent = engine.runtime.driver === 'systemd' ? 'machine.slice' : 'libpod_parent';
        const cgroup = `/sys/fs/cgroup/${parent}/libpod-${id}`;
        const limits = async () =>
          (
            await guest.ok(`cd ${cgroup}*; find . -name memory.max -o -name pids.max -o -name cpu.max |
            sort | xargs cat`)
          ).split('\n');
        assert.deepEqual(
          (await limits()).filter((line) => !/^max/.test(line)),
          ['50000 100000', '67108864', '50', ''],
        );
        await guest.ok('podman update --memory 32m --pids-limit 40 --cpus 0.25 limited');
        assert.deepEqual(
          (await limits()).filter((line) => !/^max/.test(line)),
          ['25000 100000', '33554432', '40', ''],
        );
        await engine.remove('limited');
      },
    },
    {
      name: 'stats',
      async run() {
        await engine.sleeper('measured', '--memory 64m');
        const stats = await guest.ok('podman stats --no-stream --format json measured');
        const [{ name, mem_usage, pids }] = JSON.parse(stats) as [Record<string, string>];
        assert.equal(name, 'measured');
        assert.match(mem_usage ?? '', /^\d.*B \/ 67\.11MB$/);
        assert.equal(pids, '1');
        await engine.remove('measured');
      },
    },
    {
      name: 'out of memory',
      async run() {
        const eats = 'head -c 100000000 /dev/zero | tail';
        const ended = await guest.run(
          `podman run --name eater --memory 16m ${image} ${shell(eats)}`,
        );
        assert.notEqual(ended.status, 0);
        await guest.ok('podman rm eater');
      },
    },
    volumes(engine),
    {
      name: 'network',
      async run() {
        assert.equal(
          await guest.ok(`podman run --rm --network none ${image} ${shell('ls /sys/class/net')}`),
          'lo\n',
        );
        await guest.ok('podman network create inner');
        const serve = 'mkdir /www; echo page >/www/index.html; exec httpd -f -h /www';
        await guest.ok(
          `podman run --detach --network inner --name server --publish 8080:80 ${image} ${shell(serve)}`,
        );
        assert.equal(
          await guest.ok(`podman run --rm --network inner ${image} wget -q -O - http://server/`),
          'page\n',
        );
        assert.equal(await guest.ok('busybox wget -q -O - http://127.0.0.1:8080/'), 'page\n');
        await engine.remove('server');
      },
    },
  ];
}

const kube = `apiVersion: v1
kind: Pod
metadata:
  name: played
spec:
  restartPolicy: Never
  containers:
  - name: server
    image: ${image}
    imagePullPolicy: Never
    command: [sh, -c, 'mkdir /www; echo page >/www/index.html; exec httpd -f -p 8081 -h /www']
    resources:
      limits: {memory: 64Mi}
  - name: client
    image: ${image}
    imagePullPolicy: Never
    command: [sh, -c, 'until wget -q -O /page http://127.0.0.1:8081/; do sleep 0.2; done; cat /page; exec sleep 1000']
    securityContext: {runAsUser: 0, readOnlyRootFilesystem: false}
`;

const containerfile = `FROM ${image}
ENV WORD=said
RUN echo $WORD >/made && id -u >>/made
USER 7
WORKDIR /tmp
RUN ["sh", "-c", "id -u >user; pwd >>user"]
CMD ["cat", "/made", "/tmp/user"]
`;

function manifests(engine: Podman): Case[] {
  const { guest } = engine;
  return [
    {
      name: 'pod',
      async run() {
        await guest.ok('podman pod create --name pod --share net,ipc,uts,pid --hostname together');
        await guest.ok(`podman run --detach --pod pod --name first ${image} sleep 1000`);
        const script =
          'hostname; ps -o args; for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done';
        const second = await guest.ok(`podman run --rm --pod pod ${image} ${shell(script)}`);
        assert.match(second, /^together\n/);
        assert.match(second, /^sleep 1000$/m);
        const first = await guest.ok(
          `podman exec first ${shell('for n in net ipc uts pid; do readlink /proc/1/ns/$n; done')}`,
        );
        for (const namespace of first.trim().split('\n')) assert.ok(second.includes(namespace));
        await guest.ok(
          'podman pod pause pod; podman pod unpause pod; podman pod stop --time 0 pod',
        );
        await guest.ok('podman pod rm --force pod');
      },
    },
    {
      name: 'play kube',
      async run() {
        await guest.ok(
          `printf %s ${quote(kube)} >/run/played.yaml; podman kube play /run/played.yaml`,
        );
        await guest.until('podman logs played-client | grep page');
        const memory = await guest.ok(
          `podman inspect --format {{.HostConfig.Memory}} played-server`,
        );
        assert.equal(memory, `${64 << 20}\n`);
        await guest.ok('podman kube down --force /run/played.yaml');
        assert.equal(await guest.ok('podman ps --all --quiet'), '');
      },
    },
    {
      name: 'build with RUN',
      async run() {
        await guest.ok(
          `mkdir /run/build; printf %s ${quote(containerfile)} >/run/build/Containerfile
           podman build --isolation oci --pull=never --quiet --tag localhost/made /run/build`,
          120,
        );
        assert.equal(await guest.ok('podman run --rm localhost/made'), 'said\n0\n7\n/tmp\n');
      },
    },
    {
      name: 'systemd inside',
      async run() {
        // The guest's own root is a complete Debian.
        await guest.ok('mkdir -p /srv/debian; mount -t virtiofs -o ro root /srv/debian');
        await guest.ok(
          `podman run --detach --name system --systemd always --rootfs /srv/debian:O \\
             /lib/systemd/systemd --log-target=console`,
        );
        await guest.until('podman exec system systemctl is-active multi-user.target', 120);
        assert.equal(await guest.ok('podman exec system cat /proc/1/comm'), 'systemd\n');
        const script = 'echo ran as a service; cat /proc/self/cgroup';
        const ran = await guest.ok(
          `podman exec system systemd-run --quiet --wait --pipe --unit own sh -c ${quote(script)}`,
        );
        assert.match(ran, /^ran as a service\n0::\/.*system\.slice\/own\.service\n$/);
        await guest.ok('podman stop --time 60 system', 90);
        await engine.remove('system');
      },
    },
  ];
}

function privileges(engine: Podman): Case[] {
  const { guest } = engine;
  return [
    confining(engine, '00000000800405fb'),
    {
      name: 'user namespace',
      async run() {
        const maps = '--uidmap 0:200000:5000 --gidmap 0:200000:5000';
        const script = 'cat /proc/self/uid_map; stat -c %u:%g /bin/busybox; touch /new; id -u';
        const mapped = await guest.run(`podman run --rm ${maps} ${image} ${shell(script)}`);
        mapped.expect({ stdout: /^ +0 +200000 +5000\n0:0\n0\n$/ });
        const kept = await guest.run(
          `podman run --rm --user 7:8 ${image} ${shell('id -u; id -g')}`,
        );
        kept.expect({ stdout: '7\n8\n' });
      },
    },
    {
      name: 'rootless',
      basic: true,
      async run() {
        await guest.ok(
          `mkdir -p /run/user/1000; chown 1000:1000 /run/user/1000; chmod 700 /run/user/1000
           modprobe tun; chmod 666 /dev/net/tun
           cd ${home}; ${user} ${quote(`podman load --quiet --input ${quote(imageArchive)}`)}`,
        );
        const as = (script: string) => guest.run(`cd ${home}; ${user} ${quote(script)}`);
        const script = 'id -u; cat /proc/self/uid_map; exit 42';
        const ended = await as(`podman run --rm ${image} ${shell(script)}`);
        ended.expect({ status: 42, stdout: /^0\n +0 +1000 +1\n +1 +100000 +65536\n$/ });
        (await as(`podman run --detach --name mine --network none ${image} sleep 1000`)).expect({});
        (await as(`podman exec mine ${shell('tr "\\0" " " </proc/1/cmdline; exit 5')}`)).expect({
          status: 5,
          stdout: 'sleep 1000 ',
        });
        const keep = await as(`podman run --rm --userns keep-id ${image} id -u`);
        keep.expect({ stdout: '1000\n' });
        (await as('podman rm --force --time 0 mine')).expect({});
        await guest.nothingStays('mine', '/run/user/1000');
      },
    },
  ];
}
