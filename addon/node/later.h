/// \file
/// What is to be done after some time, awaited without a thread.
#pragma once

#include <chrono>
#include <functional>

namespace tare::node {

/// Has a pool thread call `act`, which must not throw, after `delay`. However many tasks hang, that
/// thread is there. Throws `system`.
void later(std::chrono::milliseconds delay, std::function<void()> act);

}  // namespace tare::node
