/** The contenders of library.ts: each runs a command in a container, or the closest equivalent. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, dockerodeDirectory, importImage, whyNoDocker } from './docker.js';
import type { Work } from './library-process.js';
import { installedPackage, lockedVersion } from './npm-package.js';
import { work } from './work-directory.js';
import { cgroupPrefix } from './private-view.js';

export interface Contender {
  name: string;
  /** Returns the command line of a process; each measurement starts a new one. */
  command: (work: Partial<Work>) => [string, string[]];
  /** Whether it is so slow that it is measured with a tenth of the commands. */
  slow?: boolean;
}

export interface Contenders {
  all: Contender[];
  /** Versions of the contenders other than tare. */
  versions: Record<string, string>;
  /** Contenders that are missing, with the reason. */
  absent: Record<string, string>;
  /** Removes what the contenders created outside of this benchmark. */
  dispose(): Promise<void>;
}

/** The same as `run() with rootfs`, so that the difference is the cost of the reaper. */
export const withoutReaper = 'run() with rootfs, init: false';

/**
 * Returns the command line of a program below `root`, run with the libraries of that file system.
 */
function program(root: string, name: string): string[] | undefined {
  const path = ['usr/bin', 'bin'].map((dir) => join(root, dir, name)).find(existsSync);
  if (path === undefined || root === '/') return path === undefined ? undefined : [path];
  const loader = join(root, 'lib64/ld-linux-x86-64.so.2');
  return [loader, '--library-path', join(root, 'usr/lib/x86_64-linux-gnu'), path];
}

/** Returns the first line of the output of --version. */
function versionOf([command = '', ...args]: string[]): string {
  const { stdout } = spawnSync(command, [...args, '--version'], { encoding: 'utf8' });
  return stdout.split('\n', 1)[0] ?? '';
}

/** The bwrap options that come closest to what run() does. */
const bwrapOptions = (rootfs: string): string[] => [
  ...['--unshare-all', '--die-with-parent', '--new-session', '--clearenv', '--cap-drop', 'ALL'],
  ...['--ro-bind', rootfs, '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
];

/** Required by its documentation. */
const isolatedVmFlags = ['--no-node-snapshot'];

/** Returns the contenders that this machine has. */
export async function findContenders(bundle: string, peersRoot: string): Promise<Contenders> {
  const script = fileURLToPath(new URL('library-process.ts', import.meta.url));
  const root = join(work, 'state/node');
  const id = `${cgroupPrefix()}node`;
  const contender = (
    name: string,
    kind: string,
    more: Partial<Work> = {},
    flags: string[] = [],
  ): Contender => ({
    name,
    command: (given) => [
      process.execPath,
      [
        ...process.execArgv,
        ...flags,
        script,
        kind,
        JSON.stringify({ root, bundle, id, ...more, ...given }),
      ],
    ],
  });
  const all = [
    contender('run() with rootfs', 'run'),
    contender(withoutReaper, 'run', { init: false }),
    contender('run()', 'host'),
    contender('Container', 'container'),
  ];
  const absent: Contenders['absent'] = {};
  const versions: Contenders['versions'] = {};
  for (const [name, args] of spawnedCommands(bundle)) {
    const found = program(peersRoot, name);
    if (found) {
      all.push(contender(name, 'spawn', { command: [...found, ...args] }));
      versions[name] = versionOf(found);
    } else {
      absent[name] = `it is not installed in ${peersRoot}`;
    }
  }
  const docker = await findDocker(`${bundle}/rootfs`, absent);
  if (docker) {
    const { version, ...place } = docker;
    all.push({ ...contender('dockerode', 'docker', place), slow: true });
    versions['dockerode'] = `${lockedVersion('dockerode')}, docker ${version}`;
  }
  all.push({ ...contender('node in run()', 'node'), slow: true });
  const packages = findIsolatedVm(absent);
  if (packages !== undefined) {
    all.push(contender('isolated-vm', 'isolate', { packages }, isolatedVmFlags));
    versions['isolated-vm'] = lockedVersion('isolated-vm');
  }
  return {
    all,
    versions,
    absent,
    async dispose() {
      if (docker) await connect(docker.packages).getImage(docker.image).remove();
    },
  };
}

/** The arguments with which other programs run `true` in a container, by the program's name. */
function spawnedCommands(bundle: string): readonly (readonly [string, readonly string[]])[] {
  const state = ['--root', join(work, 'state/crun')];
  return [
    ['crun', [...state, 'run', '--bundle', bundle, 'ID']],
    ['bwrap', [...bwrapOptions(`${bundle}/rootfs`), '/bin/true']],
  ];
}

async function findDocker(
  rootfs: string,
  absent: Contenders['absent'],
): Promise<{ packages: string; image: string; version: string } | undefined> {
  const why = await whyNoDocker();
  if (why !== undefined) {
    absent['dockerode'] = `there is no docker daemon to ask: ${why}; DOCKER_HOST names one`;
    return undefined;
  }
  const image = `${cgroupPrefix()}true`;
  try {
    const packages = dockerodeDirectory();
    const client = connect(packages);
    await importImage(client, image, rootfs);
    return { packages, image, version: (await client.version()).Version };
  } catch (error) {
    absent['dockerode'] = (error as Error).message;
    return undefined;
  }
}

/** isolated-vm is prebuilt for Node 24 and later; for others it would take minutes to compile. */
function findIsolatedVm(absent: Contenders['absent']): string | undefined {
  if (Number(process.versions.node.split('.')[0]) < 24) {
    absent['isolated-vm'] =
      `${lockedVersion('isolated-vm')} needs Node 24: scripts/with-node 24 npm run bench -- library`;
    return undefined;
  }
  try {
    return installedPackage('isolated-vm');
  } catch (error) {
    absent['isolated-vm'] = (error as Error).message;
    return undefined;
  }
}
