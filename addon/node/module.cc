#include "module.h"

#include "container.h"
#include "descriptors.h"
#include "news.h"
#include "output.h"
#include "process.h"
#include "tare/container.h"
#include "watched.h"

namespace tare::node {

namespace {

void on_warning(const Napi::CallbackInfo& info) {
  AddonData::of(info.Env()).warn = Napi::Persistent(info[0].As<Napi::Function>());
}

void end_mortals(const Napi::CallbackInfo& info) { AddonData::of(info.Env()).mortals->end(); }

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* const data = new AddonData{
      .loop = std::make_shared<EventLoop>(env),
      .mortals = std::make_shared<Mortals>(),
      .creates = {},
      .container_class = Napi::Persistent(ContainerObject::define(env)),
      .process_class = Napi::Persistent(ProcessObject::define(env)),
      .news_class = Napi::Persistent(NewsObject::define(env)),
      .warn = {},
      .full = {},
      .outputs = {},
  };
  env.SetInstanceData(data);
  // Hooks are called in reverse order, so this one comes before that of the thread-safe function.
  // If the main thread ends by process.exit(), no hook is called; lib/ calls endMortals() then.
  env.AddCleanupHook([loop = data->loop, mortals = data->mortals] {
    loop->close();
    mortals->end();
  });
  expect_many_containers();
  set_late_reaper(Watched::reap_late);
  ContainerObject::export_functions(env, exports);
  export_descriptors(env, exports);
  exports.Set("endMortals", Napi::Function::New<end_mortals>(env, "endMortals"));
  export_outputs(env, exports);
  exports.Set("onWarning", Napi::Function::New<on_warning>(env, "onWarning"));
  return exports;
}

NODE_API_MODULE(tare, initialize)

}  // namespace

}  // namespace tare::node
