/**
 * Debian's stock kernel, 6.12 or newer: virtio-pci, virtio-fs and virtio-console are built into it, so the guest
 * needs no initramfs. Overlayfs is a module, and so are block devices.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codename, unpackPackage } from '../../scripts/debian.js';
import { ownArchitecture, platforms, type Architecture } from './platform.js';

export interface Kernel {
  /** As in `uname -r`. */
  release: string;
  image: string;
  /** Directory that holds overlay.ko, loop.ko and bfq.ko, uncompressed. */
  modules: string;
}

export async function obtainKernel(architecture: Architecture): Promise<Kernel> {
  const { kernel, debian } = platforms[architecture];
  const root = await unpackPackage(kernel, {
    architecture: architecture === ownArchitecture() ? undefined : debian,
    suite: codename() === 'bookworm' ? 'bookworm-backports' : undefined,
    firstDependency: true,
    members: [
      './boot/vmlinuz-*',
      '*/kernel/fs/overlayfs/overlay.ko*',
      '*/kernel/drivers/block/loop.ko*',
      '*/kernel/block/bfq.ko*',
    ],
  });
  const image = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz-'))!;
  uncompressModules(root);
  return {
    release: image.slice('vmlinuz-'.length),
    image: join(root, 'boot', image),
    modules: root,
  };
}

/** busybox's insmod reads plain modules only. */
function uncompressModules(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const match = /([^/]+\.ko)(\.xz)?$/.exec(entry);
    if (!match || !entry.includes('/')) continue;
    const target = join(root, match[1]!);
    if (existsSync(target)) continue;
    const data = execFileSync('xz', ['--decompress', '--stdout', '--force', join(root, entry)]);
    writeFileSync(`${target}.${process.pid}`, data);
    renameSync(`${target}.${process.pid}`, target);
  }
}
