/** A guest's machine on each architecture: Debian's kernel and QEMU's board. */

export type Architecture = 'x64' | 'arm64';

export interface Platform {
  /** Debian's name of the architecture. */
  debian: string;
  kernel: string;
  /** The emulator, and the package that contains it. */
  qemu: string;
  package: string;
  machine: string;
  cpu: string;
  /** The kernel's name of the serial port. */
  console: string;
  /** Kernel parameters that make an emulated boot faster. */
  parameters: string;
}

export const platforms: Record<Architecture, Platform> = {
  x64: {
    debian: 'amd64',
    kernel: 'linux-image-amd64',
    qemu: 'qemu-system-x86_64',
    package: 'qemu-system-x86',
    machine: 'q35',
    cpu: 'max,la57=off',
    console: 'ttyS0',
    // Without these the boot takes twice as long.
    parameters: 'random.trust_cpu=on tsc=reliable no_timer_check',
  },
  arm64: {
    debian: 'arm64',
    kernel: 'linux-image-arm64',
    qemu: 'qemu-system-aarch64',
    package: 'qemu-system-arm',
    machine: 'virt,gic-version=3',
    // Later processors sign pointers, which is slow under emulation.
    cpu: 'cortex-a76',
    console: 'ttyAMA0',
    parameters: 'random.trust_cpu=on',
  },
};

/** This machine's architecture. */
export function ownArchitecture(): Architecture | undefined {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}
