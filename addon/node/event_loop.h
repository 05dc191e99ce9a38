/// \file
/// Calls from other threads to the thread of a Node environment.
#pragma once

#include <napi.h>

#include <functional>
#include <mutex>

namespace tare::node {

/// One per environment. Other threads may hold it for longer than the environment lives;
/// completions that they post then are dropped.
class EventLoop {
 public:
  explicit EventLoop(Napi::Env env);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() = default;

  using Completion = std::function<void(Napi::Env)>;

  /// From the environment's thread: announces one complete(), and keeps the event loop alive until
  /// then.
  void expect();
  /// From any thread: executes `completion`, announced by expect(), on the environment's thread.
  void complete(Completion completion);
  /// From any thread: executes a `completion` that was not announced.
  void post(Completion completion);
  /// From the environment's thread, when the environment ends.
  void close();

 private:
  /// Executes a completion. Node passes no environment for completions that are left when it ends.
  static void execute(napi_env env, napi_value callback, void* loop, void* completion);

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // null: the environment has ended
  napi_env env_;
  unsigned expected_ = 0;
};

}  // namespace tare::node
