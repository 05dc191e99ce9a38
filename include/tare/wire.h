/// \file
/// The format that host and init share: the plan that init executes, and the messages between the
/// two.
///
/// A plan is one contiguous, relocatable block: PlanHeader, then `op_count` Ops of fixed size, then
/// a pool of NUL-terminated strings and blobs. Offsets are relative to the pool; offset 0 is the
/// empty string. Host and init are always of one build, so there is no version to negotiate;
/// `magic` detects mistakes. This header is the only one that init includes, and uses nothing of
/// the standard library beyond <cstdint>.
#pragma once

#include <cstdint>

namespace tare::wire {

inline constexpr std::uint32_t magic = 0x45524154;  // "TARE"

/// The operation of an Op, with the fields that it uses. `path` is always below the container's
/// root.
enum class OpCode : std::uint16_t {
  end = 0,  ///< never executed; the last op is always exec

  // Namespaces, and synchronization with the host.
  setns,         ///< fd = passed namespace file or pidfd, a = CLONE_NEW* (a mask with a pidfd)
  unshare,       ///< a = CLONE_NEW*
  time_offsets,  ///< str[0] = n bytes for /proc/self/timens_offsets
  enter_time,  ///< enter the time namespace that unshare has made for children, time_namespaces(7)
  wait,  ///< a = WaitTag: report it and wait for the host's answer; fd = the passed socket for that
         ///< answer, -1: the channel
  become_root,  ///< set all uids and gids to 0 in a new user namespace, without supplementary
                ///< groups
  loopback_up,  ///< bring up "lo" of a new network namespace, as other runtimes do
  new_session,  ///< setsid(2)
  keyring,  ///< join the session keyring named str[0], or a new one if that is empty; see keyctl(2)

  // Mounts. Sources are host paths, destinations are paths below the root.
  propagation,  ///< mount_setattr(2) of "/" and all submounts: a = MS_SHARED, MS_SLAVE or
                ///< MS_PRIVATE
  root,  ///< clone the tree at host path str[0], attach it there and use it as the root; or receive
         ///< the tree from the host, and as the (n - 1)th mount of the last fetch the place to
         ///< attach it; flags op_private_parent, op_open_only
  root_here,  ///< use the process's own "/" as the root (joined mount namespace)
  mount_fs,   ///< str[0] type, str[1] path followed by n option pairs "key\0value\0",
              ///< a = MOUNT_ATTR_*, b = mount_*, c = propagation, d = string with the SELinux label
              ///< of its root, 0: none; flags op_make_target, …
  mount_data,   ///< the same by mount(2), for values too long for fsconfig(2): the path is followed
                ///< by source and data
  reconfigure,  ///< change options of the file system mounted at str[1], with n pairs following it;
                ///< fd as in attributes
  fetch,  ///< the host opens n mounts, as they currently are in this mount namespace, and sends
          ///< them; until the next fetch, an op's fd names the Kth of them by -2 - K; flags
          ///< op_may_reach
  open_source,  ///< open the mount at host path str[0], as it currently is in this mount namespace,
                ///< in place of the ath of a fetch; flags op_recursive, op_no_follow,
                ///< op_source_no_symlinks, op_source_beneath
  bind,  ///< str[0] host source (or fd; followed by a directory with op_source_beneath), str[1]
         ///< path, a, b = MOUNT_ATTR_* to set and clear on it, d, e = the same for the whole tree,
         ///< c = propagation (MS_*, with MS_REC); flags op_recursive, …; n = the passed user
         ///< namespace of MOUNT_ATTR_IDMAP in a or d
  bind_device,  ///< as bind, of the device with type a (S_IFCHR, S_IFBLK) and dev_t b
  keep,         ///< keep the last mount as number a, less than most_kept
  tell_mount,   ///< report the id of the last mount to the host (Report mounted)
  unmount,  ///< str[1] path: unmount the mount that it names, with its submounts, if its id is a;
            ///< needs open_proc
  attributes,  ///< str[1] path, a, b, c, d, e as in bind; fd = number of a kept mount, used
               ///< regardless of what is at the path now
  mask,        ///< str[1] path: mount an empty read-only directory or /dev/null over it; ignored if
               ///< absent; flags op_in_proc, op_in_sys
  read_only,   ///< str[1] path: bind it over itself, read-only; ignored if absent; flags as mask
  make_device,     ///< str[1] path, a = S_IF* | mode, b = dev_t, c = uid << 32 | gid
  make_directory,  ///< str[1] path with its parents; existing is fine
  make_symlink,    ///< str[0] target, str[1] path; existing is fine
  make_file,       ///< str[0] = n bytes, str[1] path: a new file with that content, mode 644
  make_ptmx,       ///< str[1] path of ptmx: replaced by a symlink to pts/ptmx
  pivot_root,  ///< make the root "/" and detach the old one; a = pid of init, 0: call getpid(2);
               ///< flags op_old_root_is_shared
  move_root,   ///< the same by MS_MOVE and chroot(2) (--no-pivot), without the host's procfs and
               ///< sysfs
  chroot,      ///< the same by chroot(2) alone (no mount namespace)
  open_proc,   ///< open a private procfs, never visible in the container, for writes below /proc
  console,     ///< make a pty in the devpts at path str[1], send its master to the host, use it as
               ///< stdio; a = rows, b = columns, c = uid << 32 | gid of its owner, d = 1: `appear`
               ///< or `reap` makes it the controlling terminal; flags op_bind_console

