/// \file
/// What the addon keeps for each environment (the main thread, each worker thread).
#pragma once

#include <napi.h>

#include <memory>

#include "cancellable_creates.h"
#include "event_loop.h"
#include "output.h"
#include "owned_containers.h"

namespace tare::node {

struct AddonData {
  std::shared_ptr<EventLoop> loop;
  std::shared_ptr<OwnedContainers> owned_containers;
  CancellableCreates cancellable_creates;
  Napi::FunctionReference container_class;
  Napi::FunctionReference process_class;
  Napi::FunctionReference cgroup_events_class;
  Napi::FunctionReference warn;  // called with a sentence
  Napi::FunctionReference full;  // called with the key of an output that exceeds its limit
  Outputs outputs;

  static AddonData& of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
};

}  // namespace tare::node
