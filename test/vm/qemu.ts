/** The machine that QEMU makes. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kernel } from './kernel.js';

export interface Machine {
  kernel: Kernel;
  /** MiB. */
  memory: number;
  cpus: number;
  /** Socket of virtiofsd. */
  rootSocket: string;
  /** Sockets that QEMU connects the ports to, in the order in which guest-init.sh numbers them. */
  portSockets: string[];
  /** Path of guest-init.sh. */
  init: string;
  /** The security module that labels processes; the kernel takes one. */
  lsm: 'apparmor' | 'selinux';
  /** Directories below /tmp or /run that the guest's own tmpfs would hide. */
  directories: string[];
  systemd: boolean;
}

export function findExecutable(name: string): string | undefined {
  const path = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin');
  return path.map((directory) => join(directory, name)).find((file) => existsSync(file));
}

/** A hypervisor without hardware support, in a machine that is a guest itself, runs no kernel. */
function hasKvm(): boolean {
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8');
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo)) return false;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const words = (text: string) => text.trim().split(/\s+/);

function kernelCommandLine({ kernel, init, lsm, directories, systemd }: Machine): string {
  return [
    'root=root rootfstype=virtiofs ro console=ttyS0 loglevel=4 panic=-1 oops=panic',
    `${lsm}=1 lsm=landlock,yama,${lsm},bpf cgroup_no_v1=all`,
    // An emulated boot takes twice as long without these.
    'mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on tsc=reliable no_timer_check',
    ...(systemd ? ['SYSTEMD=yes'] : []),
    `SHARED="${directories.join(' ')}" init=/bin/busybox -- sh "${init}" "${kernel.modules}"`,
  ].join(' ');
}

export function qemuArguments(machine: Machine): string[] {
  const { kernel, memory, cpus, rootSocket, portSockets } = machine;
  return [
    ...words('-nodefaults -no-user-config -no-reboot -display none'),
    ...words(`-machine q35,memory-backend=memory -m ${memory}M -smp ${cpus} -cpu max,la57=off`),
    ...words(`-object memory-backend-memfd,id=memory,size=${memory}M,share=on`),
    ...['-accel', hasKvm() ? 'kvm' : 'tcg,thread=multi'],
    ...['-chardev', `socket,id=root,path=${rootSocket}`],
    ...words('-device vhost-user-fs-pci,chardev=root,tag=root'),
    ...words('-chardev stdio,id=console,signal=off -serial chardev:console'),
    ...words('-device virtio-serial-pci'),
    ...portSockets.flatMap((path, index) => [
      ...['-chardev', `socket,id=port${index},path=${path}`],
      ...words(`-device virtserialport,chardev=port${index},nr=${index + 1}`),
    ]),
    ...['-kernel', kernel.image, '-append', kernelCommandLine(machine)],
  ];
}
