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

#include "pool.h"

namespace tare::node {

/// From any thread.
class Output final : public Source, public std::enable_shared_from_this<Output> {
 public:
  /// Makes the pipe. Keeps the first `most` bytes, reads on, and calls `full` when there are more,
  /// once, on a pool thread. Throws `system`.
  static std::shared_ptr<Output> make(std::size_t most, std::function<void()> full);

  /// The end that the process is to have; this object's until begin().
  int writer() const noexcept { return writer_.get(); }
  /// Closes that end and collects until all others are closed, then calls `ended`, once, on a pool
  /// thread or at once. Throws `system`.
  void begin(std::function<void()> ended);
  /// To be called when all processes have ended that were to have the other end. Collects what is
  /// there and counts as ended, whoever holds that end, too.
  void finish() noexcept;
  /// Nobody is to be told of the end.
  void abandon() noexcept;
  /// Instead: closes both.
  void close() noexcept;

  struct Taken {
    Fd reader;         ///< none where all is read already
    std::string data;  ///< what was read so far
  };
  /// Leaves the collecting to the caller. Counts as ended.
  Taken take();
  /// After the end: what was collected. False where it was taken.
  bool collected(std::string& data);

 private:
  Output(std::size_t most, std::function<void()> full) : most_(most), full_(std::move(full)) {}
  void ready() noexcept override;
  enum class Came : std::uint8_t { something, nothing, end };
  Came read_on() noexcept;
  void keep(const char* bytes, std::size_t count) noexcept;
  /// Has the pool call ready(), which alone lets go of what is watched.
  void wake() const noexcept;
  void end(std::unique_lock<std::mutex>& lock) noexcept;

  std::size_t most_;
  std::mutex mutex_;
  Fd reader_;  // none when all is read
  Fd writer_;
  std::string data_;
  bool taken_ = false;
  bool finished_ = false;
  std::function<void()> full_;    // none when called
  std::function<void()> ended_;   // none when called
  std::shared_ptr<Output> self_;  // while watched
};

/// An output as JavaScript sees it.
class OutputObject : public Napi::ObjectWrap<OutputObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static std::shared_ptr<Output> of(const Napi::Value& value);

  explicit OutputObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Output> output_;
};

/// A Buffer with `data`, or undefined where there is none.
Napi::Value bytes_value(Napi::Env env, std::string&& data);

}  // namespace tare::node
