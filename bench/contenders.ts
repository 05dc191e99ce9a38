import { spawnSync } from 'node:child_process';
import { accessSync, constants, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A runtime to measure. */
export interface Contender {
  name: string;
  /** Path of the executable, as seen where it is run. */
  path: string;
  /** The first line of --version. */
  version: string;
}

const peers = ['crun', 'runc'];
const searchPath = process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin';

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function find(name: string, root: string): string | undefined {
  const paths = searchPath.split(delimiter).map((directory) => join(directory, name));
  return paths.find((path) => isExecutable(join(root, path)));
}

function versionOf(name: string, path: string, prefix: string[]): string {
  const [command = path, ...args] = [...prefix, path, '--version'];
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined || status !== 0) {
    throw new Error(`${name}: ${path} --version failed: ${error?.message ?? stderr}`);
  }
  return stdout.split('\n', 1)[0] ?? '';
}

/**
 * Returns the runtimes to compare tare with: crun and runc if they are installed, and the named
 * ones.
 * @param named NAME=PATH each; replaces a runtime of that name that is found in PATH
 * @param root the file system they are installed in, '/' for the host's
 * @param prefix what to put before a command to run it there
 */
export function findPeers(named: string[], root: string, prefix: string[]): Contender[] {
  const paths = new Map<string, string>();
  for (const name of peers) {
    const path = find(name, root);
    if (path !== undefined) paths.set(name, path);
  }
  for (const peer of named) {
    const [, name, path] = /^([a-z0-9.-]+)=(\/.+)$/.exec(peer) ?? [];
    if (name === undefined || path === undefined) {
      throw new Error(`--peer ${peer}: wanted NAME=PATH, an absolute path, as crun=/usr/bin/crun`);
    }
    if (['tare', 'floor'].includes(name)) throw new Error(`--peer ${peer}: ${name} is ours`);
    paths.set(name, root === '/' ? realpathSync(path) : path);
  }
  return [...paths].map(([name, path]) => ({ name, path, version: versionOf(name, path, prefix) }));
}

/** Returns tare itself, if it is built. */
export function findTare(path: string): Contender | undefined {
  if (!isExecutable(path)) return undefined;
  return { name: 'tare', path, version: versionOf('tare', path, []) };
}
