/**
 * A docker swarm of two nodes: two daemons in network namespaces that a veth(4) pair joins. Services
 * cannot name a runtime, so it is the daemons' default.
 */
import assert from 'node:assert/strict';
import { quote } from '../machine/vm.js';
import type { Case } from './case.js';
import { imageArchive, type Guest } from './guest.js';
import { imageName as image } from './image.js';

const replicas = 6;
/** A lost node is noticed after three heartbeats of five seconds each, later on a slow machine. */
const timeoutSeconds = 150;

class Node {
  readonly docker: string;

  constructor(
    readonly guest: Guest,
    readonly name: string,
    readonly address: string,
  ) {
    this.docker = `docker --host unix:///run/${name}.sock`;
  }

  async start(configuration: string): Promise<void> {
    const { name } = this;
    const directories = `--data-root /var/lib/docker/${name} --exec-root /run/${name}`;
    await this.guest.ok(`printf %s ${quote(configuration)} >/run/${name}.json`);
    await this.guest.daemon(
      name,
      `exec nsenter --net=/run/netns/${name} dockerd --config-file /run/${name}.json \
         --host unix:///run/${name}.sock --pidfile /run/${name}.pid ${directories}`,
      `${this.docker} version`,
    );
    await this.ok(`load --quiet --input ${quote(imageArchive)}`);
  }

  ok(command: string): Promise<string> {
    return this.guest.ok(`${this.docker} ${command}`, timeoutSeconds);
  }

  /** Waits until `count` containers run here. */
  runs(count: number): Promise<void> {
    return this.guest.until(
      `test $(${this.docker} ps --quiet | wc -l) -eq ${count}`,
      timeoutSeconds,
    );
  }

  /** Ends all processes at once, the containers' too, as a power failure does. */
  async fail(): Promise<void> {
    const { docker, name } = this;
    await this.guest.ok(
      `inits=$(${docker} inspect --format {{.State.Pid}} $(${docker} ps --quiet))
       kill -KILL $(ip netns pids ${name}) $inits`,
    );
  }
}

async function connect(guest: Guest): Promise<[Node, Node]> {
  await guest.ok(
    `ip netns add first; ip netns add second
     ip link add eth0 netns first type veth peer name eth0 netns second
     for node in first=10.9.0.1 second=10.9.0.2; do
       ip -n \${node%=*} addr add \${node#*=}/24 dev eth0
       ip -n \${node%=*} link set lo up; ip -n \${node%=*} link set eth0 up
     done`,
  );
  return [new Node(guest, 'first', '10.9.0.1'), new Node(guest, 'second', '10.9.0.2')];
}

/** `configuration` is that of each daemon, whose default runtime is `runtime`. */
export function swarm(guest: Guest, runtime: string, configuration: string): Case {
  return {
    name: 'swarm of two nodes, one of which fails',
    async run() {
      const [first, second] = await connect(guest);
      await Promise.all([first.start(configuration), second.start(configuration)]);
      await first.ok(`swarm init --advertise-addr ${first.address}`);
      const token = (await first.ok('swarm join-token --quiet worker')).trim();
      await second.ok(`swarm join --token ${token} ${first.address}:2377`);
      await first.ok(
        `service create --quiet --name web --replicas ${replicas} ${image} sleep 1000`,
      );
      for (const node of [first, second]) {
        await node.runs(replicas / 2);
        const ids = (await node.ok('ps --quiet')).trim().replaceAll('\n', ' ');
        const used = await node.ok(`inspect --format {{.HostConfig.Runtime}} ${ids}`);
        assert.equal(used, `${runtime}\n`.repeat(replicas / 2));
      }
      await second.fail();
      await first.runs(replicas);
      await first.ok('service rm web');
      await first.runs(0);
      await first.ok('swarm leave --force');
    },
  };
}
