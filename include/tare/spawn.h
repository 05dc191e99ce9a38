/// \file
/// From a plan to a running init: sealed memfds, clone3(2), the channel. One way for the CLI and
/// for a multithreaded process alike: the child shares the memory of its parent (CLONE_VM |
/// CLONE_VFORK) until it executes init.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tare/error.h"
#include "tare/fd.h"
#include "tare/plan.h"

namespace tare {

/// What a child is to be made with. All fds stay the caller's.
struct SpawnOptions {
  int stdio[3] = {0, 1, 2};  ///< become 0, 1 and 2 of the child; -1: /dev/null
  std::vector<int>
      preserved;    ///< become 3, 4, … of the user's process; as many as Plan::preserved_fds()
  int cgroup = -1;  ///< directory fd for CLONE_INTO_CGROUP; -1: the caller's cgroup
  std::vector<int> passed;  ///< one for each Plan::passed()
  /// The uid that a new user namespace belongs to, and that the kernel counts for what is used up
  /// in it, as inotify instances; 0: the caller's.
  uid_t namespace_owner = 0;
};

/// Init has not come so far by the time of InitProcess::limit().
class InitTimeout : public Error {
 public:
  InitTimeout();
};

/// A spawned init that works off its plan. Kills and reaps it when destroyed, unless released.
class InitProcess {
 public:
  InitProcess(const InitProcess&) = delete;
  InitProcess& operator=(const InitProcess&) = delete;
  InitProcess(InitProcess&& other) noexcept = default;
  InitProcess& operator=(InitProcess&& other) = delete;
  ~InitProcess();

  /// Another one once a process appears (Plan::appears()); final when finish() has returned.
  pid_t pid() const noexcept { return pid_; }
  /// Owned by this object.
  int pidfd() const noexcept { return pidfd_.get(); }

  /// What init says comes by this. Owned by this object.
  int channel() const noexcept { return channel_.get(); }

  /// From now on what waits for init throws InitTimeout when this time has come. It may be called
  /// again with a later limit then, from another thread too: nothing that init has said is lost.
  /// time_point::max() is no limit.
  void limit(std::chrono::steady_clock::time_point deadline);
  /// Reads messages until init waits. None: there is no further wait, init executes the user's
  /// program or holds at the start gate. Throws the error that init reports, as a sentence made
  /// from the plan, or that init ended early.
  std::optional<wire::WaitTag> next_wait();
  /// Reads messages until init waits for that; other waits are passed over. Throws as next_wait(),
  /// and where init does not come to it.
  void await(wire::WaitTag tag);
  /// When every wait is answered: waits until init executes the user's program or holds at the
  /// start gate, and throws as next_wait() does.
  void finish();
  /// Lets init go on. May be called before init comes to that wait: it then finds the answer there.
  void answer(wire::WaitTag tag);
  /// Answers a wait for mounts with `fds`, at most wire::most_fetched; they stay the caller's.
  void send_mounts(const std::vector<int>& fds);
  /// The numbers of the mounts that init has told of (wire::OpCode::tell_mount), in the plan's
  /// order.
  const std::vector<std::uint64_t>& mounted() const noexcept { return mounted_; }
  /// The pty master that init sent, still this object's; -1 where it sent none yet.
  int console() const noexcept { return console_.get(); }
  /// The pty master that init sent; empty where it sent none.
  Fd take_console() { return std::move(console_); }
  /// Goes on until init has loaded a filter whose listener is to be handed over, and holds for the
  /// answer to WaitTag::listener. The listener is still this object's, until that answer.
  int await_listener();
  /// The eventfd of a reaper, which has a wire::Ending when it has ended; empty where there is
  /// none.
  Fd take_ending() { return std::move(ending_); }
  /// Gives the process away: its pidfd, which is the caller's from now on.
  Fd release();

 private:
  friend InitProcess spawn(const Plan& plan, const SpawnOptions& options);
  InitProcess() = default;
  /// A message, and who sent it.
  struct Heard {
    wire::Report report;
    Fd fd;  ///< the first that came with it
    pid_t sender = -1;
    bool alone = false;  ///< by init before it appeared where others could speak
  };
  std::optional<Heard> receive();
  bool hear(int flags = 0);
  bool await_message(short events, std::chrono::milliseconds most) const;
  bool is_told(const Heard& heard) const;
  /// Whether init has fetches that it may need.
  bool may_ask() const;
  /// Serves one of these; false: it asks for something else.
  bool serves(const Heard& heard);
  void follow(pid_t pid);
  bool adopt();
  void end_both();
  const Plan* plan_ = nullptr;
  pid_t pid_ = -1;
  pid_t parent_ = -1;  ///< the thread that it is a child of
  Fd pidfd_;
  Fd channel_;
  Fd answers_;  ///< none: the channel
  Fd ending_;   ///< the eventfd of a reaper
  Fd console_;
  Fd listener_;
  std::vector<Heard> heard_;  ///< and not yet used
  std::vector<std::uint64_t> mounted_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  mutable bool is_late_ = false;  ///< a limit has passed
  bool has_listener_ = false;     ///< or had it
  bool executing_ = false;
  bool appeared_ = false;
};

/// From now on this process keeps init's program in a memfd(2), one for all that it starts: which
/// costs a descriptor, and is quicker from the second one on. May be called at any time.
void keep_init_image() noexcept;

/// Starts init on `plan`, which must outlive the result. Throws `system` with the failed step.
InitProcess spawn(const Plan& plan, const SpawnOptions& options);

/// The error for a failure that init reported: kind, sentence, errno, syscall, path, stage.
Error init_error(const Plan& plan, std::uint32_t op, int errnum, wire::Step step,
                 const char* detail);

/// Writes uid_map, gid_map and setgroups of `pid`, by newuidmap(1) and newgidmap(1) where the
/// caller may not.
void write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                   const std::vector<IdMapping>& gids, const Host& host);

/// A user namespace with these mappings and nobody in it (mount_setattr(2), "ID-mapped mounts").
/// Throws `system`.
Fd make_id_mapping(const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids);
/// Answers the fetches of a plan, but for those that init may not need (wire::op_may_reach), which
/// are answered by whoever waits for init; `passed` are the fds that init was spawned with.
void serve_fetches(InitProcess& init, const Plan& plan, const std::vector<int>& passed);

/// An rtnetlink(7) socket of the network namespace that is open as `network_namespace`. Throws
/// `system`.
Fd open_netlink_socket_in(int network_namespace);

/// "/" as the process `pid` has it (O_PATH); empty where the caller may not look (see ptrace(2),
/// "access mode checking").
Fd open_root_of(pid_t pid);
/// The namespace `path` ("ns/cgroup") of the process that is `pid` and open as `pidfd`. Throws
/// `system`, ESRCH where it has ended.
Fd open_namespace_of(pid_t pid, int pidfd, const std::string& path);

/// How a process ended.
struct ExitStatus {
  int code = 0;    ///< exit status; 128 + signal where a signal ended it
  int signal = 0;  ///< 0: it exited
};
/// Waits for a child by its pidfd and reaps it. Throws `system` (ECHILD: not a child of this
/// process).
ExitStatus wait_child(int pidfd);

}  // namespace tare
