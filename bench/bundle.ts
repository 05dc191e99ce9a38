import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const busybox = '/bin/busybox';

function defaultMounts(): object[] {
  const quiet = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...quiet, 'mode=1777', 'size=65536k'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...quiet, 'relatime', 'ro'],
    },
  ];
}

/**
 * Returns the configuration that `tare spec` and `runc spec` generate, except for terminal and
 * arguments.
 */
function defaultConfig(
  args: string[],
  seccomp?: object,
): { mounts: object[]; [name: string]: unknown } {
  const capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];
  return {
    ociVersion: '1.2.1',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args,
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'runc',
    mounts: defaultMounts(),
    linux: {
      seccomp,
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/sys/firmware',
        '/proc/scsi',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

/**
 * Makes an OCI bundle of the default configuration over busybox, in a new directory.
 * @param binds number of host directories to mount, every other one read-only
 * @param seccomp linux.seccomp; none if absent
 */
export function makeBundle(
  directory: string,
  args: string[],
  { binds = 0, seccomp }: { binds?: number; seccomp?: object } = {},
): string {
  if (!existsSync(busybox)) {
    throw new Error(`${busybox} is absent: apt-get install busybox-static`);
  }
  const rootfs = join(directory, 'rootfs');
  mkdirSync(join(rootfs, 'bin'), { recursive: true });
  for (const mountPoint of ['proc', 'dev', 'sys', 'tmp']) mkdirSync(join(rootfs, mountPoint));
  copyFileSync(busybox, join(rootfs, 'bin/busybox'));
  for (const applet of ['true', 'sleep']) symlinkSync('busybox', join(rootfs, 'bin', applet));
  const config = defaultConfig(args, seccomp);
  for (let i = 0; i < binds; i++) {
    const source = join(directory, 'volumes', String(i));
    const destination = `/volumes/${i}`;
    for (const path of [source, join(rootfs, destination)]) mkdirSync(path, { recursive: true });
    const options = ['rbind', 'rprivate', ...(i % 2 === 0 ? ['ro', 'nosuid'] : [])];
    config.mounts.push({ destination, type: 'bind', source, options });
  }
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config, null, 2));
  return directory;
}
