/** A system call: the role of its process, its name and its occurrence. */
export interface Point {
  role: string;
  call: string;
  number: number;
}

/**
 * The errnos that a system call is made to fail with, from its man page; the most fitting one
 * first.
 */
const errors: Record<string, string[]> = {
  bpf: ['ENOMEM', 'EAGAIN', 'ENOSPC', 'EACCES'],
  capset: ['EPERM'],
  chdir: ['EACCES', 'ENOMEM'],
  chroot: ['EACCES', 'ENOMEM'],
  clone: ['EAGAIN', 'ENOMEM'],
  clone3: ['EAGAIN', 'ENOMEM', 'ENOSPC', 'EACCES'],
  close: ['EINTR', 'ENOSPC'],
  close_range: ['ENOMEM', 'EMFILE'],
  connect: ['ECONNREFUSED', 'EINTR', 'EACCES'],
  dup3: ['EMFILE'],
  execve: ['ENOMEM', 'EACCES', 'EMFILE'],
  execveat: ['ENOMEM', 'EACCES', 'EMFILE'],
  faccessat2: ['EACCES', 'ENOMEM'],
  fchdir: ['EACCES', 'ENOMEM'],
  fchmod: ['ENOSPC', 'EPERM'],
  fchmodat: ['ENOSPC', 'EPERM'],
  fchmodat2: ['ENOSPC', 'EPERM'],
  fchown: ['ENOSPC', 'EPERM'],
  fchownat: ['ENOSPC', 'EPERM'],
  fcntl: ['EMFILE', 'ENOMEM'],
  flock: ['EINTR', 'ENOLCK'],
  fsconfig: ['ENOMEM', 'EACCES'],
  fsetxattr: ['ENOSPC', 'ENOMEM'],
  fsmount: ['EMFILE', 'ENOSPC', 'ENOMEM'],
  fsopen: ['EMFILE', 'ENOMEM'],
  fspick: ['EMFILE', 'ENOMEM'],
  fstat: ['ENOMEM'],
  fstatfs: ['ENOMEM'],
  getcwd: ['ENOMEM', 'EACCES'],
  getdents64: ['ENOMEM', 'EIO'],
  getrandom: ['EINTR'],
  getsockopt: ['ENOBUFS'],
  ioctl: ['ENOMEM', 'EACCES'],
  keyctl: ['EDQUOT', 'ENOMEM', 'EACCES'],
  linkat: ['ENOSPC', 'EACCES'],
  listmount: ['ENOMEM'],
  lseek: ['EIO'],
  madvise: ['ENOMEM'],
  memfd_create: ['EMFILE', 'ENOMEM', 'EACCES'],
  mkdir: ['ENOSPC', 'EACCES', 'ENOMEM'],
  mkdirat: ['ENOSPC', 'EACCES', 'ENOMEM'],
  mknodat: ['ENOSPC', 'EACCES', 'ENOMEM'],
  mmap: ['ENOMEM'],
  mount: ['ENOMEM', 'EACCES', 'ENOSPC'],
  mount_setattr: ['ENOMEM', 'EPERM', 'EACCES'],
  move_mount: ['ENOSPC', 'ENOMEM', 'EACCES'],
  mprotect: ['ENOMEM'],
  mremap: ['ENOMEM'],
  munmap: ['ENOMEM'],
  name_to_handle_at: ['ENOMEM'],
  newfstatat: ['ENOMEM', 'EACCES'],
  open_tree: ['EMFILE', 'ENOSPC', 'EACCES'],
  openat: ['EMFILE', 'ENOSPC', 'ENOMEM', 'EINTR', 'EACCES'],
  openat2: ['EMFILE', 'ENOSPC', 'ENOMEM', 'EINTR', 'EACCES', 'EAGAIN'],
  pidfd_open: ['EMFILE', 'ENOMEM'],
  pidfd_send_signal: ['EPERM'],
  pipe2: ['EMFILE', 'ENOMEM'],
  pivot_root: ['ENOMEM', 'EBUSY'],
  poll: ['EINTR', 'ENOMEM'],
  ppoll: ['EINTR', 'ENOMEM'],
  prctl: ['EPERM', 'EINVAL'],
  pread64: ['ENOMEM', 'EINTR'],
  prlimit64: ['EPERM'],
  pwrite64: ['ENOSPC', 'EINTR'],
  read: ['EIO', 'ENOMEM', 'EINTR'],
  readlink: ['ENOMEM', 'EACCES'],
  readlinkat: ['ENOMEM', 'EACCES'],
  recvfrom: ['ENOMEM', 'EINTR'],
  recvmsg: ['ENOMEM', 'EINTR'],
  renameat: ['ENOSPC', 'EACCES'],
  renameat2: ['ENOSPC', 'EACCES'],
  rmdir: ['EBUSY', 'EACCES'],
  rt_sigtimedwait: ['EINTR'],
  sched_setaffinity: ['ENOMEM', 'EPERM'],
  seccomp: ['ENOMEM', 'EACCES'],
  sendmsg: ['ENOMEM', 'EINTR'],
  sendto: ['ENOMEM', 'EINTR'],
  setdomainname: ['EPERM'],
  setgroups: ['ENOMEM', 'EPERM'],
  sethostname: ['EPERM'],
  setns: ['ENOMEM', 'EPERM'],
  setresgid: ['EPERM'],
  setresuid: ['EAGAIN', 'EPERM'],
  setsid: ['EPERM'],
  signalfd4: ['EMFILE', 'ENOMEM'],
  socket: ['EMFILE', 'ENOMEM', 'EACCES'],
  socketpair: ['EMFILE', 'ENOMEM'],
  statfs: ['ENOMEM', 'EACCES'],
  statx: ['ENOMEM', 'EACCES'],
  symlinkat: ['ENOSPC', 'EACCES', 'ENOMEM'],
  timerfd_create: ['EMFILE'],
  umount2: ['ENOMEM', 'EBUSY'],
  unlinkat: ['EBUSY', 'EACCES'],
  unshare: ['ENOSPC', 'ENOMEM', 'EPERM'],
  utimensat: ['EACCES', 'ENOSPC'],
  wait4: ['EINTR'],
  waitid: ['EINTR'],
  write: ['ENOSPC', 'EINTR', 'ENOMEM', 'EACCES'],
};

/**
 * Calls that fail only for invalid arguments. glibc's malloc requires that brk(2) either always
 * works or never: a single failure ends the program by an assertion in glibc.
 */
const neverFail = new Set(
  (
    'arch_prctl brk exit exit_group futex geteuid getpid getppid gettid getuid restart_syscall rseq ' +
    'rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list set_tid_address umask'
  ).split(' '),
);

/** Calls that init retries. No signal handler interrupts init, so most calls need no retry. */
const repeatedByInit = ['openat2', 'read', 'recvmsg', 'sendto', 'write'];

/** Whether `errno` means that the call has to be retried, and its process does so. */
export function isPassing({ role, call, number }: Point, errno: string): boolean {
  // bpf(2): the verifier's EAGAIN, when a program is loaded.
  if (errno === 'EAGAIN') return call === 'openat2' || (call === 'bpf' && number === 1);
  return errno === 'EINTR' && (role === 'host' || repeatedByInit.includes(call));
}

/** The errnos for `call`, empty if it cannot fail; undefined for a call that is not known here. */
export function errorsOf(call: string): string[] | undefined {
  return neverFail.has(call) ? [] : errors[call];
}
