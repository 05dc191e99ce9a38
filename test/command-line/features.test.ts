/**
 * `features`: its form is that of features.md, and its content is true: what it lists is accepted,
 * everything else is refused.
 */
import { spawnSync } from 'node:child_process';
import t from 'tap';

import { Sandbox, type Config } from '../support/tare.js';

interface Features {
  ociVersionMin: string;
  ociVersionMax: string;
  hooks: string[];
  mountOptions: string[];
  annotations: Record<string, string>;
  potentiallyUnsafeConfigAnnotations: string[];
  linux: {
    namespaces: string[];
    capabilities: string[];
    cgroup: Record<string, boolean>;
    seccomp: Record<string, string[]> & { enabled: boolean };
    memoryPolicy: { modes: string[]; flags: string[] };
    intelRdt: Record<string, boolean>;
    mountExtensions: { idmap: { enabled: boolean } };
    netDevices: { enabled: boolean };
    apparmor: { enabled: boolean };
    selinux: { enabled: boolean };
  };
}

const sandbox = new Sandbox(t);
const features = JSON.parse(sandbox.must(['features']).stdout) as Features;

/** Returns the errors and warnings of `plan` for a config; empty if there are none. */
function complaint(edit: (config: Config) => void): string {
  const bundle = sandbox.bundle(['true'], edit);
  return sandbox.tare(['plan', '--bundle', bundle]).stderr;
}

t.test('form', async (t) => {
  const strings = (value: unknown): boolean =>
    Array.isArray(value) && value.every((one) => typeof one === 'string');
  t.match(features.ociVersionMin, /^1\.0\.0$/);
  t.match(features.ociVersionMax, /^1\.3\.0$/);
  const { linux } = features;
  const lists = {
    hooks: features.hooks,
    mountOptions: features.mountOptions,
    potentiallyUnsafeConfigAnnotations: features.potentiallyUnsafeConfigAnnotations,
    namespaces: linux.namespaces,
    capabilities: linux.capabilities,
    modes: linux.memoryPolicy.modes,
    flags: linux.memoryPolicy.flags,
    ...Object.fromEntries(Object.entries(linux.seccomp).filter(([key]) => key !== 'enabled')),
  };
  for (const [name, list] of Object.entries(lists)) {
    t.ok(strings(list), name);
    t.equal(new Set(list).size, list.length, `${name}: each once`);
  }
  t.strictSame(Object.keys(linux.seccomp).sort(), [
    ...['actions', 'archs', 'enabled', 'knownFlags', 'operators', 'supportedFlags'],
  ]);
  const flags = { ...linux.cgroup, ...linux.intelRdt };
  for (const [name, flag] of Object.entries(flags)) t.type(flag, 'boolean', name);
  t.strictSame(Object.keys(linux.cgroup).sort(), ['rdma', 'systemd', 'systemdUser', 'v1', 'v2']);
  t.strictSame(Object.keys(linux.intelRdt).sort(), ['enabled', 'monitoring', 'schemata']);
  for (const enabled of [linux.seccomp, linux.apparmor, linux.selinux, linux.netDevices]) {
    t.type(enabled.enabled, 'boolean');
  }
  t.type(linux.mountExtensions.idmap.enabled, 'boolean');
  for (const [name, value] of Object.entries(features.annotations)) {
    t.type(value, 'string', name);
  }
  t.match(features.annotations['io.github.seccomp.libseccomp.version'], /^\d+\.\d+\.\d+$/);
  t.equal(features.annotations['org.opencontainers.runc.checkpoint.enabled'], 'true');
  t.strictSame(features.potentiallyUnsafeConfigAnnotations, [
    ...['org.criu.config', 'org.systemd.property.', 'run.oci.'],
  ]);
});

