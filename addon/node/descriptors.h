/// \file
/// Descriptors that JavaScript has no call for.
#pragma once

#include <napi.h>

namespace tare::node {

/// Adds `pipe()`, `socketPair()` and `resize()` to the addon.
void export_descriptors(Napi::Env env, Napi::Object exports);

}  // namespace tare::node
