/// \file
/// Descriptors that JavaScript has no call to make.
#pragma once

#include <napi.h>

#include <memory>

#include "tare/fd.h"

namespace tare::node {

/// A descriptor for a process that is to be started. JavaScript owns it until it releases it or its
/// environment ends; so does the call that starts the process, which may outlive the environment.
using SharedFd = std::shared_ptr<Fd>;

/// Returns a descriptor for a stream of Node's, which then owns it; -1 for none. It is at least
/// 3, unless no higher one is free: libuv does not close the standard descriptors, and a program
/// that has closed its own would get a pipe there whose end the container never sees.
int descriptor_for_stream(Fd fd) noexcept;

/// Adds `pipe()`, `socketPair()`, `release()` and `resize()` to the addon.
void export_descriptors(Napi::Env env, Napi::Object exports);

}  // namespace tare::node
