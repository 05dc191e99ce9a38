/**
 * Debian's engines accept what `tare install --configure` writes. They run in a root file system of
 * their own; an overlay discards all changes.
 */
import t, { type Test } from 'tap';
import { call, skipReason } from '../support/tare.js';
import { defaultRelease, unpackEngines } from '../engines/root.js';
import { Unavailable } from '../machine/vm.js';
import { place, program } from '../support/installation.js';
import { allowTime } from '../support/timeout.js';

allowTime(t, 400_000);

/**
 * $1 is the engines' root, $2 the directory to mount it in. The rest of the script runs inside,
 * without a network.
 */
const enter = `set -e
root=$2/root
mount -t tmpfs none "$2"
mkdir "$2/upper" "$2/work" "$root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" none "$root"
cd "$root"
for name in dev proc sys; do mount --rbind /$name $name; done
mkdir -p var/lib/containers run/tare
for directory in run tmp var/lib/containers; do mount -t tmpfs none $directory; done
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
: >etc/resolv.conf
: >etc/hosts
ip link set lo up
install() { '${process.execPath}' '${program}' install --root-directory "$root" "$@" >/dev/null; }
`;

async function engines(): Promise<string> {
  try {
    return await unpackEngines(defaultRelease);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    t.plan(0, error.message);
    process.exit();
  }
}

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const root = await engines();

  /** Runs a script in the engines' root and returns what it prints. */
  const run = (t: Test, script: string): string => {
    const words = ['-m', '-n', '--propagation', 'private', 'sh', '-c', enter + script, 'sh'];
    const { status, stdout, stderr } = call('unshare', [...words, root, '/mnt'], {
      timeout: 120_000,
    });
    t.equal(status, 0, stderr.slice(-3000));
    return stdout;
  };

  /**
   * Prints the names of containerd's runtimes, and what containerd logs about its CRI plugin at
   * startup.
   */
  const containerd = `
chroot . containerd config dump >run/dump
sed -n 's/.*[.]containerd[.]runtimes[.]\\([a-z]*\\)[]]$/\\1/p; s/^ *BinaryName = //p' run/dump
sed -n 's/^ *bin_dir = /bin_dir /p' run/dump
unshare --mount --pid --fork --kill-child sh -ec '
  mount -t proc proc proc
  chroot . containerd >run/log 2>&1 &
  for try in $(seq 100); do
    grep -q "successfully booted" run/log && break
    sleep 0.1
  done
  grep -o "successfully booted\\|failed to load plugin io.containerd.grpc.v1.cri.*" run/log'
`;

  t.test('containerd, as Debian has it', async (t) => {
    const said = run(t, `install --configure containerd${containerd}`);
    t.strictSame(said.trim().split('\n'), [
      ...['runc', 'tare', `"${place}"`, 'bin_dir "/usr/lib/cni"', 'successfully booted'],
    ]);
  });

  t.test('containerd, without a file and with all of its defaults', async (t) => {
    const first = `rm etc/containerd/config.toml\ninstall --configure containerd${containerd}`;
    t.match(
      run(t, first),
      new RegExp(`^runc\ntare\n"${place}"\nbin_dir.*\nsuccessfully booted\n$`),
    );
    const all = `chroot . containerd config default >etc/containerd/config.toml
install --configure containerd --systemd-cgroup${containerd}`;
    const said = run(t, all);
    t.match(said, /^runc\n/);
    t.match(said, `\ntare\n"${place}"\n`);
    t.match(said, /\nsuccessfully booted\n$/);
  });

  t.test('docker', async (t) => {
    const script = `mkdir -p etc/docker
echo '{"log-driver": "json-file"}' >etc/docker/daemon.json
install --configure docker --default
chroot . dockerd --validate 2>&1`;
    t.equal(run(t, script).split('\n')[0], 'configuration OK');
  });

  t.test('podman', async (t) => {
    const script = `install --configure podman
chroot . podman info --format 'default {{.Host.OCIRuntime.Path}}'
mkdir -p tmp/rootfs/bin
cp /bin/busybox tmp/rootfs/bin/echo
chroot . podman --runtime tare --cgroup-manager=cgroupfs run --rm --network none --pids-limit 0 \\
  --rootfs /tmp/rootfs echo hello
install --configure podman --default --force
chroot . podman info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}'`;
    t.strictSame(run(t, script).trim().split('\n'), [
      ...['default /usr/bin/crun', 'hello', `tare ${place}`],
    ]);
  });
}
