/// \file
/// Watches processes and reports how they end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "pool.h"
#include "tare/container.h"

namespace tare::node {

/// How a process ended. Both empty: only the end is known, since the process was no child of this
/// one or a tracer holds it.
struct Exit {
  std::optional<int> code;
  std::optional<int> signal;
  std::optional<std::uint64_t> max_rss;  ///< bytes; if a reaper has reported it
  CpuStats cpu;  ///< of it and all that it waited for, or that ended with its pid namespace
};

/// A process whose end is awaited, shared by all its waiters. A child is reaped even without a
/// waiter, and no other child of the host program is reaped.
class ProcessWatcher final : public Source, public std::enable_shared_from_this<ProcessWatcher> {
 public:
  /// Takes the pidfd of a process. Throws `system`.
  static std::shared_ptr<ProcessWatcher> watch(Fd pidfd, bool is_child);
  /// Reaps a child that was killed: a LateReaper.
  static void reap_late(Fd pidfd) noexcept;
  /// The same as watch() for a container's init. If that is the reaper of its program, the end and
  /// the signals are those of the program. `ending` is StartedProcess::ending.
  static std::shared_ptr<ProcessWatcher> watch_init(Fd pidfd, bool is_child, bool is_reaper,
                                                    Fd ending);

  using Callback = std::function<void(const Exit&)>;
  /// Calls back once, when the process ends, on a pool thread; at once if it has ended.
  void when_ended(Callback callback);
  /// pidfd_send_signal(2); returns false if the process has ended. Throws `system`. On SIGKILL a
  /// reaper first gets a moment to end the other processes, as the kernel counts only what the
  /// reaper reaps.
  bool signal(int number);
  /// Sends SIGKILL at once.
  bool kill();
  /// Keeps a duplicate of the master of the process's terminal until the process has ended or
  /// hang_up() is called. A reader closes its own when the process has closed the terminal, and the
  /// process would get SIGHUP before it can exit.
  void keep_console(const Fd& master) noexcept;
  void hang_up() noexcept;

 private:
  ProcessWatcher(Fd pidfd, bool is_child, bool is_reaper, Fd ending)
      : pidfd_(std::move(pidfd)),
        ending_(std::move(ending)),
        is_child_(is_child),
        is_reaper_(is_reaper) {}
  void ready(WatchId watch) noexcept override;
  bool end_by_reaper();
  /// Returns nothing if a tracer may wait for the process first.
  std::optional<Exit> reap() const noexcept;
  void reap_or_retry(std::chrono::milliseconds waited) noexcept;
  void tell(const Exit& exit) noexcept;
  /// Kills and reaps a child that will not be watched.
  void end() noexcept;

  std::mutex mutex_;
  Fd pidfd_;  // empty when it is reaped
  Fd ending_;
  Fd console_;
  const bool is_child_;
  const bool is_reaper_;
  bool ended_ = false;
  std::optional<Exit> exit_;
  std::vector<Callback> callbacks_;
};

}  // namespace tare::node
