import { createHash, randomBytes } from 'node:crypto';
import {
  access,
  chmod,
  constants,
  lstat,
  mkdir,
  readlink,
  realpath,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Recently } from './recently.js';
import type { Mount } from './spec.js';

/** What a root made of the host's files consists of. */
export interface HostRoot {
  /** A directory with the mount points. */
  path: string;
  mounts: Mount[];
  /** To be searched for programs, behind the usual ones. */
  programs: string[];
}

/** A place in the container's root at which something is mounted. */
export interface MountPoint {
  path: string;
  isDirectory: boolean;
}

/** Programs and libraries. Nothing in them is anybody's secret. */
const trees = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
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
/** Where this Node is, if it is not in the trees. */
const nodeDirectory = '/opt/node';

const standing = new Recently(exists);
const made = new Map<string, Promise<HostRoot>>();

/**
 * The host's programs and libraries, for containers that bring no root of their own: read-only, and
 * nothing of anybody's home, of the machine's secrets or of what runs on it. `state` is where
 * containers are kept, `points` are places at which more will be mounted.
 *
 * Its directory is shared by all containers that want the same, and stays for the next.
 */
export async function hostRoot(state: string, points: readonly MountPoint[]): Promise<HostRoot> {
  const text = JSON.stringify(points);
  const key = `${state}\0${text}`;
  const known = made.get(key);
  if (known !== undefined) {
    const root = await known;
    const stands = standing.ask(root.path);
    if (stands === true || (await stands)) return root;
  }
  // Of those who find none at the same time the first one makes it.
  let root = made.get(key);
  if (root === undefined || root === known) {
    root = makeHostRoot(state, points);
    made.set(key, root);
    root.catch(() => made.delete(key));
  }
  return root;
}

/** What a directory is to have in it, each after what it lies in. */
type Entry = { path: string } & ({ directory: true } | { link: string } | { content: string });

async function makeHostRoot(state: string, points: readonly MountPoint[]): Promise<HostRoot> {
  const { entries, mounts, programs } = await plan(points);
  const text = JSON.stringify(entries);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const path = join(state, `@host-root-${hash}`);
  if (!(await exists(path))) await make(state, path, entries);
  return { path, mounts, programs };
}

async function plan(
  points: readonly MountPoint[],
): Promise<{ entries: Entry[]; mounts: Mount[]; programs: string[] }> {
  const entries = new Map<string, Entry>();
  const mounts: Mount[] = [];
  const programs: string[] = [];
  const directory = (path: string): void => {
    if (path === '/' || entries.has(path)) return;
    directory(dirname(path));
    entries.set(path, { path, directory: true });
  };
  const file = (path: string, content = ''): void => {
    directory(dirname(path));
    entries.set(path, { path, content });
  };
  for (const name of ['dev', 'etc', 'home', 'proc', 'root', 'run', 'sys', 'tmp', 'var']) {
    directory(`/${name}`);
  }
  entries.set('/var/tmp', { path: '/var/tmp', link: '/tmp' });
  entries.set('/var/run', { path: '/var/run', link: '/run' });
  for (const tree of trees) {
    const status = await lstat(tree).catch(() => undefined);
    if (status?.isSymbolicLink()) {
      entries.set(tree, { path: tree, link: await readlink(tree) });
    } else if (status?.isDirectory()) {
      directory(tree);
      mounts.push(readOnly(tree, tree));
    }
  }
  for (const name of settings) {
    const source = await readable(join('/etc', name));
    if (source === undefined) continue;
    const target = join('/etc', name);
    if ((await lstat(source)).isDirectory()) directory(target);
    else file(target);
    mounts.push(readOnly(source, target));
  }
  const prefix = dirname(dirname(await realpath(process.execPath)));
  if (prefix !== '/' && !isInTrees(prefix)) {
    directory(nodeDirectory);
    mounts.push(readOnly(prefix, nodeDirectory));
    programs.push(`${nodeDirectory}/bin`);
  }
  file(
    '/etc/passwd',
    'root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  );
  file('/etc/group', 'root:x:0:\nnogroup:x:65534:\n');
  file('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n');
  file('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  file('/etc/resolv.conf');
  for (const point of points) {
    const target = resolve('/', point.path);
    // In a file system of the container's own, or of the host, it is made or there.
    if (/^\/(dev|proc|run|sys|tmp)\//.test(target) || isInTrees(target) || entries.has(target)) {
      continue;
    }
    if (point.isDirectory) directory(target);
    else file(target);
  }
  return { entries: [...entries.values()], mounts, programs };
}

/** By another name until it is whole: other programs look for it at the same time. */
async function make(state: string, path: string, entries: readonly Entry[]): Promise<void> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const making = join(state, `@making-${randomBytes(6).toString('hex')}`);
  await mkdir(making);
  try {
    for (const entry of entries) {
      const place = join(making, entry.path);
      if ('link' in entry) await symlink(entry.link, place);
      else if ('content' in entry) await writeFile(place, entry.content);
      else await mkdir(place);
      // Whatever the umask is: the container's users must be able to read it.
      if (!('link' in entry)) await chmod(place, 'directory' in entry ? 0o755 : 0o644);
    }
    await chmod(making, 0o755);
    await rename(making, path);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    // Another program was quicker.
    if (!(await exists(path))) throw error;
  }
}

const isInTrees = (path: string): boolean =>
  trees.some((tree) => path === tree || path.startsWith(`${tree}/`));

function readOnly(source: string, destination: string): Mount {
  return { source, destination, options: ['rbind', 'rro', 'nosuid', 'nodev'] };
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Where a path leads to; undefined where it leads nowhere, or nowhere that this user may read. */
async function readable(path: string): Promise<string | undefined> {
  try {
    const found = await realpath(path);
    await access(found, constants.R_OK);
    return found;
  } catch {
    return undefined;
  }
}
