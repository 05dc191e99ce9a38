/**
 * The root file system of containers that bring none: what programs of the host need, in a tmpfs.
 */
import { opendirSync } from 'node:fs';
import { access, constants, lstat, readlink, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nodeInstallation } from './node-installation.js';
import { TtlCache } from './ttl-cache.js';
import type { Mount } from '../../spec/spec.js';

/**
 * An entry that init makes in the root before all mounts. See `NativeCreateOptions.rootEntries`.
 */
export interface RootEntry {
  path: string;
  /** Target of a symlink. */
  link?: string;
  /** Content of a file. */
  content?: string;
}

/** The contents of a root made of the host's files. */
export interface HostRoot {
  /** Equal for equal contents. */
  version: number;
  /** Its directories, files and links, as JSON of {@link RootEntry}. */
  entries: string;
  mounts: readonly Mount[];
  /** Directories to search for programs, after the usual ones. */
  programs: readonly string[];
}

/** Directories of /usr and /usr/local that are shown: programs, libraries, and what they read. */
const inUsr = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'libexec', 'share'];
/** Symlinks into /usr, or directories where /usr is not merged. */
const inRoot = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
const trees = [
  ...inRoot.map((name) => `/${name}`),
  ...inUsr.map((name) => `/usr/${name}`),
  ...inUsr.map((name) => `/usr/local/${name}`),
];
/** Files of /etc that programs need to be loaded, to use TLS and to know the time zone. */
const settings = [
  'alternatives',
  'ca-certificates',
  'ld.so.cache',
  'localtime',
  'pki',
  'ssl/certs',
  'ssl/openssl.cnf',
];
/**
 * Entries of every such root. Of two paths the shorter comes first: a parent precedes its children.
 */
const always: readonly RootEntry[] = [
  ...['dev', 'etc', 'home', 'proc', 'root', 'run', 'sys', 'tmp', 'usr', 'var'].map((name) => ({
    path: `/${name}`,
  })),
  { path: '/var/run', link: '/run' },
  { path: '/var/tmp', link: '/tmp' },
  {
    path: '/etc/passwd',
    content: 'root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  },
  { path: '/etc/group', content: 'root:x:0:\nnogroup:x:65534:\n' },
  { path: '/etc/hosts', content: '127.0.0.1 localhost\n::1 localhost\n' },
  {
    path: '/etc/nsswitch.conf',
    content: 'passwd: files\ngroup: files\nhosts: files dns\n',
  },
  { path: '/etc/resolv.conf', content: '' },
];

const everywhere = '/';
const found = new TtlCache(lookAtHost);
let last: HostRoot | undefined;

/**
 * Returns the host's programs and libraries, read-only, for containers that bring no root of their
 * own. It contains nothing of home directories, of the machine's secrets or of running services.
 * Nothing is created on the host for it.
 */
export function hostRoot(): HostRoot | Promise<HostRoot> {
  return found.ask(everywhere);
}

/** Discards the cached root after a failed start: the host may have changed. */
export function forgetHostRoot(): void {
  found.forget(everywhere);
}

async function lookAtHost(): Promise<HostRoot> {
  const made = new Map(always.map((entry) => [entry.path, entry]));
  const mounts: Mount[] = [];
  const make = (entry: RootEntry): void => {
    const directory = dirname(entry.path);
    if (directory !== '/' && !made.has(directory)) make({ path: directory });
    if (!made.has(entry.path)) made.set(entry.path, entry);
  };
  const show = (source: string, path: string, isDirectory: boolean): void => {
    make(isDirectory ? { path } : { path, content: '' });
    mounts.push(readOnly(source, path));
  };
  for (const [index, status] of (await Promise.all(trees.map(look))).entries()) {
    const tree = trees[index]!;
    if (typeof status === 'string') make({ path: tree, link: status });
    else if (status) show(tree, tree, true);
  }
  const shown = new Set(mounts.map(({ destination }) => destination));
  for (const setting of await Promise.all(settings.map(readable))) {
    if (setting === undefined) continue;
    // A symlink costs less than a mount.
    if (isBelow(setting.source, shown)) make({ path: setting.path, link: setting.source });
    else show(setting.source, setting.path, setting.isDirectory);
  }
  const node = await nodeInstallation((path) => isBelow(path, shown));
  for (const { source, path, isDirectory } of node.shown) show(source, path, isDirectory);
  for (const link of node.links) make(link);
  // Sorted by directory: init opens each directory once for all its entries.
  const entries = [...made.values()].sort(
    (one, other) => depth(one) - depth(other) || compare(dirname(one.path), dirname(other.path)),
  );
  const version = last?.version ?? 0;
  const root = { version, entries: JSON.stringify(entries), mounts, programs: node.programs };
  if (JSON.stringify(last) !== JSON.stringify(root)) last = { ...root, version: version + 1 };
  return last!;
}

const depth = ({ path }: RootEntry): number => path.split('/').length;
const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/**
 * Returns the target of a symlink; for anything else, whether it is a directory that is not empty.
 */
async function look(path: string): Promise<string | boolean> {
  try {
    const status = await lstat(path);
    if (status.isSymbolicLink()) return await readlink(path);
    if (!status.isDirectory()) return false;
    return !isEmpty(path);
  } catch {
    return false;
  }
}

/**
 * Synchronous: the descriptor of an asynchronous opendir() stays open if the worker thread is
 * terminated meanwhile.
 */
function isEmpty(path: string): boolean {
  const directory = opendirSync(path);
  try {
    return directory.readSync() === null;
  } finally {
    directory.closeSync();
  }
}

/** Whether a path of the host is below one of these directories. */
function isBelow(path: string, directories: ReadonlySet<string>): boolean {
  for (let above = dirname(path); above !== '/'; above = dirname(above)) {
    if (directories.has(above)) return true;
  }
  return false;
}

function readOnly(source: string, destination: string): Mount {
  return { source, destination, options: ['rbind', 'rro', 'rnosuid', 'rnodev'] };
}

/** Looks up an entry of /etc; undefined if it does not exist, or this user may not read it. */
async function readable(
  name: string,
): Promise<{ source: string; path: string; isDirectory: boolean } | undefined> {
  const path = join('/etc', name);
  try {
    const source = await realpath(path);
    await access(source, constants.R_OK);
    return { source, path, isDirectory: (await lstat(source)).isDirectory() };
  } catch {
    return undefined;
  }
}
