#include "event_loop.h"

#include <memory>
#include <utility>

namespace tare::node {

EventLoop::EventLoop(Napi::Env env) : env_(env) {
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "tare"), 0, 1,
                                      nullptr, nullptr, this, execute, &function_);
  NAPI_THROW_IF_FAILED_VOID(env, status);
  napi_unref_threadsafe_function(env, function_);
}

void EventLoop::expect() {
  if (expected_++ == 0) napi_ref_threadsafe_function(env_, function_);
}

void EventLoop::complete(Completion completion) {
  post([this, completion = std::move(completion)](Napi::Env env) {
    if (--expected_ == 0) napi_unref_threadsafe_function(env, function_);
    completion(env);
  });
}

void EventLoop::post(Completion completion) {
  const std::lock_guard lock(mutex_);
  if (function_ == nullptr) return;
  auto posted = std::make_unique<Completion>(std::move(completion));
  if (napi_call_threadsafe_function(function_, posted.get(), napi_tsfn_nonblocking) == napi_ok) {
    static_cast<void>(posted.release());  // execute() owns it now
  }
}

void EventLoop::close() {
  const std::lock_guard lock(mutex_);
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
  function_ = nullptr;
}

void EventLoop::execute(napi_env env, napi_value /*callback*/, void* /*loop*/, void* completion) {
  const std::unique_ptr<Completion> owned(static_cast<Completion*>(completion));
  if (env == nullptr) return;
  const Napi::HandleScope scope(env);
  try {
    (*owned)(Napi::Env(env));
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();  // does nothing if a worker thread is being terminated
  }
}

}  // namespace tare::node
