/// \file
/// Waits for the end of a container that is removed with its process, and of the process's output.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "output.h"
#include "process_watcher.h"
#include "tare/container.h"

namespace tare::node {

/// Can be used from any thread.
class RunCompletion : public std::enable_shared_from_this<RunCompletion> {
 public:
  explicit RunCompletion(std::vector<std::shared_ptr<Output>> outputs)
      : outputs_(std::move(outputs)), awaited_(1 + outputs_.size()) {}

  /// Begins to collect the outputs. Must be called once, when the process has its ends of the
  /// pipes.
  void begin();
  void process_ended(const Exit& exit) noexcept;
  /// Calls `remove`, and keeps its result or the exception that it throws.
  void removed(const std::function<CgroupTotals()>& remove) noexcept;
  /// Calls back once, when the container is removed and all outputs have ended; at once if they
  /// already have.
  void when_complete(std::function<void()> callback);

  // When complete:
  const Exit& exit() const noexcept { return exit_; }
  /// Returns the time since the end of the process.
  std::chrono::nanoseconds age() const noexcept { return Clock::now() - ended_; }
  /// Returns the totals, or throws what the removal threw.
  const CgroupTotals& totals() const;
  const std::vector<std::shared_ptr<Output>>& outputs() const noexcept { return outputs_; }

 private:
  using Clock = std::chrono::steady_clock;
  void one_ended() noexcept;

  const std::vector<std::shared_ptr<Output>> outputs_;
  std::mutex mutex_;
  std::size_t awaited_;
  std::function<void()> callback_;
  Exit exit_;
  Clock::time_point ended_;
  CgroupTotals totals_;
  std::exception_ptr failure_;
};

}  // namespace tare::node