t.test('hooks are those that are read', async (t) => {
  t.strictSame(features.hooks, [
    ...['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
  ]);
  for (const kind of features.hooks) {
    const said = complaint((config) => (config.hooks = { [kind]: [{ path: 'relative' }] }));
    t.match(said, `hooks.${kind}[0].path`);
  }
});

t.test('namespaces', async (t) => {
  const kinds = ['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts'];
  t.strictSame(features.linux.namespaces, kinds);
  for (const type of kinds) {
    const said = complaint((config) => {
      config.linux.namespaces = kinds.map((kind) => ({ type: kind }));
      config.linux.namespaces.push({ type });
      const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
      config.linux['uidMappings'] = config.linux['gidMappings'] = mapping;
    });
    t.match(said, 'appears twice', type);
  }
});

t.test('capabilities', async (t) => {
  const { capabilities } = features.linux;
  t.ok(capabilities.every((name) => /^CAP_[A-Z_]+$/.test(name)));
  t.equal(capabilities.length, 41, 'all that Linux has');
  const only = (bounding: string[]) => (config: Config) => {
    config.process.capabilities = { bounding };
  };
  const own = sandbox.bundle(['true'], only(capabilities));
  const plan = sandbox.must(['plan', '--bundle', own]).stdout;
  for (const name of capabilities) t.match(plan, new RegExp(`${name}\\b`));
});

t.test('seccomp', async (t) => {
  const { actions, operators, archs, knownFlags, supportedFlags } = features.linux.seccomp as {
    [key: string]: string[];
  };
  const base = { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/agent' };
  const args = operators?.map((op, index) => ({ index: index % 6, value: index, op }));
  const all = actions?.map((action) => ({ names: ['mkdir'], action }));
  const profile = {
    ...base,
    architectures: archs,
    flags: supportedFlags,
    syscalls: [...(all ?? []), { names: ['openat'], action: 'SCMP_ACT_ERRNO', args }],
  };
  t.equal(
    complaint((config) => (config.linux['seccomp'] = profile)),
    '',
  );
  t.ok(supportedFlags?.every((flag) => knownFlags?.includes(flag)));
  const facts = {
    // From config-linux.md.
    actions: 'ALLOW ERRNO KILL KILL_PROCESS KILL_THREAD LOG NOTIFY TRACE TRAP',
    operators: 'EQ GE GT LE LT MASKED_EQ NE',
    archs:
      'AARCH64 ARM LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PARISC PARISC64 ' +
      'PPC PPC64 PPC64LE RISCV64 S390 S390X SH SHEB X32 X86 X86_64',
  };
  const short = (names: string[] | undefined) =>
    names?.map((name) => name.replace(/^SCMP_[A-Z]+_/, '')).join(' ');
  t.equal(short(actions), facts.actions);
  t.equal(short(operators), facts.operators);
  t.equal(short(archs), facts.archs);
  t.strictSame(knownFlags?.map((flag) => flag.replace('SECCOMP_FILTER_FLAG_', '')).sort(), [
    ...['LOG', 'SPEC_ALLOW', 'TSYNC', 'WAIT_KILLABLE_RECV'],
  ]);
  // The oldest kernel that tare runs on has each of these except the last.
  t.ok(supportedFlags?.includes('SECCOMP_FILTER_FLAG_SPEC_ALLOW'));
});

t.test('mount options', async (t) => {
  // The options that config.md "Linux mount options" requires of every runtime.
  const demanded =
    'async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime ' +
    'noexec noiversion nolazytime norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev ' +
    'rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid ' +
    'rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw ' +
    'shared silent slave strictatime suid symfollow sync unbindable';
  const missing = demanded.split(' ').filter((name) => !features.mountOptions.includes(name));
  t.strictSame(missing, []);
  /**
   * Returns the plan's line for a tmpfs with the option, which shows the options that are passed to
   * the file system, or else the errors.
   */
  const left = (option: string): string => {
    const bundle = sandbox.bundle(['true'], (config) => {
      const mount = { destination: '/x', type: 'tmpfs', source: 'x', options: [option] };
      if (/^r?idmap$/.test(option)) {
        // idmap is only for mounts from the host, and needs a mapping.
        const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
        const mapped = { uidMappings: mapping, gidMappings: mapping };
        Object.assign(mount, { type: 'bind', options: ['rbind', option], ...mapped });
      }
      if (option === 'copy-symlink') {
        Object.assign(mount, { type: 'bind', source: '/etc', options: ['bind', option] });
      }
      if (option === 'src-no-symlinks') {
        Object.assign(mount, { type: 'bind', source: '/etc', options: ['bind', option] });
      }
      if (option === 'src-within') {
        Object.assign(mount, { type: 'bind', source: 'etc', options: ['bind', `${option}=/`] });
      }
      config.mounts.push(mount);
    });
    const { stdout, stderr } = sandbox.tare(['plan', '--bundle', bundle]);
    return /^.*tmpfs x \/x.*$/m.exec(stdout)?.[0] ?? stderr;
  };
  t.match(left('size=1k'), 'size=1k');
  // crun's options for all mounts of a file system; a new file system has only one mount.
  const recursive = ['rasync', 'rdirsync', 'rmand', 'rnomand', 'rsync'];
  t.strictSame(
    recursive.filter((name) => !features.mountOptions.includes(name)),
    [],
  );
  for (const option of recursive) t.equal(left(option), left(option.slice(1)), option);
  for (const option of features.mountOptions) {
    t.notMatch(left(option), /level=error/, option);
  }
});

t.test('fields: what is said to be there is not refused as missing', async (t) => {
  const missing = (edit: (config: Config) => void) => complaint(edit).includes('not implemented');
  const { linux } = features;
  t.equal(
    missing((config) => (config.linux['netDevices'] = { eth0: {} })),
    !linux.netDevices.enabled,
  );
  t.equal(
    missing((config) => (config.linux['intelRdt'] = { schemata: ['L3:0=f'] })),
    !linux.intelRdt['schemata'],
  );
  t.equal(
    missing((config) => {
      const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
      const idmapped = { uidMappings: mapping, gidMappings: mapping };
      config.mounts.push({ destination: '/x', source: '/tmp', options: ['bind'], ...idmapped });
    }),
    !linux.mountExtensions.idmap.enabled,
  );
  t.equal(
    missing((config) => (config.linux['memoryPolicy'] = { mode: 'MPOL_DEFAULT' })),
    linux.memoryPolicy.modes.length === 0,
  );
  const { stderr } = sandbox.tare(['state', 'none'], { global: ['--systemd-cgroup'] });
  t.equal(stderr.includes('not implemented'), !linux.cgroup['systemd']);
});

t.test('the version, as engines parse it', async (t) => {
  const git = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' });
  const commit = (git.error ? '' : git.stdout.trim()) || 'unknown';
  const lines = sandbox.must(['--version']).stdout.split('\n');
  t.match(lines[0], /^tare version \d+\.\d+\.\d+$/);
  t.match(lines[1], /^commit: ([0-9a-f]{40}|unknown)$/);
  if (process.env['CI'] === 'true') t.equal(lines[1], `commit: ${commit}`);
  t.equal(lines[2], 'spec: 1.3.0');
  t.match(
    lines[3],
    `libseccomp: ${String(features.annotations['io.github.seccomp.libseccomp.version'])}`,
  );
  t.match(lines[4], /^start: (quick|ordinary)$/, 'whether quick_start.cc is linked');
});
