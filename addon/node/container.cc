#include "container.h"

#include <string>
#include <utility>
#include <vector>

#include "cgroup_events.h"
#include "convert.h"
#include "descriptors.h"
#include "exec_start.h"
#include "handle.h"
#include "process.h"
#include "worker.h"

namespace tare::node {

namespace {

using Shared = std::shared_ptr<Handle>;

/// promise_for() work that is carried out in the order of the container's calls.
template <class Work, class Convert>
Napi::Promise promise_in_order(Napi::Env env, const Shared& handle, Work work, Convert convert) {
  return promise_for(
      env, [handle](std::function<void()> task) { handle->submit(std::move(task)); },
      std::move(work), std::move(convert));
}

/// The same for work without a result.
template <class Act>
Napi::Promise carry_out(Napi::Env env, const Shared& handle, Act act) {
  return promise_in_order(
      env, handle,
      [handle, act] {
        Handle::Use container(*handle);
        act(*container);
        return Nothing();
      },
      undefined);
}

void submit_to_pool(std::function<void()> task) { Pool::instance().submit(std::move(task)); }

std::string json_of(const ContainerState& state) { return state_json(state, true, 0); }

Napi::Value string_value(Napi::Env env, const std::string& text) {
  return Napi::String::New(env, text);
}

}  // namespace

Napi::Function ContainerObject::define(Napi::Env env) {
  return DefineClass(env, "Container",
                     {InstanceMethod<&ContainerObject::start>("start"),
                      InstanceMethod<&ContainerObject::state>("state"),
                      InstanceMethod<&ContainerObject::kill>("kill"),
                      InstanceMethod<&ContainerObject::pause>("pause"),
                      InstanceMethod<&ContainerObject::resume>("resume"),
                      InstanceMethod<&ContainerObject::remove>("remove"),
                      InstanceMethod<&ContainerObject::exec>("exec"),
                      InstanceMethod<&ContainerObject::processes>("processes"),
                      InstanceMethod<&ContainerObject::update>("update"),
                      InstanceMethod<&ContainerObject::stats>("stats"),
                      InstanceMethod<&ContainerObject::watch>("watch"),
                      InstanceMethod<&ContainerObject::wait>("wait"),
                      InstanceMethod<&ContainerObject::take_console>("takeConsole"),
                      InstanceMethod<&ContainerObject::hang_up>("hangUp"),
                      InstanceMethod<&ContainerObject::ended>("ended"),
                      InstanceMethod<&ContainerObject::end>("end")});
}

void ContainerObject::export_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("create", Napi::Function::New<&ContainerObject::create>(env, "create"));
  exports.Set("prepare", Napi::Function::New<&ContainerObject::prepare>(env, "prepare"));
  exports.Set("run", Napi::Function::New<&ContainerObject::run>(env, "run"));
  exports.Set("cancelCreate",
              Napi::Function::New<&ContainerObject::cancel_create>(env, "cancelCreate"));
  exports.Set("open", Napi::Function::New<&ContainerObject::open>(env, "open"));
  exports.Set("defaultRoot",
              Napi::Function::New<&ContainerObject::default_root>(env, "defaultRoot"));
  exports.Set("subordinateMappings", Napi::Function::New<&ContainerObject::subordinate_mappings>(
                                         env, "subordinateMappings"));
  exports.Set("list", Napi::Function::New<&ContainerObject::list>(env, "list"));
  exports.Set("removeOrphans",
              Napi::Function::New<&ContainerObject::remove_orphans>(env, "removeOrphans"));
  exports.Set("validate", Napi::Function::New<&ContainerObject::validate>(env, "validate"));
}

Napi::Object ContainerObject::make(Napi::Env env, Shared handle) {
  return AddonData::of(env).container_class.New({Napi::External<Shared>::New(env, &handle)});
}

ContainerObject::ContainerObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), handle_(*info[0].As<Napi::External<Shared>>().Data()) {}

ContainerObject::~ContainerObject() { handle_->hang_up(); }

Napi::Value ContainerObject::create(const Napi::CallbackInfo& info) {
  auto handle =
      std::make_shared<Handle>(runtime_from(info[0]), info[1].As<Napi::String>().Utf8Value());
  CreateOptions options = create_options_from(info[2]);
  AddonData& data = AddonData::of(info.Env());
  const Napi::Value key = info[2].As<Napi::Object>().Get("cancelKey");
  if (options.ends_with_caller) data.owned_containers->add(handle);
  if (!key.IsUndefined() || options.ends_with_caller) handle->make_cancellable();
  if (!key.IsUndefined()) {
    data.cancellable_creates.add(key.As<Napi::Number>().Int64Value(), handle);
  }
  return promise_in_order(
      info.Env(), handle,
      [handle, options = std::move(options), shared_fds = shared_fds_from(info[2])] {
        handle->create(options);
        return handle;
      },
      make);
}

