#include "module.h"

#include "cgroup_events.h"
#include "container.h"
#include "descriptors.h"
#include "output.h"
#include "process.h"
#include "process_watcher.h"
#include "tare/container.h"

namespace tare::node {

namespace {

void on_warning(const Napi::CallbackInfo& info) {
  AddonData::of(info.Env()).warn = Napi::Persistent(info[0].As<Napi::Function>());
}

void end_owned_containers(const Napi::CallbackInfo& info) {
  AddonData::of(info.Env()).owned_containers->end();
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* const data = new AddonData{
      .loop = std::make_shared<EventLoop>(env),
      .owned_containers = std::make_shared<OwnedContainers>(),
      .cancellable_creates = {},
      .container_class = Napi::Persistent(ContainerObject::define(env)),
      .process_class = Napi::Persistent(ProcessObject::define(env)),
      .cgroup_events_class = Napi::Persistent(CgroupEventsObject::define(env)),
      .warn = {},
      .full = {},
      .outputs = {},
  };
  env.SetInstanceData(data);
  // Hooks are called in reverse order, so this one comes before that of the thread-safe function.
  // If the main thread ends by process.exit(), no hook is called; lib/ calls endOwnedContainers()
  // then.
  env.AddCleanupHook([loop = data->loop, owned_containers = data->owned_containers] {
    loop->close();
    owned_containers->end();
  });
  expect_many_containers();
  set_late_reaper(ProcessWatcher::reap_late);
  ContainerObject::export_functions(env, exports);
  export_descriptors(env, exports);
  exports.Set("endOwnedContainers",
              Napi::Function::New<end_owned_containers>(env, "endOwnedContainers"));
  export_outputs(env, exports);
  exports.Set("onWarning", Napi::Function::New<on_warning>(env, "onWarning"));
  return exports;
}

NODE_API_MODULE(tare, initialize)

}  // namespace

}  // namespace tare::node
