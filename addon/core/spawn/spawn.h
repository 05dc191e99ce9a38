/// \file
/// Starts init on a plan: sealed memfds, clone3(2), the channel. The CLI and multithreaded
/// processes use the same mechanism: the child shares the memory of its parent (CLONE_VM |
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

/// The resources of the child. The caller keeps ownership of all fds.
struct SpawnOptions {
  int stdio[3] = {0, 1, 2};  ///< become 0, 1 and 2 of the child; -1: /dev/null
  std::vector<int>
      preserved;    ///< become 3, 4, … of the user's process; as many as Plan::preserved_fds()
  int cgroup = -1;  ///< directory fd for CLONE_INTO_CGROUP; -1: the caller's cgroup
  std::vector<int> passed;  ///< one per Plan::passed()
  /// The uid that owns a new user namespace, and that the kernel charges for resources used in it,
  /// such as inotify instances; 0: the caller's.
  uid_t namespace_owner = 0;
};

/// Thrown if init has not reached the awaited point by the deadline of InitProcess::limit().
class InitTimeout : public Error {
 public:
  InitTimeout();
};

/// A spawned init that executes its plan. Kills and reaps it on destruction, unless released.
class InitProcess {
 public:
  InitProcess(const InitProcess&) = delete;
  InitProcess& operator=(const InitProcess&) = delete;
  InitProcess(InitProcess&& other) noexcept = default;
  InitProcess& operator=(InitProcess&& other) = delete;
  ~InitProcess();

  /// Changes once init forks (Plan::forks_into_pidns()); final after finish() has returned.
  pid_t pid() const noexcept { return pid_; }
  /// Owned by this object.
  int pidfd() const noexcept { return pidfd_.get(); }

  /// The socket for init's messages. Owned by this object.
  int channel() const noexcept { return channel_.get(); }

  /// Makes all functions that wait for init throw InitTimeout after `deadline`. They may then be
  /// called again with a later limit, also from another thread: no message of init is lost.
  /// time_point::max() means no limit.
  void limit(std::chrono::steady_clock::time_point deadline);
  /// Reads messages until init waits. Returns none if no further wait follows: init executes the
  /// user's program or holds at the start gate. Throws init's reported error, as a sentence made
  /// from the plan, or an error if init ended early.
  std::optional<wire::WaitTag> next_wait();
  /// Reads messages until init waits for `tag`, skipping other waits. Throws as next_wait(), and if
  /// init never waits for `tag`.
  void await(wire::WaitTag tag);
  /// Waits until init executes the user's program or holds at the start gate, after all waits are
  /// answered. Throws as next_wait().
  void finish();
  /// Lets init continue. May be called before init reaches that wait; init then finds the answer
  /// there.
  void answer(wire::WaitTag tag);
  /// Answers a wait for mounts with `fds`, at most wire::max_requested_mounts; the caller keeps
  /// ownership.
  void send_mounts(const std::vector<int>& fds);
  /// The ids of the mounts that init has reported (wire::OpCode::report_mount), in the plan's
  /// order.
  const std::vector<std::uint64_t>& mounted() const noexcept { return mounted_; }
  /// The pty master received from init, owned by this object; -1 if none was received yet.
  int console() const noexcept { return console_.get(); }
  /// Transfers the pty master received from init; empty if none was received.
  Fd take_console() { return std::move(console_); }
  /// Waits until init has loaded a filter with a listener to hand over; init then holds until the
  /// answer to WaitTag::listener. The listener belongs to this object until that answer.
  int await_listener();
  /// Transfers the eventfd of a reaper, which contains a wire::Ending after the reaper's end; empty
  /// if there is no reaper.
  Fd take_ending() { return std::move(ending_); }
  /// Releases the process and transfers its pidfd to the caller.
  Fd release();

 private:
  friend InitProcess spawn(const Plan& plan, const SpawnOptions& options);
  InitProcess() = default;
  /// A message with its sender.
  struct Message {
    wire::Report report;
    Fd fd;  ///< the first fd attached to it
    pid_t sender = -1;
    bool trusted = false;  ///< sent by init before it forked into a pid namespace of other senders
  };
  std::optional<Message> next_message();
  bool receive(int flags = 0);
  bool await_message(short events, std::chrono::milliseconds timeout) const;
  bool is_expected(const Message& message) const;
  /// Whether init may still request mounts.
  bool may_request_mounts() const;
  /// Handles a request for mounts that this process can answer; returns false for other
  /// requests.
  bool handle_request(const Message& message);
  void follow_child(pid_t pid);
  bool adopt_child();
  void kill_with_child();
  const Plan* plan_ = nullptr;
  pid_t pid_ = -1;
  pid_t parent_ = -1;  ///< the parent thread
  Fd pidfd_;
  Fd channel_;
  Fd answers_;  ///< empty: the channel is used
  Fd ending_;   ///< the eventfd of a reaper
  Fd console_;
  Fd listener_;
  std::vector<Message> messages_;  ///< received and not yet handled
  std::vector<std::uint64_t> mounted_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  mutable bool timed_out_ = false;  ///< a deadline has passed
  bool has_listener_ = false;       ///< now or earlier
  bool executing_ = false;
  bool forked_ = false;
};

/// Makes this process keep init's program in one memfd(2) for all containers that it starts. This
/// costs a descriptor and speeds up the second and further starts. May be called at any time.
void keep_init_image() noexcept;

/// Starts init on `plan`, which must outlive the result. Throws `system` with the failed step.
InitProcess spawn(const Plan& plan, const SpawnOptions& options);

/// Builds the error for a failure that init reported: kind, sentence, errno, syscall, path, stage.
Error init_error(const Plan& plan, std::uint32_t op, int errnum, wire::Step step,
                 const char* detail);

/// Writes uid_map, gid_map and setgroups of `pid`, by newuidmap(1) and newgidmap(1) if the caller
/// lacks the permission.
void write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                   const std::vector<IdMapping>& gids, const Host& host);

/// Returns an empty user namespace with these mappings, for mount_setattr(2) ("ID-mapped mounts").
/// Throws `system`.
Fd make_id_mapping(const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids);
/// Answers the requests of a plan for mounts, except optional ones (wire::op_try_first), which are
/// answered by the functions that wait for init. `passed` are the fds that init was spawned with.
void answer_mount_requests(InitProcess& init, const Plan& plan, const std::vector<int>& passed);

/// Opens an rtnetlink(7) socket in the network namespace `network_namespace`. Throws `system`.
Fd open_netlink_socket_in(int network_namespace);

/// Opens "/" of the process `pid` (O_PATH); empty if the caller has no permission (see ptrace(2),
/// "access mode checking").
Fd open_root_of(pid_t pid);
/// Opens the namespace `path` ("ns/cgroup") of the process with the given `pid` and `pidfd`. Throws
/// `system`, ESRCH if it has ended or is just ending.
Fd open_namespace_of(pid_t pid, int pidfd, const std::string& path);

}  // namespace tare
