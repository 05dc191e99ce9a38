/// \file
/// A promise for what a pool thread does.
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

/// Where no result is needed.
struct Nothing {};
inline Napi::Value undefined(Napi::Env env, Nothing& /*nothing*/) { return env.Undefined(); }

/// What is known of one call between its threads.
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

/// Has `submit` (Pool::submit, or a Strand's) call `work()`, whose result `convert(env, result)`
/// makes a value on the environment's thread. Should the environment end before, the result is
/// lost, but `work` is carried through.
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
