/**
 * The programs of a guest of another architecture: a small Debian of that architecture at /usr, and
 * the output of `scripts/build --arch` at build/. The rest is shared with this machine: the
 * repository, /etc, Node's package in the cache.
 */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { Unavailable, unpackRoot } from '../../scripts/debian.js';
import { platforms, type Architecture } from './platform.js';
import type { Shared } from './share.js';

/** Packages that the guest's init and the tests need. */
const packages = (
  'attr busybox-static coreutils dash findutils grep iproute2 libc-bin libstdc++6 mount procps sed uidmap ' +
  'util-linux'
).split(' ');

export async function foreignPrograms(
  architecture: Architecture,
  repository: string,
): Promise<Shared[]> {
  if (!['/bin', '/lib', '/sbin'].every((path) => lstatSync(path).isSymbolicLink()))
    throw new Unavailable('/bin, /lib and /sbin must be links into /usr: apt-get install usrmerge');
  const root = await unpackRoot(packages, { architecture: platforms[architecture].debian });
  return [
    { source: join(root, 'usr'), target: '/usr' },
    { source: join(repository, 'build', architecture), target: join(repository, 'build') },
  ];
}
