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

  /// From the environment's thread: one completion will be posted, until then the loop lives on.
  void expect();
  /// From any thread: has `completion` executed on the environment's.
  void post(std::function<void(Napi::Env)> completion);
  /// From the environment's thread, when it ends.
  void close();

 private:
  static void execute(napi_env env, napi_value callback, void* loop, void* completion);

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // null: the environment has ended
  napi_env env_;
  unsigned expected_ = 0;
};

}  // namespace tare::node
