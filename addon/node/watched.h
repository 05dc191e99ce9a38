/// \file
/// How processes end.
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

/// How a process ended. Both empty: only the end is known, as it was no child of ours, or is held
/// by who traces it.
struct Exit {
  std::optional<int> code;
  std::optional<int> signal;
  CpuStats cpu;  ///< of it and all that it waited for, or that ended with its pid namespace
};

/// A process whose end is awaited, shared by all who ask for it. A child is reaped whether or not
/// anybody asks, and no other child of the host program is.
class Watched final : public Source {
 public:
  /// Takes the pidfd of a process. Throws `system`.
  static std::shared_ptr<Watched> watch(Fd pidfd, bool is_child);

  using Callback = std::function<void(const Exit&)>;
  /// Calls back once, when the process ends, on a pool thread; at once if it has ended.
  void when_ended(Callback callback);
  /// pidfd_send_signal(2); false if the process has ended. Throws `system`.
  bool signal(int number);

 private:
  Watched(Fd pidfd, bool is_child) : pidfd_(std::move(pidfd)), is_child_(is_child) {}
  void ready() noexcept override;
  /// None: somebody traces it, and so is the first who may wait for it.
  std::optional<Exit> reap() const noexcept;
  void reap_or_retry(std::chrono::milliseconds waited) noexcept;
  void tell(const Exit& exit) noexcept;
  /// Kills and reaps a child that nobody is going to watch.
  void end() noexcept;

  std::mutex mutex_;
  Fd pidfd_;  // empty when it is reaped
  const bool is_child_;
  bool ended_ = false;
  std::optional<Exit> exit_;
  std::vector<Callback> callbacks_;
  std::shared_ptr<Watched> self_;  // until it is reaped
};

}  // namespace tare::node
