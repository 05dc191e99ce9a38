/** Access to Docker's daemon, if there is one, by dockerode. */
import { spawn } from 'node:child_process';
import { request, type RequestOptions } from 'node:http';
import { env } from 'node:process';
import type { Readable, Writable } from 'node:stream';
import { installedPackage, requireFrom } from './npm-package.js';

/** The part of dockerode that is used here. */
export interface Docker {
  importImage(archive: Readable, options: { repo: string; tag: string }): Promise<Readable>;
  getImage(name: string): { remove(): Promise<unknown> };
  run(
    image: string,
    command: string[],
    streams: Writable[],
    options: object,
  ): Promise<[{ StatusCode: number }, { remove(): Promise<unknown> }]>;
  version(): Promise<{ Version: string }>;
}

/** Returns the daemon's address, as docker(1) determines it. */
function address(): RequestOptions {
  const host = env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
  if (host.startsWith('unix://')) return { socketPath: host.slice('unix://'.length) };
  const { hostname, port } = new URL(host);
  return { hostname, port };
}

/** Returns why no daemon is available; undefined if one answers. */
export async function whyNoDocker(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const asked = request({ ...address(), path: '/_ping', timeout: 5000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200 ? undefined : `its answer is ${answer.statusCode}`);
    });
    asked.on('timeout', () => asked.destroy(new Error('it does not answer')));
    asked.on('error', (error) => resolve(error.message));
    asked.end();
  });
}

/** Returns the directory with dockerode in it. */
export function dockerodeDirectory(): string {
  return installedPackage('dockerode');
}

/** Returns a client of the daemon that DOCKER_HOST names. */
export function connect(directory: string): Docker {
  const Client = requireFrom(directory, 'dockerode') as new () => Docker;
  return new Client();
}

/** Makes an image from the files of a directory. */
export async function importImage(docker: Docker, repo: string, rootfs: string): Promise<void> {
  const tar = spawn('tar', ['-C', rootfs, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const progress = await docker.importImage(tar.stdout, { repo, tag: 'latest' });
  for await (const _ of progress) void _;
}

/** Docker's options that come closest to what run() does. */
export const dockerOptions = {
  Tty: false,
  HostConfig: {
    NetworkMode: 'none',
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges'],
  },
};
