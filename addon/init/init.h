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
      sys::run(__NR_close, fd_);
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
  int fetched[tare::wire::most_fetched] = {};  // mounts that the host sent last; -1 once taken
  std::uint32_t to_fetch = 0;                  // index of a postponed fetch; 0: none
  std::uint32_t early = 0;                     // bits of WaitTags that were answered before a fetch
  int kept[tare::wire::most_kept] = {};        // mounts that later ops refer to; 0: none
  int mounted = 0;                             // the last mount, for keep
  int parent = 0;                              // directory that open_parent has opened last
  bool gave_up = false;                        // the last mount_fs fell back
  bool in_working_directory = false;
  bool took_leave = false;  // the listener thread has made the reports of `announce`, `start_gate`
  std::uint32_t missing = 0;  // index of the find_program that found nothing yet; 0: none
  char parent_path[path_max] = {};
  char program[path_max] = {};  // what find_program found
  char home[path_max] = {};     // "HOME=…" of home_directory
  char detail[sizeof(tare::wire::Report::detail)] = {};

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
long open_hidden(const Context& context, const Op& op);
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
/// Executes the ops of the plan from `index` on.
[[noreturn]] void execute_from(Context& context, std::uint32_t index);
/// Reports the failure of the op at `index` to the host and exits.
[[noreturn]] void end_with_failure(Context& context, std::uint32_t index, Outcome outcome);

// channel.cc
/// Receives the channel's first message; returns false if it is not of that size.
bool receive_plan(const Context& context, char* plan, unsigned long size);
void report(Context& context, std::uint32_t op, Outcome outcome);
Outcome wait_for_host(Context& context, std::uint32_t index, const Op& op);
Outcome send_console(Context& context, std::uint32_t op, int master);
Outcome announce(Context& context, std::uint32_t op);
/// Reports the child that continues in place of this process to the host.
Outcome tell_of_child(const Context& context, std::uint32_t op, long pid);
/// Reports the number of a mount to the host.
Outcome tell_of_mount(const Context& context, std::uint32_t op, std::uint64_t number);
/// Exits if the host has died.
void end_without_host(const Context& context);
/// Sends the listener and waits for the answer.
Outcome send_listener(Context& context, std::uint32_t index, const Op& op, int listener);
/// Requests the mounts of the fetch at `index` from the host and waits for them; they become
/// context.fetched.
Outcome fetch(Context& context, std::uint32_t index);

// One function per op; see wire.h.
Outcome do_setns(const Context& context, const Op& op);
Outcome do_unshare(const Op& op);
Outcome do_time_offsets(const Context& context, const Op& op);
Outcome do_enter_time();
Outcome do_become_root(const Op& op);
Outcome do_loopback_up();
Outcome do_keyring(Context& context, const Op& op);
Outcome do_propagation(const Op& op);
Outcome do_root(Context& context, const Op& op);
Outcome do_root_here(Context& context);
Outcome do_mount_fs(Context& context, const Op& op);
Outcome do_mount_data(Context& context, const Op& op);
Outcome do_reconfigure(Context& context, const Op& op);
Outcome do_open_source(Context& context, const Op& op);
Outcome do_bind(Context& context, const Op& op);
void do_keep(Context& context, const Op& op);
Outcome do_tell_mount(const Context& context, std::uint32_t index);
Outcome do_unmount(const Context& context, const Op& op);
Outcome do_attributes(Context& context, const Op& op);
Outcome do_mask(Context& context, const Op& op);
Outcome do_read_only(Context& context, const Op& op);
Outcome do_make_directory(Context& context, const Op& op);
Outcome do_make_device(Context& context, const Op& op);
Outcome do_make_symlink(Context& context, const Op& op);
Outcome do_make_file(Context& context, const Op& op);
Outcome do_make_ptmx(Context& context, const Op& op);
/// Opens the container's /dev/null as context.null; fails if it is any other file.
Outcome open_null(Context& context);
Outcome do_pivot_root(Context& context, const Op& op);
Outcome do_move_root(Context& context);
Outcome do_chroot(Context& context);
Outcome do_open_proc(Context& context);
Outcome do_console(Context& context, std::uint32_t index, const Op& op);
Outcome do_sysctl(Context& context, const Op& op);
Outcome do_proc_write(Context& context, const Op& op);
Outcome do_rlimit(const Op& op);
Outcome do_working_directory(Context& context, const Op& op);
/// Cannot fail: HOME is "/" if no better value is found.
void do_home_directory(Context& context, const Op& op);
Outcome do_close_fds(const Context& context, const Op& op);
Outcome do_bounding_set(const Op& op);
Outcome do_identity(Context& context, const Op& op);
Outcome do_capabilities(const Op& op);
Outcome do_seccomp(Context& context, std::uint32_t index, const Op& op);
Outcome do_listener_thread(Context& context);
Outcome do_find_program(Context& context, std::uint32_t index, const Op& op);
Outcome do_start_gate(Context& context, std::uint32_t index, const Op& op);
/// The part of start_gate before the wait: tells the host that the container is created, and closes
/// all that came from the host but the FIFO.
Outcome take_leave(Context& context, std::uint32_t index, const Op& op);
void do_default_signals();
Outcome do_end_with_host(const Context& context);
/// Returns in the child, or on failure.
Outcome do_appear(const Context& context, std::uint32_t index, const Op& op);
/// Starts a session, with fd 0 as its controlling terminal if Op::a is set.
Outcome lead_session(const Op& op);
/// Returns only if there is no child. Otherwise the child executes the rest of the plan, and this
/// process becomes the reaper.
Outcome do_reap(Context& context, std::uint32_t index, const Op& op);
Outcome do_exec(Context& context, const Op& op);

}  // namespace init
