#include "process.h"

#include <exception>
#include <utility>

#include "convert.h"
#include "descriptors.h"
#include "module.h"
#include "tare/error.h"

namespace tare::node {

Napi::Promise promise_of_end(Napi::Env env, ProcessWatcher& watcher) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  const std::shared_ptr<EventLoop> loop = AddonData::of(env).loop;
  loop->expect();
  watcher.when_ended([deferred, loop](const Exit& exit) {
    loop->complete(
        [deferred, exit](Napi::Env there) { deferred.Resolve(exit_value(there, exit)); });
  });
  return deferred.Promise();
}

Napi::Function ProcessObject::define(Napi::Env env) {
  return DefineClass(
      env, "Process",
      {InstanceAccessor<&ProcessObject::pid>("pid"), InstanceMethod<&ProcessObject::wait>("wait"),
       InstanceMethod<&ProcessObject::kill>("kill"),
       InstanceMethod<&ProcessObject::take_console>("takeConsole"),
       InstanceMethod<&ProcessObject::hang_up>("hangUp")});
}

Napi::Object ProcessObject::make(Napi::Env env, Made made) {
  return AddonData::of(env).process_class.New({Napi::External<Made>::New(env, &made)});
}

ProcessObject::ProcessObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), made_(*info[0].As<Napi::External<Made>>().Data()) {}

Napi::Value ProcessObject::pid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), made_.pid);
}

Napi::Value ProcessObject::wait(const Napi::CallbackInfo& info) {
  return promise_of_end(info.Env(), *made_.watcher);
}

Napi::Value ProcessObject::kill(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    return Napi::Boolean::New(env, made_.watcher->signal(info[0].As<Napi::Number>().Int32Value()));
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
}

Napi::Value ProcessObject::take_console(const Napi::CallbackInfo& info) {
  made_.watcher->keep_console(*made_.console);
  return Napi::Number::New(info.Env(), descriptor_for_stream(std::move(*made_.console)));
}

Napi::Value ProcessObject::hang_up(const Napi::CallbackInfo& info) {
  made_.watcher->hang_up();
  return info.Env().Undefined();
}

}  // namespace tare::node
