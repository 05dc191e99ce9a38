/// \file
/// The format that host and init share: the plan that init executes, and the messages between the
/// two.
///
/// A plan is one contiguous, relocatable block: PlanHeader, then `op_count` Ops of fixed size, then
/// a pool of NUL-terminated strings and blobs. Offsets are relative to the pool; offset 0 is the
/// empty string. Host and init are always of one build, so there is no version to negotiate;
/// `magic` detects mistakes. init includes this header, so it uses nothing of the standard library
/// beyond <cstdint>.
#pragma once

#include <cstdint>

namespace tare::wire {

inline constexpr std::uint32_t magic = 0x45524154;  // "TARE"

/// What an Op does. ops.def has a row for each, which also says what the op's fields mean.
enum class OpCode : std::uint16_t {
  end = 0,  ///< never executed; the last op is always exec
#define OP(name, fd, data, text) name,
#include "tare/ops.def"
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
  // request_mounts: the ops that name the mounts try to open them themselves; the host is asked
  // only if one fails.
  op_try_first = 1 << 0,
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

/// The maximum number of mounts that keep_mount keeps.
inline constexpr std::uint32_t max_kept_mounts = 32;

/// The maximum number of mounts of one request_mounts.
inline constexpr std::uint32_t max_requested_mounts = 48;

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
  mounts = 6,    ///< open the mounts of a request; the answer carries them
  cgroup = 7,    ///< move init, or have systemd move it, into the container's cgroup
};

/// Messages from init to the host over the channel (SOCK_SEQPACKET), one report each.
enum class ReportKind : std::uint32_t {
  waiting = 1,    ///< value = WaitTag
  failed = 2,     ///< value = errno
  console = 3,    ///< carries the pty master as SCM_RIGHTS
  executing = 4,  ///< the start gate or execve(2) follows; then the channel closes
  listener = 5,   ///< as waiting; carries the listener of the seccomp filter as SCM_RIGHTS
  forked = 6,     ///< value = the pid of the child that continues after fork_into_pidns
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

/// What failed within an op: a system call, or a check of init. steps.def has a row for each.
enum class Step : std::uint32_t {
  none = 0,
#define STEP(name, call) name,
#define CHECK(name, reason) name,
#include "tare/steps.def"
};

}  // namespace tare::wire
