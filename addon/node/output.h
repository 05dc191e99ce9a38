/// \file
/// What a process writes to a pipe, collected by pool threads, without a turn of the event loop.
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

/// From any thread.
class Output final : public Source, public std::enable_shared_from_this<Output> {
 public:
  /// Keeps the first `most` bytes, reads on, and calls `full` when there are more, once, on a pool
  /// thread.
  Output(std::size_t most, std::function<void()> full) : most_(most), full_(std::move(full)) {}

  /// Makes the pipe, unless it is made. The end that the process is to have, which stays this
  /// object's. Throws `system`.
  int writer();
  /// Begins to collect, and calls `ended` when that has ended, once, on a pool thread or at once.
  /// Throws `system`.
  void begin(std::function<void()> ended);
  /// To be called when all processes have ended that were to have the other end. Collects what is
  /// there and has ended, whoever holds that end, too.
  void finish() noexcept;
  /// Nobody is to be told of the end, and nothing is collected any more.
  void abandon() noexcept;
  /// Instead: closes both, or has none made.
  void close() noexcept;

  struct Taken {
    Fd reader;         ///< none where all is read already
    std::string data;  ///< what was read so far
  };
  /// Leaves the collecting to the caller. Has ended, then.
  Taken take();
  /// After the end: what was collected. False where it was taken.
  bool collected(std::string& data);

 private:
  void ready() noexcept override;
  void make_pipe();
  enum class Came : std::uint8_t { something, nothing, end };
  Came read_on() noexcept;
  void keep(const char* bytes, std::size_t count) noexcept;
  void stop_watching() noexcept;
  /// Unlocks.
  void end(std::unique_lock<std::mutex>& lock) noexcept;

  std::size_t most_;
  std::mutex mutex_;
  bool made_ = false;  // the pipe, or none is to be made
  Fd reader_;          // none when all is read
  Fd writer_;
  std::string data_;
  bool taken_ = false;
  Pool::Watch watch_ = 0;
  std::function<void()> full_;   // none when called
  std::function<void()> ended_;  // none when called
};

/// Those of an environment, by the number that JavaScript has for each: an object of its own for
/// each would cost more than the pipe.
using Outputs = std::unordered_map<std::int64_t, std::shared_ptr<Output>>;

/// That of `{key, most}`. It stays until it is closed.
std::shared_ptr<Output> output_from(const Napi::Value& value);

void export_outputs(Napi::Env env, Napi::Object exports);

/// A Buffer with `data`, or undefined where there is none.
Napi::Value bytes_value(Napi::Env env, std::string&& data);

}  // namespace tare::node
