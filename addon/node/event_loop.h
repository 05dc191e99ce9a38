/// \file
/// The way back from other threads to the thread of a Node environment.
#pragma once

#include <napi.h>

#include <functional>
#include <mutex>

namespace tare::node {

/// One for each environment. Other threads may hold it for longer than the environment lives; what
/// they post then is dropped.
class EventLoop {
 public:
  explicit EventLoop(Napi::Env env);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() = default;

  using Completion = std::function<void(Napi::Env)>;

  /// From the environment's thread: something will be completed, until then the loop lives on.
  void expect();
  /// From any thread: has `completion` of what was expected executed on the environment's.
  void complete(Completion completion);
  /// From any thread: the same of what was not expected.
  void post(Completion completion);
  /// From the environment's thread, when it ends.
  void close();

 private:
  /// Executes a completion. Node calls it without an environment for what is left when that ends.
  static void execute(napi_env env, napi_value callback, void* loop, void* completion);

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // null: the environment has ended
  napi_env env_;
  unsigned expected_ = 0;
};

}  // namespace tare::node
