/** The root of containers that bring none: what programs of the host need, in a tmpfs of their own. */
import { access, constants, lstat, opendir, readlink, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nodeInstallation } from './node-installation.js';
import { Recently } from './recently.js';
import type { Mount } from './spec.js';

/** What a root gets that init makes, before all mounts. See `NativeCreateOptions.rootEntries`. */
export interface RootEntry {
  path: string;
  /** A symlink, that leads there. */
  link?: string;
  /** A file with that. */
  content?: string;
}

/** What a root made of the host's files consists of. */
export interface HostRoot {
  /** Directories, files and links in it, as JSON of {@link RootEntry}. */
  entries: string;
  mounts: readonly Mount[];
  /** To be searched for programs, behind the usual ones. */
  programs: readonly string[];
}

/** Programs, libraries, and what they read: the directories of /usr and /usr/local that are shown. */
const inUsr = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'libexec', 'share'];
/** Links into /usr, or directories where it is not merged. */
const inRoot = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
const trees = [
  ...inRoot.map((name) => `/${name}`),
  ...inUsr.map((name) => `/usr/${name}`),
  ...inUsr.map((name) => `/usr/local/${name}`),
];
/** Of /etc what programs need to be loaded, to speak TLS and to tell the time. */
const settings = [
  'alternatives',
  'ca-certificates',
  'ld.so.cache',
  'localtime',
  'pki',
  'ssl/certs',
  'ssl/openssl.cnf',
];
/** What is in every such root. Of two paths the shorter one first, so that each has its directory. */
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
const found = new Recently(lookAtHost);
let last: HostRoot | undefined;

/**
 * The host's programs and libraries, for containers that bring no root of their own: read-only, and
 * nothing of anybody's home, of the machine's secrets or of what runs on it. Nothing is made on the
 * host for it.
 */
export function hostRoot(): HostRoot | Promise<HostRoot> {
  return found.ask(everywhere);
}

/** After a start that failed: the host may have changed. */
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
    // A link costs less than a mount.
    if (isBelow(setting.source, shown)) make({ path: setting.path, link: setting.source });
    else show(setting.source, setting.path, setting.isDirectory);
  }
  const node = await nodeInstallation((path) => isBelow(path, shown));
  for (const { source, path, isDirectory } of node.shown) show(source, path, isDirectory);
  for (const link of node.links) make(link);
  // One directory after the other, as init opens each for all that it makes there.
  const entries = [...made.values()].sort(
    (one, other) => depth(one) - depth(other) || compare(dirname(one.path), dirname(other.path)),
  );
  const root = { entries: JSON.stringify(entries), mounts, programs: node.programs };
  // The same object for the same root, by which the text of a configuration is known.
  if (last === undefined || JSON.stringify(last) !== JSON.stringify(root)) last = root;
  return last;
}

const depth = ({ path }: RootEntry): number => path.split('/').length;
const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/** Where a tree leads that is a link; else whether there is something in it. */
async function look(path: string): Promise<string | boolean> {
  try {
    const status = await lstat(path);
    if (status.isSymbolicLink()) return await readlink(path);
    if (!status.isDirectory()) return false;
    const directory = await opendir(path);
    const entry = await directory.read();
    await directory.close();
    return entry !== null;
  } catch {
    return false;
  }
}

/** Whether a path of the host is in one of these directories. */
function isBelow(path: string, directories: ReadonlySet<string>): boolean {
  for (let above = dirname(path); above !== '/'; above = dirname(above)) {
    if (directories.has(above)) return true;
  }
  return false;
}

function readOnly(source: string, destination: string): Mount {
  return { source, destination, options: ['rbind', 'rro', 'rnosuid', 'rnodev'] };
}

/** Something in /etc; undefined where it leads nowhere, or nowhere that this user may read. */
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
