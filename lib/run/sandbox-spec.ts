import { resolve } from 'node:path';
import { geteuid, getegid } from 'node:process';
import { binding } from '../native/binding.js';
import { errorFrom, invalidArgument, TareError } from '../errors.js';
import { bytesOf, checkedOptions, ordinary } from '../options/option-values.js';
import { defaultSeccomp, noSetIdSeccomp } from '../spec/seccomp-profile.js';
import type { Linux, NamespaceType, Resources, Seccomp, Spec, User } from '../spec/spec.js';
import { checkedCommand, sandboxChecks } from './sandbox-checks.js';
import { mountsOf, rootOf, writesToHost, type Root } from './sandbox-mounts.js';
import type { OptionsBesideRoot, SandboxOptions } from './sandbox-options.js';
import { commandOf, processOf, userOf } from './sandbox-process.js';

const namespaces: readonly NamespaceType[] = [
  'pid',
  'network',
  'ipc',
  'uts',
  'mount',
  'cgroup',
  'user',
];
/**
 * A placeholder: the core replaces this hostID by the first of 65536 ids that no other container
 * has.
 */
const ownIds = 0x7ffd0000;
const idCount = 65_536;

/**
 * An ordinary user's inotify limits (128 instances, as a rule) are shared by all programs of that
 * user. A container created by root has limits of its own.
 */
const rootlessLimits = {
  'user.max_inotify_instances': '32',
  'user.max_inotify_watches': '8192',
};

const periodUs = 100_000;

const masked = [
  ...['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats'],
  ...['sched_debug', 'scsi'],
].map((name) => `/proc/${name}`);
const readOnlyPaths = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`);

/**
 * Returns the configuration of a container that runs `command` with what `options` allow: by
 * default new namespaces of every type except time, no network, no capabilities, no new privileges,
 * an allowlist of system calls. It is an ordinary {@link Spec}, which can be changed before it is
 * passed to {@link Container.create}.
 *
 * A container created by root has uids of its own: {@link Container.create} replaces the `hostID`
 * of its mappings by the first of 65536 ids that no other container has. A container created by an
 * ordinary user maps only that user and, with another `user` than 0, the ids of /etc/subuid and
 * /etc/subgid.
 *
 * @param command the program, looked up in the container's PATH, and its arguments
 * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT`, naming the invalid option. The host is not
 * examined, except for the ids of `user`: {@link Container.create} reports what the host lacks.
 */
export function sandboxSpec(command: readonly string[], options: SandboxOptions): Spec {
  const args = checkedCommand(command);
  const checked = checkedOptions<SandboxOptions>(options, sandboxChecks);
  const { rootfs } = checked;
  if (rootfs === undefined) throw invalidArgument('rootfs: must be given');
  const { ociVersion, ...rest } = surroundingsOf(checked, rootOf(rootfs, checked.readonly, true));
  return {
    ociVersion,
    process: { ...commandOf(args, checked), ...processOf(checked) },
    ...rest,
  };
}

/** Returns the configuration without its process. */
export function surroundingsOf(options: OptionsBesideRoot, root: Root): Spec {
  const { network = 'none', hostname = 'tare' } = options;
  const maps = idMaps(userOf(options.user ?? 0));
  const seccomp = seccompOf(options);
  return {
    ociVersion: '1.3.0',
    root: { path: root.path, readonly: options.readonly ?? true },
    hostname,
    mounts: mountsOf(options, root),
    ...(options.annotations && { annotations: { ...options.annotations } }),
    linux: {
      namespaces: namespaces
        .filter((type) => type !== 'network' || network !== 'host')
        .map((type) =>
          type === 'network' && typeof network === 'object'
            ? { type, path: resolve(network.path) }
            : { type },
        ),
      ...maps,
      ...(geteuid!() !== 0 && { sysctl: { ...rootlessLimits } }),
      resources: resourcesOf(options),
      ...(seccomp && { seccomp }),
      maskedPaths: network === 'none' ? [...masked, '/sys/firmware'] : [...masked],
      readonlyPaths: [...readOnlyPaths],
    },
  };
}

function seccompOf(options: OptionsBesideRoot): Seccomp | undefined {
  const { seccomp = 'default' } = options;
  if (seccomp === 'default') return defaultSeccomp();
  if (seccomp !== 'unconfined') return ordinary(seccomp);
  // An ordinary user's own files, such as one for standard output, are the container root's.
  return geteuid!() !== 0 || writesToHost(options) ? noSetIdSeccomp() : undefined;
}

/**
 * Returns the id mappings. Containers created by root have ids of their own. An ordinary user may
 * map its own id without privilege; for others newuidmap(1) is executed, which takes longer than
 * everything else.
 */
function idMaps(user: User): Pick<Linux, 'uidMappings' | 'gidMappings'> {
  if (geteuid!() === 0) {
    const range = { containerID: 0, hostID: ownIds, size: idCount };
    return { uidMappings: [range], gidMappings: [{ ...range }] };
  }
  const { uid = 0, gid = 0 } = user;
  if (uid === 0 && gid === 0) {
    return {
      uidMappings: [{ containerID: 0, hostID: geteuid!(), size: 1 }],
      gidMappings: [{ containerID: 0, hostID: getegid!(), size: 1 }],
    };
  }
  try {
    return binding.subordinateMappings();
  } catch (failure) {
    const { message, code } = errorFrom(failure) as TareError;
    throw new TareError(`user: ${uid}:${gid}: ${message}`, { code, path: 'user', cause: failure });
  }
}

function resourcesOf(options: Pick<SandboxOptions, 'memory' | 'cpus' | 'pids'>): Resources {
  const { memory, cpus, pids } = options;
  const limit = memory === undefined || memory === Infinity ? undefined : bytesOf('memory', memory);
  return {
    devices: [{ allow: false, access: 'rwm' }],
    // Swap would only delay the OOM kill.
    ...(limit !== undefined && { memory: { limit, swap: limit } }),
    ...(cpus !== undefined &&
      cpus !== Infinity && {
        cpu: { period: periodUs, quota: Math.round(cpus * periodUs) },
      }),
    ...(pids !== undefined && pids !== Infinity && { pids: { limit: pids } }),
  };
}
