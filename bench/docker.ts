/** Docker's daemon, where there is one, by dockerode. */
import { spawn } from 'node:child_process';
import { request, type RequestOptions } from 'node:http';
import { env } from 'node:process';
import type { Readable, Writable } from 'node:stream';
import { installedPackage, requireFrom } from './npm-package.js';

export const dockerodeVersion = '5.0.1';

/** As far as it is used of dockerode. */
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

/** Where the daemon is said to be, as docker(1) has it. */
function address(): RequestOptions {
  const host = env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
  if (host.startsWith('unix://')) return { socketPath: host.slice('unix://'.length) };
  const { hostname, port } = new URL(host);
  return { hostname, port };
}

/** Why no daemon can be asked; undefined if one answers. */
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

/** The directory with dockerode in it. */
export function dockerodeDirectory(): string {
  return installedPackage('dockerode', dockerodeVersion);
}

/** A client of the daemon that DOCKER_HOST names. */
export function connect(directory: string): Docker {
  const Client = requireFrom(directory, 'dockerode') as new () => Docker;
  return new Client();
}

/** Makes an image of the files of a directory. */
export async function importImage(docker: Docker, repo: string, rootfs: string): Promise<void> {
  const tar = spawn('tar', ['-C', rootfs, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const progress = await docker.importImage(tar.stdout, { repo, tag: 'latest' });
  for await (const _ of progress) void _;
}

/** As near as docker's options come to what run() does. */
export const dockerOptions = {
  Tty: false,
  HostConfig: {
    NetworkMode: 'none',
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges'],
  },
};