  // The process.
  hostname,       ///< str[0], n bytes
  domainname,     ///< str[0], n bytes
  sysctl,         ///< str[0] path below /proc/sys, str[1] value of n bytes
  proc_write,     ///< str[0] path below /proc/thread-self or /proc/self, str[1] value of n bytes;
                  ///< flags op_optional
  rlimit,         ///< a = RLIMIT_*, b = soft, c = hard
  cpu_affinity,   ///< str[0] = n bytes of the mask for sched_setaffinity(2)
  personality,    ///< a = the domain of personality(2)
  memory_policy,  ///< a = mode and flags of set_mempolicy(2), str[0] = n bytes of its mask
  umask,          ///< a
  working_directory,  ///< str[0]; must lie below the root
  home_directory,     ///< a = uid: find its home in the container's /etc/passwd, for exec with
                      ///< op_add_home
  undumpable,         ///< PR_SET_DUMPABLE 0: no process in the container can access this one until
                      ///< execve(2)
  no_new_privileges,
  bounding_set,  ///< a = mask of capabilities to keep
  keep_caps,     ///< keep the permitted set when the uid changes
  identity,  ///< a = uid, b = gid, str[0] = n supplementary gids (uint32_t); flags op_no_setgroups
  capabilities,  ///< a = effective, b = permitted, c = inheritable, d = ambient
  seccomp,       ///< str[0] = n bytes of struct sock_filter, a = flags, fd as in wait; with
                 ///< SECCOMP_FILTER_FLAG_NEW_LISTENER the host gets the listener, and that report
                 ///< stands for the one of the next op, announce or start_gate
  listener_thread,  ///< start the thread that hands the listener of a later seccomp to the host
  find_program,     ///< str[0] as in argv[0], str[1] search path: find it, keep its path for exec;
                    ///< with a = 1 a missing path may exist after `appear`
  close_fds,  ///< close the fds that init has opened; inherited ones beyond stdio and the preserved
              ///< fds close at exec; with a = 1 those close at once, except the channel and fd
  default_signals,  ///< reset ignored signals to their default action
  announce,         ///< tell the host that only the last, silent steps remain (Report executing)
  start_gate,       ///< hold until `start`: write gate_passed to the passed fd, a FIFO that is full
                    ///< until then
  exec,  ///< str[0] = argv, n strings; str[1] = envp, a strings; b = offset of n + a + 3 words for
         ///< pointers: execve(2) of the result of find_program
  end_with_host,  ///< PR_SET_PDEATHSIG: SIGKILL when the thread that cloned this process ends
  appear,  ///< before exec: continue as a child and session leader in the pid namespace that a
           ///< setns has set for children; the process itself exits. a = 1: with fd 0 as its
           ///< controlling terminal
  reap,  ///< before the last steps: continue as a child and session leader, while this process, pid
         ///< 1, becomes the reaper of its pid namespace; fd = the passed eventfd(2) on which it
         ///< reports the end of the child, a as for appear, b = the reaper's capabilities
};

/// Op::flags, by op.
enum : std::uint16_t {
  // bind, attributes: the whole tree (AT_RECURSIVE).
  op_recursive = 1 << 0,
  // bind: Op::fd is a detached mount opened by the host.
  op_source_is_fd = 1 << 1,
  // mount_fs, bind: create the destination if it is absent.
  op_make_target = 1 << 2,
  // mount_fs, bind: the destination must be a real directory (proc, sysfs); the source of a bind, a
  // procfs.
  op_no_symlink = 1 << 3,
  // fetch: the ops that name the mounts try to open them themselves; the host is asked only if one
  // fails.
  op_may_reach = 1 << 0,
  // root: make the mount that it is attached to private, as required by pivot_root(2).
  op_private_parent = 1 << 4,
  // pivot_root: make the old root a slave first, so that its unmount does not propagate.
  op_old_root_is_shared = 1 << 5,
  // proc_write: ignore a missing file; working_directory: ignore EACCES, because a later op tries
  // again.
  op_optional = 1 << 6,
  // mount_fs, bind: mount on the destination itself, which must exist, without following a symlink
  // there (dest-nofollow).
  op_target_no_follow = 1 << 5,
  // mount_fs, mount_data, bind: the new mount is the root from then on.
  op_becomes_root = 1 << 4,
  // pivot_root: the root may be mounted on "/" itself.
  op_covers_old_root = 1 << 6,
  // make_symlink: an existing link must have the same target.
  op_same_link = 1 << 6,
  // root: attach nothing; str[0], or the passed fd, is the root.
  op_open_only = 1 << 7,
  // identity, become_root: setgroups(2) is denied in this user namespace.
  op_no_setgroups = 1 << 8,
  // console: also bind the pty over /dev/console.
  op_bind_console = 1 << 9,
  // mount_fs: after EPERM or EBUSY continue with the next op (a fallback), otherwise skip that.
  op_fall_back = 1 << 10,
  // bind: only if the preceding mount_fs failed.
  op_on_fall_back = 1 << 11,
  // bind: do not follow a symlink at the source (src-nofollow).
  op_no_follow = 1 << 12,
  // bind: allow no symlinks in the path of the source, including its last component
  // (src-no-symlinks).
  op_source_no_symlinks = 1 << 6,
  // bind: the source is below the directory whose path follows its own, and no link may lead out of
  // that (src-within).
  op_source_beneath = 1 << 7,
  // exec: add the variable HOME.
  op_add_home = 1 << 13,
  // mount_fs, bind: the mount is the container's /proc, or /sys; mask, read_only: the path is below
  // that, and str[0] is the rest of it.
  op_in_proc = 1 << 14,
  op_in_sys = 1 << 15,
};

/// Op::b of mount_fs.
inline constexpr std::uint64_t mount_inherits_mode = 1;  ///< mode= of the directory it will cover
inline constexpr std::uint64_t mount_copies_up = 2;  ///< with a copy of that directory's content

/// One step.
struct Op {
  OpCode code = OpCode::end;
  std::uint16_t flags = 0;
  /// String: the path in config.json that requests this ("mounts[3]"); may be empty.
  std::uint32_t origin = 0;
  std::uint32_t str[2] = {};
  std::uint32_t n = 0;
  std::int32_t fd = -1;  ///< index into the passed fds, -1: none
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
  std::uint64_t e = 0;
};
static_assert(sizeof(Op) == 64);

struct PlanHeader {
  std::uint32_t magic_number = magic;
  std::uint32_t size = 0;  ///< of the whole plan, bytes
  std::uint32_t op_count = 0;
  std::uint32_t ops_offset = 0;      ///< from the beginning of the header
  std::uint32_t strings_offset = 0;  ///< likewise
  std::uint32_t strings_size = 0;
  std::uint32_t passed_fds = 0;     ///< number of passed fds besides the plan and the channel
  std::uint32_t preserved_fds = 0;  ///< fds 3 … 3+N-1 belong to the user's process
};
static_assert(sizeof(PlanHeader) == 32);

/// The maximum number of kept mounts.
inline constexpr std::uint32_t most_kept = 32;

/// The maximum number of mounts of one fetch.
inline constexpr std::uint32_t most_fetched = 48;

/// init's image and its plan are in one sealed memfd, the plan at a page boundary; or the plan is
/// the channel's first message. init finds its fds at BASE = 3 + preserved: BASE the memfd, BASE+1
/// the channel, BASE+2… the passed fds in order. Its arguments are BASE, the plan's offset (0: it
/// is in the channel) and the plan's size, in decimal.
inline constexpr int image_fd_offset = 0;
inline constexpr int channel_fd_offset = 1;
inline constexpr int passed_fds_offset = 2;

/// The host's action while init waits.
enum class WaitTag : std::uint32_t {
  host_rights = 1,  ///< write uid_map, gid_map, setgroups; set values that a user namespace's root
                    ///< may not (rlimits)
  hooks = 2,  ///< run prestart, createRuntime and createContainer hooks: mounts are done, the old
              ///< root is still there
  scheduling = 5,  ///< set scheduling policy and I/O priority, which requires the host's privileges
  go = 3,  ///< finish the host's part (device filter, limits, state): only the last steps of init
           ///< remain
  listener = 4,  ///< the filter is loaded; hand its listener to the agent
  mounts = 6,    ///< open the mounts of a fetch; the answer carries them
  cgroup = 7,    ///< move init, or have systemd move it, into the container's cgroup
};

/// Messages from init to the host over the channel (SOCK_SEQPACKET), one report each.
enum class ReportKind : std::uint32_t {
  waiting = 1,    ///< value = WaitTag
  failed = 2,     ///< value = errno
  console = 3,    ///< carries the pty master as SCM_RIGHTS
  executing = 4,  ///< the start gate or execve(2) follows; then the channel closes
  listener = 5,   ///< as waiting; carries the listener of the seccomp filter as SCM_RIGHTS
  appeared = 6,   ///< value = the pid of the child that continues after the op `appear`
  mounted = 7,    ///< value and step = low and high half of a mount id: STATX_MNT_ID_UNIQUE
                  ///< (Linux 6.8), or STATX_MNT_ID
};

struct Report {
  ReportKind kind = ReportKind::failed;
  std::uint32_t op = 0;     ///< index of the op
  std::uint32_t value = 0;  ///< by kind
  std::uint32_t step = 0;   ///< by kind; for `failed` the Step, the failed system call of the op
  char detail[240] = {};    ///< the kernel's details (fsopen's log), or the path; NUL-terminated
};
static_assert(sizeof(Report) == 256);

/// The host's answer to `waiting`; that to `mounts` carries them as SCM_RIGHTS. Any other message,
/// or the end of the channel, ends init.
struct Answer {
  std::uint32_t go = 0;  ///< the WaitTag that is answered
};

/// Written by init to the start gate's FIFO as it passes: by then a process has read all that
/// filled the FIFO.
inline constexpr char gate_passed = 's';

/// Written by init to the FIFO if a step after the gate fails. On success init writes nothing, and
/// execve(2) closes the FIFO.
struct StartFailure {
  std::uint32_t from_end =
      0;                    ///< distance of the failed op from the end of the plan; 1: the last op
  std::uint32_t value = 0;  ///< errno
  std::uint32_t step = 0;
  std::uint32_t reserved = 0;
};

/// How the program of a container with a reaper ended. The reaper writes it, packed into one word,
/// to its eventfd(2) before it exits: the reaper's own exit status cannot represent a signal.
struct Ending {
  std::uint32_t status = 0;   ///< as from waitpid(2)
  std::uint64_t max_rss = 0;  ///< KiB: the largest resident set of all processes that it reaped
};

inline constexpr std::uint64_t max_ending_rss = (std::uint64_t{1} << 40) - 1;
/// Set in every packed Ending, because an eventfd that was never written contains 0.
inline constexpr std::uint64_t ending_written = std::uint64_t{1} << 62;

constexpr std::uint64_t pack(const Ending& ending) {
  const std::uint64_t rss = ending.max_rss < max_ending_rss ? ending.max_rss : max_ending_rss;
  return ending_written | rss << 16 | (ending.status & 0xffff);
}

/// Returns false for a word that no reaper writes. The word is untrusted: a process that may trace
/// pid 1 can make it write anything.
constexpr bool unpack(std::uint64_t word, Ending& ending) {
  ending.status = static_cast<std::uint32_t>(word & 0xffff);
  ending.max_rss = word >> 16 & max_ending_rss;
  const std::uint32_t signal = ending.status & 0x7f;
  return pack(ending) == word &&
         (signal == 0 ? (ending.status & 0x80) == 0 : signal <= 64 && ending.status >> 8 == 0);
}

/// A reaper cannot catch SIGSTOP and SIGKILL to forward them to the program. Host processes send it
/// SIGTSTP with this value and the signal's number in its lowest byte, as by sigqueue(3).
inline constexpr int carried_signal = 0x54415200;

/// The failed system call of an op.
enum class Step : std::uint32_t {
  none,
  open,
  open_tree,
  openat2,
  open_source,  ///< openat2(2) of a bind source
  fsopen,
  fsconfig,
  fsmount,
  fspick,
  fsetxattr,
  move_mount,
  mount_setattr,
  mkdir,
  mknod,
  symlink,
  chown,
  chmod,
  stat,
  setns,
  unshare,
  pivot_root,
  mount,
  umount,
  chroot,
  chdir,
  fchdir,
  getcwd,
  read,
  write,
  ioctl,
  setsid,
  keyctl,
  sethostname,
  setdomainname,
  prlimit,
  prctl,
  setgroups,
  setgid,
  setuid,
  capset,
  seccomp,
  execve,
  sendmsg,
  recv,
  mmap,
  close_range,
  dup,
  access,
  unlink,
  readlink,
  socket,
  clone,
  clone3,
  pidfd_open,
  sched_setaffinity,
  personality,
  set_mempolicy,
  path_escapes,     ///< no system call: the path leaves the root
  not_a_device,     ///< no system call: not the expected device
  not_procfs,       ///< no system call: not on a procfs
  inside_proc,      ///< no system call: a symlink of the image leads a mount into procfs
  not_the_mount,    ///< no system call: the mount there is not the one to unmount
  not_a_directory,  ///< no system call: not a directory, or a symlink, where a directory is
                    ///< required
  too_long,         ///< no system call: a path or a list is longer than init's buffers
  bad_plan,         ///< no system call: the plan is invalid
};

}  // namespace tare::wire
