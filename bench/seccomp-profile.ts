/** Seccomp profiles of the size that engines give to containers. */
import { existsSync, readFileSync } from 'node:fs';

interface Rule {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: { index: number; value: number; valueTwo?: number; op: string }[];
  includes?: { caps?: string[]; arches?: string[] };
  excludes?: { caps?: string[]; arches?: string[] };
}
interface Profile {
  architectures?: string[];
  archMap?: { architecture: string; subArchitectures: string[] | null }[];
  syscalls: Rule[];
  [name: string]: unknown;
}

const architecture =
  process.arch === 'x64'
    ? { oci: 'SCMP_ARCH_X86_64', docker: 'amd64', more: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] }
    : { oci: 'SCMP_ARCH_AARCH64', docker: 'arm64', more: ['SCMP_ARCH_ARM'] };

/**
 * Reads a profile from a file, as linux.seccomp. From docker's own format it takes what applies to
 * an ordinary container: the rules of this architecture that need no capability.
 */
export function readProfile(path: string): object {
  const { archMap, ...profile } = JSON.parse(readFileSync(path, 'utf8')) as Profile;
  const ordinary = ({ includes, excludes }: Rule): boolean =>
    includes?.caps === undefined &&
    (includes?.arches?.includes(architecture.docker) ?? true) &&
    !(excludes?.arches?.includes(architecture.docker) ?? false);
  const own = archMap?.find((entry) => entry.architecture === architecture.oci);
  return {
    ...profile,
    architectures:
      own === undefined
        ? profile.architectures
        : [own.architecture, ...(own.subArchitectures ?? [])],
    syscalls: profile.syscalls
      .filter(ordinary)
      .map(({ names, action, errnoRet, args }) => ({ names, action, errnoRet, args })),
  };
}

/**
 * System calls that affect the whole host or other processes, which engines allow only with a
 * capability.
 */
const privileged =
  'acct add_key afs_syscall bpf chroot clock_settime clock_settime64 clone clone3 create_module delete_module ' +
  'fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms getpmsg init_module ioperm iopl ' +
  'io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind ' +
  'migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open ' +
  'personality pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot ' +
  'request_key security set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday ' +
  'socket stime swapoff swapon _sysctl syslog tuxcall umount umount2 unshare uselib userfaultfd ustat vhangup ' +
  'vm86 vm86old vserver';

/** Returns the names of all system calls in this machine's kernel headers. */
function callNames(): string[] {
  const directory = process.arch === 'x64' ? 'x86_64-linux-gnu/asm' : 'aarch64-linux-gnu/asm';
  const files = ['unistd_64.h', 'unistd_32.h', 'unistd_x32.h'].map(
    (name) => `/usr/include/${directory}/${name}`,
  );
  const headers = [...files, '/usr/include/asm-generic/unistd.h'].filter((file) =>
    existsSync(file),
  );
  const texts = headers.map((file) => readFileSync(file, 'utf8')).join('');
  return [...new Set([...texts.matchAll(/^#define __NR_(\w+)/gm)].map(([, name = '']) => name))];
}

/**
 * Returns a profile like docker's default of 2026: the same default action, number of names and
 * number of conditions.
 */
export function likeDockers(): object {
  const denied = new Set(privileged.split(' '));
  const allow = (names: string[], args?: Rule['args']): Rule => ({
    names,
    action: 'SCMP_ACT_ALLOW',
    ...(args && { args }),
  });
  const equal = (name: string, values: number[]): Rule[] =>
    values.map((value) => allow([name], [{ index: 0, value, op: 'SCMP_CMP_EQ' }]));
  const newNamespaces = 0x7e020000;
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    architectures: [architecture.oci, ...architecture.more],
    syscalls: [
      allow(callNames().filter((name) => !denied.has(name))),
      allow(['socket'], [{ index: 0, value: 12, op: 'SCMP_CMP_LT' }]),
      // Address families, except those that only a host's own programs need.
      ...equal('socket', [...range(13, 19), ...range(21, 37), 39, ...range(41, 46)]),
      ...equal('personality', [0, 8, 0x20000, 0x20008, 0xffffffff]),
      allow(['clone'], [{ index: 0, value: newNamespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
    ],
  };
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}
