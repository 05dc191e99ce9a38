import type { Seccomp, SeccompSyscall } from './spec.js';

/**
 * System calls that ordinary programs need for computation, files, peers, threads and child
 * processes. Left out are calls that change the machine (mounts, modules, time, reboot, swap,
 * quotas), that create or join namespaces, that look into other processes or the kernel (ptrace,
 * bpf, perf events, kernel keys, userfaultfd), and that bypass a filter (io_uring).
 */
const allowed: readonly string[] = `
  accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind brk
  cachestat capget capset chdir chown chown32 clock_adjtime clock_adjtime64 clock_getres
  clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close
  close_range connect copy_file_range dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
  epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat
  exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchown fchown32
  fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
  fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
  futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32
  geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp
  getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
  get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday
  getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
  ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
  lchown lchown32 lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek
  lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore
  mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open
  mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal
  msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat _newselect pause
  pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
  ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64
  pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
  recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall
  riscv_flush_icache rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
  rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
  sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
  sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
  semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32
  setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid
  setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit
  set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr shmat
  shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn splice stat
  stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs
  sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
  timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
  timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat utime
  utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
`
  .trim()
  .split(/\s+/);

/** The CLONE_NEW* flags of clone(2). */
const newNamespaces = 0x7e020000;
const afUnix = 1;
const afInet = 2;
const afInet6 = 10;
const afNetlink = 16;
/** Mask of a socket's type, without SOCK_CLOEXEC and SOCK_NONBLOCK. */
const socketTypes = 0xf;
const sockStream = 1;
const sockDgram = 2;
const ipprotoTcp = 6;
const ipprotoUdp = 17;
const netlinkRoute = 0;
const eperm = 1;
const enosys = 38;

const setUid = 0o4000;
const setGid = 0o2000;
const setIds = setUid | setGid;
/** Flags for which open(2) reads its mode: O_CREAT, and O_TMPFILE without O_DIRECTORY. */
const creatingFlags = [0o100, 0o20000000];

/** Calls that take a file's mode, with the index of that argument. */
const modeArguments: Readonly<Record<string, number>> = {
  chmod: 1,
  fchmod: 1,
  fchmodat: 2,
  fchmodat2: 2,
  mkdir: 1,
  mkdirat: 2,
  mknod: 1,
  mknodat: 2,
  creat: 1,
};
/** Calls whose mode is used only with {@link creatingFlags}, in the argument before it. */
const openModeArguments: Readonly<Record<string, number>> = { open: 2, openat: 3 };
/**
 * Calls that can create files with a mode that a filter cannot see: in a structure, or on a ring.
 */
const withHiddenModes = ['openat2', 'io_uring_setup'];
/**
 * Asynchronous I/O: contexts count against a limit of the whole machine (fs.aio-max-nr). Programs
 * do without it if the kernel does not have it.
 */
const asynchronousIo = [
  ...['io_setup', 'io_destroy', 'io_submit', 'io_cancel'],
  ...['io_getevents', 'io_pgetevents', 'io_pgetevents_time64'],
];

type Condition = NonNullable<SeccompSyscall['args']>[number];

const equal = (index: number, value: number): Condition => ({ index, value, op: 'SCMP_CMP_EQ' });

const masked = (index: number, mask: number, value: number): Condition => ({
  index,
  value: mask,
  valueTwo: value,
  op: 'SCMP_CMP_MASKED_EQ',
});

const rule = (action: string, names: readonly string[], errno?: number) => {
  return (...args: Condition[]): SeccompSyscall => ({
    names: [...names],
    action,
    ...(errno !== undefined && { errnoRet: errno }),
    ...(args.length > 0 && { args }),
  });
};
const allow = (...names: string[]) => rule('SCMP_ACT_ALLOW', names);
const refuse = (errno: number, ...names: string[]) => rule('SCMP_ACT_ERRNO', names, errno);

/** Allows calls that create files or change modes, except with set-id modes. */
function withoutSetIds(): SeccompSyscall[] {
  const creating = creatingFlags.reduce((all, flag) => all | flag);
  return [
    ...Object.entries(modeArguments).map(([name, mode]) => allow(name)(masked(mode, setIds, 0))),
    // Without these flags the mode is unused, and its register holds any value.
    ...Object.entries(openModeArguments).flatMap(([name, mode]) => [
      allow(name)(masked(mode - 1, creating, 0)),
      allow(name)(masked(mode, setIds, 0)),
    ]),
    refuse(enosys, 'openat2')(),
  ];
}

/**
 * Allows sockets of the families that programs are written for. Kernel bugs are easiest to reach
 * through the others.
 */
function sockets(): SeccompSyscall[] {
  const protocols = [
    [sockStream, 0],
    [sockStream, ipprotoTcp],
    [sockDgram, 0],
    [sockDgram, ipprotoUdp],
  ] as const;
  return [
    allow('socket')(equal(0, afUnix)),
    ...[afInet, afInet6].flatMap((family) =>
      protocols.map(([type, protocol]) =>
        allow('socket')(equal(0, family), masked(1, socketTypes, type), equal(2, protocol)),
      ),
    ),
    // Addresses and routes, for getifaddrs(3) and getaddrinfo(3).
    allow('socket')(equal(0, afNetlink), equal(2, netlinkRoute)),
    allow('socketpair')(equal(0, afUnix)),
  ];
}

/**
 * Returns the default filter of {@link run}, an allowlist: other system calls fail with EPERM.
 * Those that are newer than the list fail with ENOSYS, as on a kernel without them.
 *
 * Modes with a set-id bit are refused: on a writable file system of the host, such a file would run
 * with its owner's privileges outside the container.
 */
export function defaultSeccomp(): Seccomp {
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: eperm,
    // Only the native architecture: programs of another one are killed.
    syscalls: [
      allow(...allowed)(),
      // No new namespaces. A filter cannot see the arguments of clone3(2); with ENOSYS, C libraries
      // fall back to clone(2).
      allow('clone')(masked(0, newNamespaces, 0)),
      refuse(enosys, 'clone3')(),
      // The Linux domain, and the domains that 32-bit programs set.
      ...[0x0, 0x0008, 0x20000, 0x20008, 0xffffffff].map((domain) =>
        allow('personality')(equal(0, domain)),
      ),
      ...withoutSetIds(),
      ...sockets(),
      refuse(enosys, ...asynchronousIo)(),
    ],
  };
}

/**
 * Returns a filter that refuses only set-id modes, for containers that are otherwise unconfined and
 * can write to files of the host.
 */
export function noSetIdSeccomp(): Seccomp {
  const values = [setUid, setGid, setIds];
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    // All architectures that the kernel may execute: programs of other ones are killed.
    architectures: ['X86_64', 'X86', 'X32', 'AARCH64', 'ARM'].map((name) => `SCMP_ARCH_${name}`),
    syscalls: [
      ...Object.entries(modeArguments).flatMap(([name, mode]) =>
        values.map((value) => refuse(eperm, name)(masked(mode, setIds, value))),
      ),
      ...Object.entries(openModeArguments).flatMap(([name, mode]) =>
        creatingFlags.flatMap((flag) =>
          values.map((value) =>
            refuse(eperm, name)(masked(mode - 1, flag, flag), masked(mode, setIds, value)),
          ),
        ),
      ),
      refuse(enosys, ...withHiddenModes)(),
    ],
  };
}
