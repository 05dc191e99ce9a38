/// \file
/// How init's program and its plan reach the child. Private to spawn.
#pragma once

#include <cstddef>

#include "tare/fd.h"
#include "tare/plan.h"

namespace tare {

/// init's image and its plan: see wire.h.
struct InitImage {
  Fd memfd;        ///< empty where the kept image is used
  int image = -1;  ///< fd of the image
  std::size_t plan_offset = 0;
  std::size_t plan_size = 0;
};

/// Whether the plan joins a namespace of that type before the clone.
bool joins(const Plan& plan, std::uint64_t type);
bool makes_user_namespace(const Plan& plan);

/// Writes init and its plan to a sealed memfd. Where this process keeps init's image, and no other
/// process may trace init, the plan is sent through `channel` instead.
InitImage make_init_image(const Plan& plan, const Fd& channel);

}  // namespace tare
