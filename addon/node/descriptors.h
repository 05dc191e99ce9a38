/// \file
/// Descriptors that JavaScript has no call to make.
#pragma once

#include <napi.h>

#include <memory>

#include "tare/fd.h"

namespace tare::node {

/// A descriptor for a process that is to be started. JavaScript owns it until it releases it or its
/// environment ends; so does the call that starts the process, which may outlive the environment.
using Held = std::shared_ptr<Fd>;

/// Adds `pipe()`, `socketPair()`, `release()` and `resize()` to the addon.
void export_descriptors(Napi::Env env, Napi::Object exports);

}  // namespace tare::node
