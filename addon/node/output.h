/// \file
/// The output of a process to a pipe, collected by pool threads without a turn of the event loop.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "pool.h"

namespace tare::node {

/// Can be used from any thread.
class Output final : public Source, public std::enable_shared_from_this<Output> {
 public:
  /// Keeps the first `max_size` bytes and reads on. When there are more, calls `full` once, on a
  /// pool thread.
  Output(std::size_t max_size, std::function<void()> full)
      : max_size_(max_size), full_(std::move(full)) {}

  /// Returns the end for the process, which this object still owns. Creates the pipe if
  /// there is none. Throws `system`.
  int writer();
  /// Begins to collect, and calls `ended` once when that has ended, on a pool thread or at once.
  /// Throws `system`.
  void begin(std::function<void()> ended);
  /// Must be called when all processes that were given the other end have ended. Collects what is
  /// there and ends, even if further processes hold that end.
  void finish() noexcept;
  /// Stops collecting, without a call of `ended`.
  void abandon() noexcept;
  /// Instead of collecting: closes both ends, or prevents the pipe from being created.
  void close() noexcept;

  struct Taken {
    Fd reader;         ///< empty if all is read already
    std::string data;  ///< what was read so far
  };
  /// Leaves the rest to the caller, and ends the collecting.
  Taken take();
  /// After the end: moves what was collected into `data`. Returns false if it was taken.
  bool collected(std::string& data);

 private:
  void ready(WatchId watch) noexcept override;
  void make_pipe();
  enum class ReadResult : std::uint8_t { something, nothing, end };
  ReadResult read_on() noexcept;
  void keep(const char* bytes, std::size_t count) noexcept;
  void stop_watching() noexcept;
  /// Unlocks, and calls ended_.
  void end(std::unique_lock<std::mutex>& lock) noexcept;

  std::size_t max_size_;
  std::mutex mutex_;
  bool made_ = false;  // the pipe is made, or must not be
  Fd reader_;          // empty when all is read
  Fd writer_;
  std::string data_;
  bool taken_ = false;
  WatchId watch_ = 0;
  std::function<void()> full_;   // null once called
  std::function<void()> ended_;  // null once called
};

/// The outputs of an environment, by the number that JavaScript has for each: a JavaScript object
/// for each would cost more than the pipe.
using Outputs = std::unordered_map<std::int64_t, std::shared_ptr<Output>>;

/// Returns the output of `{key, maxSize}`, which stays until it is closed.
std::shared_ptr<Output> output_from(const Napi::Value& value);

void export_outputs(Napi::Env env, Napi::Object exports);

/// Returns a Buffer with `data`, or undefined if that is empty.
Napi::Value bytes_value(Napi::Env env, std::string&& data);

}  // namespace tare::node
