/** The root and the mounts of a sandbox's configuration. */
import { isAbsolute, relative, resolve } from 'node:path';
import { geteuid } from 'node:process';
import { invalidArgument } from '../errors.js';
import { bytesOf, ordinary } from '../options/option-values.js';
import type { Mount } from '../spec/spec.js';
import type { BindMount, OptionsBesideRoot, SandboxOptions } from './sandbox-options.js';

const defaultTmpSize = '64MiB';
/** Size in bytes of a tmpfs that holds very little. */
const small = 2 ** 20;

function memory(destination: string, mode: string, limit: number, flags: string[]): Mount {
  return {
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', ...flags, `mode=${mode}`, `size=${limit}`],
  };
}

/** A container's root file system. */
export interface Root {
  /** A directory. */
  path: string;
  /** Mounted on `path` to be the root, if the directory itself is not. */
  mount?: Mount;
  /** Mounts in the root, made before the mounts of the options. */
  mounts: readonly Mount[];
  /**
   * Whether /run exists or can be created: a root with another owner may lack it, and the
   * container's root could not create it.
   */
  hasRun: boolean;
}

const none: readonly Mount[] = [];

/** Returns the root for the options `rootfs` and `readonly`. */
export function rootOf(rootfs: string, readonly: boolean | undefined, hasRun: boolean): Root {
  const path = resolve(rootfs);
  if (readonly !== false || geteuid!() !== 0) return { path, mounts: none, hasRun };
  // A container created by root has other uids, but what it writes must be owned by the host's
  // root. A symlink could have been created by another command.
  const options = ['rbind', 'idmap', 'nosuid', 'nodev', 'src-no-symlinks'];
  return {
    path: '/',
    mount: { destination: '/', type: 'bind', source: path, options },
    mounts: none,
    hasRun,
  };
}

/** Returns a new root, which starts empty. */
export function newRoot(
  { readonly = true, tmpSize }: OptionsBesideRoot,
  mounts: readonly Mount[],
): Root {
  const size = readonly ? small : bytesOf('tmpSize', tmpSize ?? defaultTmpSize);
  return { path: '/', mount: memory('/', '755', size, []), mounts, hasRun: true };
}

/** Whether the container's processes can create files in a file system of the host. */
export function writesToHost({
  readonly = true,
  mounts = [],
}: Pick<SandboxOptions, 'readonly' | 'mounts'>): boolean {
  const isReadOnly = (mount: BindMount | Mount): boolean => {
    if (!('type' in mount || 'options' in mount)) return (mount as BindMount).writable !== true;
    // `ro` does not apply to submounts, and of contradicting options the last one wins.
    const { options = [] } = mount;
    return options.includes('rro') && !options.some((word) => word === 'rw' || word === 'rrw');
  };
  return !readonly || !mounts.every(isReadOnly);
}

/** Returns the mounts of a configuration. */
export function mountsOf(options: OptionsBesideRoot, root: Root): Mount[] {
  return [
    ...(root.mount ? [ordinary(root.mount)] : []),
    ...systemMounts(options, (options.network ?? 'none') === 'none', root.hasRun),
    ...root.mounts.map(ordinary),
    ...(options.mounts ?? []).map(mountOf),
  ];
}

/** Returns the system mounts. Mounting sysfs needs ownership of the network namespace. */
function systemMounts(
  options: Pick<SandboxOptions, 'tmpSize'>,
  ownNetwork: boolean,
  hasRun: boolean,
): Mount[] {
  const bytes = bytesOf('tmpSize', options.tmpSize ?? defaultTmpSize);
  const quiet = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'noexec', 'strictatime', 'mode=755', `size=${small}`],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    memory('/dev/shm', '1777', bytes, ['noexec']),
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet },
    ...(ownNetwork
      ? [{ destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] }]
      : []),
    memory('/tmp', '1777', bytes, []),
    ...(hasRun ? [memory('/run', '755', small, [])] : []),
  ];
}

function mountOf(mount: BindMount | Mount, index: number): Mount {
  if ('type' in mount || 'options' in mount) return ordinary<Mount>(mount);
  const { source, within, destination, writable = false } = mount as BindMount;
  // A container created by root has other uids: id-mapped mounts show files of the host's root as
  // owned by the container's root.
  const owners = geteuid!() === 0 ? ['idmap'] : [];
  const flags = ['rbind', 'nosuid', 'nodev', writable ? 'rw' : 'rro', ...owners];
  return within === undefined
    ? { source: resolve(source), destination, options: [...flags, 'src-no-symlinks'] }
    : {
        source: pathWithin(`mounts[${index}]`, source, within),
        destination,
        options: [...flags, `src-within=${resolve(within)}`],
      };
}

/** Returns `source` relative to `within`. The kernel checks where it leads. */
function pathWithin(option: string, source: string, within: string): string {
  const path = isAbsolute(source) ? relative(within, source) : source;
  if (isAbsolute(source) && /^\.\.(?:\/|$)/.test(path)) {
    throw invalidArgument(`${option}.source: ${source} is not below ${within}, its "within"`);
  }
  return path === '' ? '.' : path;
}
