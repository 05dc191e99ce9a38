/// \file
/// The JavaScript object of a process that exec() started.
#pragma once

#include <napi.h>

#include <memory>

#include "process_watcher.h"

namespace tare::node {

/// Resolves with `{exitCode, signal}` when the process ends.
Napi::Promise promise_of_end(Napi::Env env, ProcessWatcher& watcher);

class ProcessObject : public Napi::ObjectWrap<ProcessObject> {
 public:
  static Napi::Function define(Napi::Env env);
  struct Made {
    pid_t pid;
    std::shared_ptr<ProcessWatcher> watcher;
    std::shared_ptr<Fd> console;  ///< the master of its terminal
  };
  static Napi::Object make(Napi::Env env, Made made);

  explicit ProcessObject(const Napi::CallbackInfo& info);
  ProcessObject(const ProcessObject&) = delete;
  ProcessObject& operator=(const ProcessObject&) = delete;
  /// Hangs up the terminal: the end of a worker thread leaves no master of its terminals open.
  ~ProcessObject() override { made_.watcher->hang_up(); }

 private:
  Napi::Value pid(const Napi::CallbackInfo& info);
  Napi::Value wait(const Napi::CallbackInfo& info);
  Napi::Value kill(const Napi::CallbackInfo& info);
  Napi::Value take_console(const Napi::CallbackInfo& info);
  Napi::Value hang_up(const Napi::CallbackInfo& info);

  Made made_;
};

}  // namespace tare::node
