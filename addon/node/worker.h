/// \file
/// Promises for work on pool threads.
#pragma once

#include <napi.h>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "convert.h"
#include "event_loop.h"
#include "module.h"
#include "pool.h"

namespace tare::node {

/// The result of work that returns none.
struct Nothing {};
inline Napi::Value undefined(Napi::Env env, Nothing& /*nothing*/) { return env.Undefined(); }

/// The state of one call, passed between its threads.
template <class Work, class Convert>
struct Operation {
  using Result = std::invoke_result_t<Work&>;

  Napi::Promise::Deferred deferred;
  Work work;
  Convert convert;
  std::optional<Result> result = {};
  std::exception_ptr failure = {};

  void run() noexcept {
    try {
      result.emplace(work());
    } catch (...) {
      failure = std::current_exception();
    }
  }

  void settle(Napi::Env env) {
    if (failure) {
      deferred.Reject(error_value(env, failure));
    } else {
      deferred.Resolve(convert(env, *result));
    }
  }
};

/// Has `submit` (Pool::submit, or a Handle's) call `work()`, and on the environment's thread turns
/// its result into a value by `convert(env, result)`. If the environment ends before, the result is
/// lost, but `work` is completed.
template <class Submit, class Work, class Convert>
Napi::Promise promise_for(Napi::Env env, Submit submit, Work work, Convert convert) {
  auto operation = std::make_shared<Operation<Work, Convert>>(Operation<Work, Convert>{
      Napi::Promise::Deferred::New(env), std::move(work), std::move(convert)});
  const std::shared_ptr<EventLoop> loop = AddonData::of(env).loop;
  loop->expect();
  try {
    submit([operation, loop] {
      operation->run();
      loop->complete([operation](Napi::Env there) { operation->settle(there); });
    });
  } catch (...) {
    operation->failure = std::current_exception();
    loop->complete([operation](Napi::Env there) { operation->settle(there); });
  }
  return operation->deferred.Promise();
}

}  // namespace tare::node
