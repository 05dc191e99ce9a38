/** The machine that QEMU emulates. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kernel } from './kernel.js';
import { ownArchitecture, platforms, type Architecture } from './platform.js';

export interface Machine {
  architecture: Architecture;
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
  /** The security module that labels processes; the kernel supports only one at a time. */
  lsm: 'apparmor' | 'selinux';
  /** Directories below /tmp or /run that the guest's own tmpfs would hide. */
  directories: string[];
  systemd: boolean;
}

export function findExecutable(name: string): string | undefined {
  const path = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin');
  return path.map((directory) => join(directory, name)).find((file) => existsSync(file));
}

/** In a machine that is a guest itself, /dev/kvm without vmx or svm cannot run a kernel. */
function hasKvm(architecture: Architecture): boolean {
  if (architecture !== ownArchitecture()) return false;
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8');
  if (architecture === 'x64' && !/^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo)) return false;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const words = (text: string) => text.trim().split(/\s+/);

function kernelCommandLine(machine: Machine): string {
  const { architecture, kernel, init, lsm, directories, systemd } = machine;
  const { console, parameters } = platforms[architecture];
  return [
    `root=root rootfstype=virtiofs ro console=${console} loglevel=4 panic=-1 oops=panic`,
    `${lsm}=1 lsm=landlock,yama,${lsm},bpf cgroup_no_v1=all`,
    `mitigations=off nokaslr cryptomgr.notests ${parameters}`,
    ...(systemd ? ['SYSTEMD=yes'] : []),
    `SHARED="${directories.join(':')}" init=/bin/busybox -- sh "${init}" "${kernel.modules}"`,
  ].join(' ');
}

export function qemuArguments(machine: Machine): string[] {
  const { architecture, kernel, memory, cpus, rootSocket, portSockets } = machine;
  const { machine: board, cpu } = platforms[architecture];
  return [
    ...words('-nodefaults -no-user-config -no-reboot -display none'),
    ...words(`-machine ${board},memory-backend=memory -m ${memory}M -smp ${cpus} -cpu ${cpu}`),
    ...words(`-object memory-backend-memfd,id=memory,size=${memory}M,share=on`),
    ...['-accel', hasKvm(architecture) ? 'kvm' : 'tcg,thread=multi'],
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
