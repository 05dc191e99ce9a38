/** linux.netDevices: a host device moves into the container with its addresses, and is up there. */
import { call, cli, skipReason, type Config, type Result } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped } from '../support/inside.js';
import { chownSync } from 'node:fs';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  /** Runs a container from a new network namespace, which the script `prepare` sets up. */
  const run = (
    prepare: string,
    script: string,
    edit: (config: Config, rootfs: string) => void,
    after = 'true',
  ): Result => {
    const bundle = inside.script(script, edit);
    const id = inside.fresh();
    const command = `set -e; ip link set lo up; ${prepare}
      status=0; "$@" || status=$?; { ${after}; } >&2; exit $status`;
    const tare = [cli, '--root', inside.root, 'run', '--bundle', bundle, id];
    return call('unshare', ['-n', 'sh', '-c', command, 'sh', ...tare]);
  };
  const devices = (config: Config, value: Record<string, object>): void => {
    config.linux['netDevices'] = value;
  };
  const link = 'ip link add dev0 type veth peer name other0; ip link set other0 up';

  inside.test(
    'a device and its name, its state, its size of packets and its address',
    async (t) => {
      const { status, stdout, stderr } = run(
        `${link}; ip link set dev0 mtu 1789 address 02:11:22:33:44:55`,
        'busybox ip address show; ls /proc/sys/net/ipv4/conf; cat /proc/sys/net/ipv4/conf/dev0/rp_filter',
        (config) => {
          devices(config, { dev0: {} });
          config.linux['sysctl'] = { 'net.ipv4.conf.dev0.rp_filter': '2' };
        },
        '! ip link show dev0 2>&1',
      );
      t.equal(status, 0, stderr);
      t.match(stdout, /dev0@\w+: <[^>]*\bUP\b[^>]*> mtu 1789 /);
      t.match(stdout, /link\/ether 02:11:22:33:44:55 /);
      t.match(stdout, /^2$/m, 'a sysctl of the device itself');
      t.match(stderr, /does not exist/, "it is the container's alone");
    },
  );

  inside.test('addresses: global permanent ones of each family, no others', async (t) => {
    const { status, stdout, stderr } = run(
      `${link}
       ip address add 169.254.169.77/32 dev dev0
       ip address add 10.1.2.3/24 brd 10.1.2.255 dev dev0
       ip address add 10.9.0.1 peer 10.9.0.2/32 dev dev0
       ip address add 127.0.0.33 dev dev0
       ip address add 10.1.2.4/24 valid_lft 1000 preferred_lft 1000 dev dev0
       ip link set dev0 up
       ip -6 address add fd00::7/64 nodad dev dev0`,
      'busybox ip address show dev dev0',
      (config) => {
        devices(config, { dev0: {} });
      },
    );
    t.equal(status, 0, stderr);
    for (const wanted of [
      'inet 169.254.169.77/32 scope global dev0',
      'inet 10.1.2.3/24 brd 10.1.2.255 scope global dev0',
      'inet 10.9.0.1 peer 10.9.0.2/32 scope global dev0',
      'inet6 fd00::7/64 scope global',
    ]) {
      t.ok(stdout.includes(wanted), `${wanted}: ${stdout}`);
    }
    t.notMatch(stdout, /127\.0\.0\.33|10\.1\.2\.4/);
  });

  inside.test('a new name, a template for one, two devices', async (t) => {
    const renamed = run(
      `ip link add a0 type veth peer name b0; ip address add 10.3.0.1/24 dev a0`,
      'busybox ip address show',
      (config) => {
        devices(config, { a0: { name: 'first' }, b0: { name: 'eth%d' } });
      },
    );
    t.equal(renamed.status, 0, renamed.stderr);
    t.match(renamed.stdout, / first@eth0: <[^>]*UP/);
    t.match(renamed.stdout, /inet 10\.3\.0\.1\/24 .*first/);
    t.match(renamed.stdout, / eth0@first: <[^>]*UP/);
  });

  inside.test('a user namespace with its own network namespace', async (t) => {
    const { status, stdout, stderr } = run(
      `${link}; ip address add 10.1.2.3/24 dev dev0`,
      'busybox ip address show dev eth7',
      (config, rootfs) => {
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
        devices(config, { dev0: { name: 'eth7' } });
      },
    );
    t.equal(status, 0, stderr);
    t.match(stdout, /inet 10\.1\.2\.3\/24/);
  });

  inside.test(
    'a joined namespace: what has the name there stays, and so does the device here',
    async (t) => {
      const collide = run(
        `${link}; ip address add 10.1.2.3/24 dev dev0; ip link set dev0 up
       unshare -n sh -c 'ip link add eth0 type veth; exec sleep 1000' & other=$!
       while ! nsenter -t $other -n ip link show eth0 >/dev/null 2>&1; do sleep 0.01; done
       sed -i "s|@PID@|$other|" "$6/config.json"`,
        'true',
        (config) => {
          const network = config.linux.namespaces.find(({ type }) => type === 'network');
          network!.path = '/proc/@PID@/ns/net';
          devices(config, { dev0: { name: 'eth0' } });
        },
        'ip address show dev dev0; kill $other',
      );
      t.equal(collide.status, 1);
      t.match(
        collide.stderr,
        /netDevices\[.*dev0.*\]: the container's network namespace has a device eth0 already: EEXIST .*; give another name, or one with /,
      );
      t.match(collide.stderr, /dev0@other0: <[^>]*\bUP\b[\s\S]*10\.1\.2\.3\/24/, 'untouched');

      const joined = run(
        `${link}; ip address add 10.1.2.3/24 dev dev0
       unshare -n sleep 1000 & other=$!
       while [ /proc/$other/ns/net -ef /proc/self/ns/net ]; do sleep 0.01; done
       sed -i "s|@PID@|$other|" "$6/config.json"`,
        'busybox ip address show dev dev0',
        (config) => {
          const network = config.linux.namespaces.find(({ type }) => type === 'network');
          network!.path = '/proc/@PID@/ns/net';
          devices(config, { dev0: {} });
        },
        'nsenter -t $other -n ip address show dev dev0; kill $other',
      );
      t.equal(joined.status, 0, joined.stderr);
      t.match(joined.stdout, /inet 10\.1\.2\.3\/24/);
      t.match(joined.stderr, /inet 10\.1\.2\.3\/24/, 'it outlives the container');
    },
  );

  inside.test('a device that is not there, and one that may not move', async (t) => {
    const missing = run(
      link,
      'true',
      (config) => {
        devices(config, { dev0: {}, nowhere0: {} });
      },
      'ip link show dev0',
    );
    t.equal(missing.status, 1);
    t.match(
      missing.stderr,
      /link not found for interface nowhere0 on runtime namespace: ENODEV .*see `ip link`/,
    );
    t.match(missing.stderr, /dev0@other0: </, 'none has moved');
    const bound = run('true', 'true', (config) => {
      devices(config, { lo: { name: 'lo1' } });
    });
    t.equal(bound.status, 1);
    t.match(
      bound.stderr,
      /netDevices\[.*lo.*\]: move it to the container's network namespace: EINVAL .*bound to their network namespace/,
    );
  });

  inside.test("sysctls of the network where that is the host's, joined by its path", async (t) => {
    for (const key of ['net.ipv4.ip_forward', 'net/ipv4/ip_forward']) {
      const { status, error } = inside.run('true', (config) => {
        const network = config.linux.namespaces.find(({ type }) => type === 'network');
        network!.path = '/proc/self/ns/net';
        config.linux['sysctl'] = { [key]: '1' };
      });
      t.equal(status, 1);
      t.match(
        error,
        /sysctl "net.ipv4.ip_forward" not allowed in host network namespace, which is what \/proc\/self\/ns\/net is/,
      );
    }
  });
}