/// The result is freed with the JavaScript value.
Napi::Value ContainerObject::prepare(const Napi::CallbackInfo& info) {
  using Prepared = std::shared_ptr<const PreparedRun>;
  return Napi::External<Prepared>::New(
      info.Env(), new Prepared(prepared_run_from(info)),
      [](Napi::Env /*env*/, const Prepared* prepared) { delete prepared; });
}

Napi::Value ContainerObject::run(const Napi::CallbackInfo& info) {
  AddonData& data = AddonData::of(info.Env());
  const auto& prepared = *info[0].As<Napi::External<std::shared_ptr<const PreparedRun>>>().Data();
  auto handle = std::make_shared<Handle>(prepared->runtime, info[1].As<Napi::String>().Utf8Value());
  handle->make_cancellable();
  data.owned_containers->add(handle);
  data.cancellable_creates.add(info[4].As<Napi::Number>().Int64Value(), handle);
  return promise_in_order(
      info.Env(), handle,
      [handle, prepared, command = command_from(info[2]), stdio = stdio_from(info[3]),
       shared_fds = shared_fds_from(info[3]), requests = outputs_from(info[3])]() mutable {
        CreateOptions options = prepared->options;
        options.command = std::move(command);
        options.stdio = std::move(stdio);
        std::vector<std::shared_ptr<Output>> outputs;
        for (OutputRequest& one : requests) {
          options.stdio.fds[one.number] = one.output->writer();
          outputs.push_back(std::move(one.output));
        }
        handle->create(options);
        handle->end_with_init(std::move(outputs));
        return handle;
      },
      make);
}

Napi::Value ContainerObject::cancel_create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Napi::Boolean::New(
      env, AddonData::of(env).cancellable_creates.cancel(info[0].As<Napi::Number>().Int64Value()));
}

Napi::Value ContainerObject::open(const Napi::CallbackInfo& info) {
  auto handle =
      std::make_shared<Handle>(runtime_from(info[0]), info[1].As<Napi::String>().Utf8Value());
  return promise_in_order(
      info.Env(), handle,
      [handle] {
        Handle::Use use(*handle);
        return handle;
      },
      make);
}

Napi::Value ContainerObject::list(const Napi::CallbackInfo& info) {
  return promise_for(
      info.Env(), submit_to_pool,
      [runtime = runtime_from(info[0])] {
        std::vector<std::string> states;
        for (const ContainerState& state : Container::list(runtime)) {
          states.push_back(json_of(state));
        }
        return states;
      },
      string_array);
}

Napi::Value ContainerObject::default_root(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), tare::default_root());
}

