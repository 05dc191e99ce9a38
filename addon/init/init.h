// What init's ops share: the plan, the file descriptors, and the reporting of failures. No policy
// and no formatting here.
#pragma once

#include <asm/errno.h>
#include <linux/fcntl.h>

#include "sys.h"
#include "tare/wire.h"

namespace init {

using tare::wire::Op;
using tare::wire::Step;

/// The result of an op: an errno (0: success) and the system call that returned it.
struct [[nodiscard]] Outcome {
  int errnum = 0;
  Step step = Step::none;

  bool failed() const { return errnum != 0 || step != Step::none; }
};

inline constexpr Outcome ok{};

inline Outcome failure(long result, Step step) { return {static_cast<int>(-result), step}; }

/// Returns success if `result` is not negative.
inline Outcome check(long result, Step step) { return result < 0 ? failure(result, step) : ok; }

/// openat2(2), retried after a signal (EINTR) and after a concurrent rename beside a ".." (EAGAIN).
long openat2(int at, const char* path, std::uint64_t flags, std::uint64_t resolve);

/// Owns a file descriptor for the time of a scope. The op close_fds closes all that is left open
/// with few system calls, so the destructor closes a descriptor only if it is so high that the
/// table would grow.
class Handle {
 public:
  explicit Handle(long fd = -1) : fd_(static_cast<int>(fd)) {}
  ~Handle() {
    if (fd_ >= few) {
      close();
    }
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) {
      sys::call(__NR_close, fd_);
    }
    fd_ = -1;
  }
  void reset(long fd) {
    close();
    fd_ = static_cast<int>(fd);
  }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  static constexpr int few =
      64;  // NR_OPEN_DEFAULT of the kernel: the size of a table before it grows
  int fd_;
};

inline constexpr std::size_t path_max = 4096;

// All zero initially, so that it takes no room in init's image; run() sets the fds to -1.
struct Context {
  const tare::wire::PlanHeader* plan = nullptr;
  const Op* ops = nullptr;
  const char* strings = nullptr;
  int base = 0;        // the first internal fd
  int channel = 0;     // socket to the host; -1 once the start gate is reached
  int answer = 0;      // FIFO that reports failures to `start`
  int root = 0;        // O_PATH fd of the container's root
  int proc = 0;        // private procfs
  int proc_mount = 0;  // the mount of the container's /proc
  int sys_mount = 0;   // the mount of its /sys
  int null = 0;        // the container's /dev/null, verified
  int empty_dir = 0;   // an attached, empty, read-only tmpfs to clone
  // Mounts that the host sent last; -1 once taken.
  int requested[tare::wire::max_requested_mounts] = {};
  const Op* postponed_request = nullptr;  // a request_mounts that may not be needed
  std::uint32_t early = 0;                // bits of WaitTags answered before a request for mounts
  int kept[tare::wire::max_kept_mounts] = {};  // mounts that later ops refer to; 0: none
  int mounted = 0;                             // the last mount, for keep_mount and report_mount
  int parent = 0;                              // directory that open_parent has opened last
  bool gave_up = false;                        // the last mount_fs fell back
  bool in_working_directory = false;
  // The listener thread has made the report of announce or start_gate.
  bool listener_thread_reported = false;
  const Op* missing_program = nullptr;  // the find_program that has found nothing yet
  char parent_path[path_max] = {};
  char program[path_max] = {};  // what find_program found
  char home[path_max] = {};     // "HOME=…" of home_directory
  char detail[sizeof(tare::wire::Report::detail)] = {};

  std::uint32_t index_of(const Op& op) const { return static_cast<std::uint32_t>(&op - ops); }
  const char* text(const Op& op, int i) const { return strings + op.str[i]; }
  int passed(int index) const { return base + tare::wire::passed_fds_offset + index; }
  /// Returns the fd on which the host answers a wait.
  int answers(const Op& op) const { return op.fd >= 0 ? passed(op.fd) : channel; }
};

// path.cc: paths below the root, resolved by the kernel (RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS).
long open_below(const Context& context, const char* path, std::uint64_t flags);
/// Opens the topmost mount over `directory` (O_PATH), whatever path it has by now.
long open_covering(int directory);
/// Opens the path of a mask or read_only op (O_PATH). In /proc and /sys it is resolved from that
/// mount: renaming the directory under the mount changes the mount's own path.
long open_masked(const Context& context, const Op& op);
/// Opens `path` (O_PATH). If it is absent, creates it (a directory or an empty file) with its
/// missing parents.
long make_below(Context& context, const char* path, bool directory);
/// Returns the system call that make_below() or open_parent() failed at.
Step make_step();
/// make_below(), where `followed` also says whether a symlink may have led there.
long make_below(Context& context, const char* path, bool directory, bool& followed);
/// Opens the directory of `path`'s last component (O_PATH; created if absent) and puts the
/// component into `name`. The context owns the fd, which is valid until the next call or mount.
long open_parent(Context& context, const char* path, char* name, std::size_t size);

/// Must be called after each mount on a directory: the cached path may lead elsewhere now.
void forget_parent(Context& context);

// old_root.cc
/// Removes the host's mounts of procfs and sysfs from this mount namespace.
Outcome remove_revealing_mounts(const Context& context);

// copy_up.cc
/// Copies the contents of directory `from` into directory `to`. On failure context.detail is the
/// name of the entry.
Outcome copy_up(Context& context, int from, int to);

// execute.cc
/// Executes the plan that the arguments on the initial stack specify (wire.h).
[[noreturn]] void run(Context& context, const long* stack);
/// Executes the ops of the plan from `op` on.
[[noreturn]] void execute_from(Context& context, const Op* op);
/// Reports the failure of an op to the host and exits; null: init itself failed.
[[noreturn]] void end_with_failure(Context& context, const Op* op, Outcome outcome);

// channel.cc
/// Receives the channel's first message; returns false if it is not of that size.
bool receive_plan(const Context& context, char* plan, unsigned long size);
/// Reports the failure of an op; null: init itself failed.
void report(Context& context, const Op* op, Outcome outcome);
Outcome send_console(const Context& context, const Op& op, int master);
/// Reports the child that continues in place of this process to the host.
Outcome report_child(const Context& context, const Op& op, long pid);
/// Reports the number of a mount to the host.
Outcome report_mount(const Context& context, const Op& op, std::uint64_t number);
/// Exits if the host has died.
void end_without_host(const Context& context);
/// Sends the listener and waits for the answer.
Outcome send_listener(const Context& context, const Op& op, int listener);
/// Requests the mounts of a request_mounts from the host and waits for them; they become
/// context.requested.
Outcome request_mounts(Context& context, const Op& op);

// device_ops.cc
/// Opens the container's /dev/null as context.null; fails if it is any other file.
Outcome open_null(Context& context);

// program_ops.cc
/// The part of start_gate before the wait: tells the host that the container is created, and closes
/// all that came from the host but the FIFO.
Outcome detach_from_host(Context& context, const Op& op);
/// Starts a session, with fd 0 as its controlling terminal if Op::a is set.
Outcome lead_session(const Op& op);

// One function per op; see ops.def. do_home_directory() cannot fail: HOME is "/" if no better value
// is found. do_fork_into_pidns() and do_become_reaper() return only in the child and on failure.
#define OP(name, fd, data, text) Outcome do_##name(Context& context, const Op& op);
#include "tare/ops.def"

}  // namespace init
