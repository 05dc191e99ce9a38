/// \file
/// Delayed calls, which need no thread while they wait.
#pragma once

#include <chrono>
#include <functional>

namespace tare::node {

/// Has a pool thread call `act`, which must not throw, after `delay`. A thread is available for it
/// however many tasks hang. Throws `system`.
void run_after(std::chrono::milliseconds delay, std::function<void()> act);

}  // namespace tare::node
