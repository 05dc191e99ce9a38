/// \file
/// A process that exec() started, as JavaScript sees it.
#pragma once

#include <napi.h>

#include <memory>

#include "watched.h"

namespace tare::node {

/// Resolves with `{exitCode, signal}` when the process ends.
Napi::Promise promise_of_end(Napi::Env env, Watched& watched);

class ProcessObject : public Napi::ObjectWrap<ProcessObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object make(Napi::Env env, pid_t pid, std::shared_ptr<Watched> watched);

  explicit ProcessObject(const Napi::CallbackInfo& info);

 private:
  struct Made {
    pid_t pid;
    std::shared_ptr<Watched> watched;
  };

  Napi::Value pid(const Napi::CallbackInfo& info);
  Napi::Value wait(const Napi::CallbackInfo& info);
  Napi::Value kill(const Napi::CallbackInfo& info);

  pid_t pid_ = -1;
  std::shared_ptr<Watched> watched_;
};

}  // namespace tare::node
