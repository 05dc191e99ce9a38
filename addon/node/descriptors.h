/// \file
/// Descriptors that JavaScript has no call for.
#pragma once

#include <napi.h>

#include <memory>

#include "tare/fd.h"

namespace tare::node {

/// A descriptor for a process that is to be started: JavaScript's, until it releases it or its
/// environment ends, and that of the call that starts the process, which goes on after that end.
using Held = std::shared_ptr<Fd>;

/// Adds `pipe()`, `socketPair()`, `release()` and `resize()` to the addon.
void export_descriptors(Napi::Env env, Napi::Object exports);

}  // namespace tare::node
