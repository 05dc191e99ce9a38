#include "module.h"

#include "container.h"
#include "descriptors.h"
#include "news.h"
#include "process.h"

namespace tare::node {

namespace {

void on_warning(const Napi::CallbackInfo& info) {
  AddonData::of(info.Env()).warn = Napi::Persistent(info[0].As<Napi::Function>());
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* const data = new AddonData{
      .loop = std::make_shared<EventLoop>(env),
      .container_class = Napi::Persistent(ContainerObject::define(env)),
      .process_class = Napi::Persistent(ProcessObject::define(env)),
      .news_class = Napi::Persistent(NewsObject::define(env)),
      .warn = {},
  };
  env.SetInstanceData(data);
  // Hooks are called in reverse order, so this one comes before that of the thread-safe function.
  env.AddCleanupHook([loop = data->loop] { loop->close(); });
  ContainerObject::export_functions(env, exports);
  export_descriptors(env, exports);
  exports.Set("onWarning", Napi::Function::New<on_warning>(env, "onWarning"));
  return exports;
}

NODE_API_MODULE(tare, initialize)

}  // namespace

}  // namespace tare::node