Napi::Value ContainerObject::subordinate_mappings(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto array = [env](const std::vector<IdMapping>& mappings) {
    Napi::Array values = Napi::Array::New(env);
    for (const IdMapping& mapping : mappings) {
      Napi::Object value = Napi::Object::New(env);
      value.Set("containerID", mapping.container_id);
      value.Set("hostID", mapping.host_id);
      value.Set("size", mapping.size);
      values.Set(values.Length(), value);
    }
    return values;
  };
  try {
    const IdMappings mappings = tare::subordinate_mappings();
    Napi::Object both = Napi::Object::New(env);
    both.Set("uidMappings", array(mappings.uids));
    both.Set("gidMappings", array(mappings.gids));
    return both;
  } catch (const std::exception&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
}

Napi::Value ContainerObject::remove_orphans(const Napi::CallbackInfo& info) {
  return promise_for(
      info.Env(), submit_to_pool,
      [runtime = runtime_from(info[0])] {
        tare::remove_orphans(runtime);
        return Nothing();
      },
      undefined);
}

Napi::Value ContainerObject::validate(const Napi::CallbackInfo& info) {
  return problems_value(info.Env(), config_problems(info[0].As<Napi::String>().Utf8Value()));
}

Napi::Value ContainerObject::start(const Napi::CallbackInfo& info) {
  return carry_out(info.Env(), handle_, [](Container& container) { container.start(); });
}

Napi::Value ContainerObject::pause(const Napi::CallbackInfo& info) {
  return carry_out(info.Env(), handle_, [](Container& container) { container.pause(); });
}

Napi::Value ContainerObject::resume(const Napi::CallbackInfo& info) {
  return carry_out(info.Env(), handle_, [](Container& container) { container.resume(); });
}

Napi::Value ContainerObject::state(const Napi::CallbackInfo& info) {
  return promise_in_order(
      info.Env(), handle_, [handle = handle_] { return json_of(Handle::Use(*handle)->state()); },
      string_value);
}

Napi::Value ContainerObject::kill(const Napi::CallbackInfo& info) {
  const int signal = info[0].As<Napi::Number>().Int32Value();
  const bool all = info[1].As<Napi::Boolean>().Value();
  const Napi::Env env = info.Env();
  try {
    if (!all && handle_->signal_in_order(signal)) {
      const auto deferred = Napi::Promise::Deferred::New(env);
      deferred.Resolve(env.Undefined());
      return deferred.Promise();
    }
  } catch (const Error&) {
    // The task below reports the error by rejecting the promise.
  }
  return promise_for(
      env, [handle = handle_](std::function<void()> task) { handle->submit_kill(std::move(task)); },
      [handle = handle_, signal, all] {
        handle->kill(signal, all);
        return Nothing();
      },
      undefined);
}

Napi::Value ContainerObject::remove(const Napi::CallbackInfo& info) {
  const bool force = info[0].As<Napi::Boolean>().Value();
  return promise_for(
      info.Env(),
      [handle = handle_, force](std::function<void()> task) {
        force ? handle->submit_end(std::move(task)) : handle->submit(std::move(task));
      },
      [handle = handle_, force] {
        handle->remove(force);
        return Nothing();
      },
      undefined);
}

Napi::Value ContainerObject::exec(const Napi::CallbackInfo& info) {
  struct Started {
    pid_t pid;
    std::shared_ptr<ProcessWatcher> watcher;
    Fd console;
  };
  const auto start = std::make_shared<ExecStart>(handle_, exec_request_from(info[0]));
  return promise_for(
      info.Env(),
      [handle = handle_, start](std::function<void()> task) {
        handle->submit_unordered([start, task = std::move(task)] { start->begin(task); });
      },
      [start] {
        StartedProcess started = start->take();
        return Started{started.pid, ProcessWatcher::watch(std::move(started.pidfd), true),
                       std::move(started.console)};
      },
      [](Napi::Env env, Started& started) {
        return ProcessObject::make(
            env, {started.pid, started.watcher, std::make_shared<Fd>(std::move(started.console))});
      });
}

Napi::Value ContainerObject::processes(const Napi::CallbackInfo& info) {
  return promise_in_order(
      info.Env(), handle_, [handle = handle_] { return Handle::Use(*handle)->processes(); },
      number_array);
}

Napi::Value ContainerObject::update(const Napi::CallbackInfo& info) {
  const std::string resources = info[0].As<Napi::String>().Utf8Value();
  return carry_out(info.Env(), handle_, [resources](Container& container) {
    container.update(parse_resources(resources, "resources"), "resources");
  });
}

Napi::Value ContainerObject::stats(const Napi::CallbackInfo& info) {
  return promise_in_order(
      info.Env(), handle_,
      [handle = handle_] {
        Handle::Use container(*handle);
        return stats_json(container->stats(), container->rdt_stats_json());
      },
      string_value);
}

Napi::Value ContainerObject::watch(const Napi::CallbackInfo& info) {
  return promise_in_order(
      info.Env(), handle_,
      [handle = handle_] { return std::make_shared<CgroupEvents>(Handle::Use(*handle)->watch()); },
      CgroupEventsObject::make);
}

Napi::Value ContainerObject::take_console(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), descriptor_for_stream(handle_->take_console()));
}

Napi::Value ContainerObject::hang_up(const Napi::CallbackInfo& info) {
  handle_->hang_up();
  return info.Env().Undefined();
}

Napi::Value ContainerObject::end(const Napi::CallbackInfo& info) {
  return promise_for(
      info.Env(),
      [handle = handle_](std::function<void()> task) { handle->submit_end(std::move(task)); },
      [handle = handle_] { return handle->end(); }, totals_value);
}

Napi::Value ContainerObject::ended(const Napi::CallbackInfo& info) {
  const std::shared_ptr<RunCompletion> completion = handle_->completion();
  return promise_for(
      info.Env(),
      [completion](std::function<void()> task) { completion->when_complete(std::move(task)); },
      [completion] {
        completion->totals();
        return std::shared_ptr(completion);
      },
      [](Napi::Env env, const std::shared_ptr<RunCompletion>& complete) {
        return completion_value(env, *complete);
      });
}

/// If the process is not watched yet, a pool thread looks it up first.
Napi::Value ContainerObject::wait(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (const std::shared_ptr<ProcessWatcher> init = handle_->init_watcher()) {
    return promise_of_end(env, *init);
  }
  return promise_in_order(
      env, handle_, [handle = handle_] { return handle->watch_init(); },
      [](Napi::Env there, const std::shared_ptr<ProcessWatcher>& init) -> Napi::Value {
        return init ? promise_of_end(there, *init) : exit_value(there, Exit{});
      });
}

}  // namespace tare::node
