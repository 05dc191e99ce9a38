/**
 * Debian's stock kernel, 6.12 or newer. virtio-pci, virtio-fs and virtio-console are built in, so
 * the guest needs no initramfs. Overlayfs and block devices are modules.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { codename, unpackPackage } from '../../scripts/debian.js';
import { ownArchitecture, platforms, type Architecture } from './platform.js';

export interface Kernel {
  /** As `uname -r` prints it. */
  release: string;
  image: string;
  /**
   * Directory with overlay.ko, loop.ko and bfq.ko, uncompressed, and in lib/modules/RELEASE the
   * files that depmod(8) and modprobe(8) need for those, tunnels, bridges, packet filters and
   * socket diagnostics.
   */
  modules: string;
}

/** busybox's insmod reads uncompressed modules only. */
const plain = ['fs/overlayfs/overlay', 'drivers/block/loop', 'block/bfq'];
/** Needed for the networks of container engines. */
const networking = [
  ...[
    'drivers/net/tun',
    'drivers/net/veth',
    'drivers/net/dummy',
    'crypto/crc32c*',
    'lib/*crc*',
    'net/802/*',
    'net/llc/*',
  ],
  ...['net/bridge/*', 'net/ipv4/netfilter/*', 'net/ipv6/netfilter/*', 'net/netfilter/*'],
];
/** criu lists sockets through these. */
const diagnosis = ['net/ipv4/*_diag', 'net/netlink/*_diag', 'net/packet/*_diag', 'net/unix/*_diag'];
const modules = [...plain, ...networking, ...diagnosis].map((name) => `*/kernel/${name}.ko*`);

export async function obtainKernel(architecture: Architecture): Promise<Kernel> {
  const { kernel, debian } = platforms[architecture];
  const root = await unpackPackage(kernel, {
    architecture: architecture === ownArchitecture() ? undefined : debian,
    suite: codename() === 'bookworm' ? 'bookworm-backports' : undefined,
    firstDependency: true,
    members: ['./boot/vmlinuz-*', './*/modules.builtin*', './*/modules.order', ...modules],
  });
  const image = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz-'))!;
  uncompressModules(root);
  return {
    release: image.slice('vmlinuz-'.length),
    image: join(root, 'boot', image),
    modules: root,
  };
}

function uncompressModules(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const name = /\/kernel\/(.*)\.ko(\.xz)?$/.exec(entry)?.[1];
    if (name === undefined || !plain.includes(name)) continue;
    const target = join(root, `${basename(name)}.ko`);
    if (existsSync(target)) continue;
    const data = execFileSync('xz', ['--decompress', '--stdout', '--force', join(root, entry)]);
    writeFileSync(`${target}.${process.pid}`, data);
    renameSync(`${target}.${process.pid}`, target);
  }
}
