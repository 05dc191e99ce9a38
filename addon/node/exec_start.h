/// \file
/// The start of a process in a container, which the container's processes can delay.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "convert.h"
#include "handle.h"
#include "pool.h"
#include "tare/container.h"

namespace tare::node {

/// An exec() that occupies a pool thread only while there is work to do for it.
class ExecStart final : public Source, public std::enable_shared_from_this<ExecStart> {
 public:
  ExecStart(std::shared_ptr<Handle> handle, ExecRequest request)
      : handle_(std::move(handle)), request_(std::move(request)) {}

  /// Must be called in a pool thread. Calls `done` once, on a pool thread, when the process is
  /// executed or its start has failed.
  void begin(std::function<void()> done) noexcept;
  /// Returns the process once `done` is called, or throws what has failed.
  StartedProcess take();

 private:
  using Clock = std::chrono::steady_clock;
  void ready(WatchId watch) noexcept override;
  PendingExec begin_exec();
  /// Continues until `deadline`, then waits without a thread.
  void go_on(std::unique_lock<std::mutex>& lock, Clock::time_point deadline) noexcept;

  const std::shared_ptr<Handle> handle_;
  ExecRequest request_;
  std::function<void()> done_;

  std::mutex mutex_;
  std::shared_ptr<Container> container_;  // declared before pending_, which refers to it
  std::optional<PendingExec> pending_;
  Pool::Stay stay_;  // keeps the thread whose child the process is
  WatchId watch_ = 0;
  std::exception_ptr failure_;
};

}  // namespace tare::node
