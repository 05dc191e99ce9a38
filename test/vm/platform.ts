/** What a guest's machine is on each architecture: Debian's kernel, and QEMU's board for it. */

export type Architecture = 'x64' | 'arm64';

export interface Platform {
  /** Debian's name of the architecture. */
  debian: string;
  kernel: string;
  /** The emulator, and the package that has it. */
  qemu: string;
  package: string;
  machine: string;
  cpu: string;
  /** The kernel's name of the serial port. */
  console: string;
  /** What makes an emulated boot faster. */
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
    // It takes twice as long without these.
    parameters: 'random.trust_cpu=on tsc=reliable no_timer_check',
  },
  arm64: {
    debian: 'arm64',
    kernel: 'linux-image-arm64',
    qemu: 'qemu-system-aarch64',
    package: 'qemu-system-arm',
    machine: 'virt,gic-version=3',
    // Later ones sign pointers, which an emulator is slow at.
    cpu: 'cortex-a76',
    console: 'ttyAMA0',
    parameters: 'random.trust_cpu=on',
  },
};

/** This machine's. */
export function ownArchitecture(): Architecture | undefined {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}
