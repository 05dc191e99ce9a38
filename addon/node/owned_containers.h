/// \file
/// The containers that end with the environment that made them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "prune.h"

namespace tare::node {

class Handle;

/// One per environment, used by its thread alone.
class OwnedContainers {
 public:
  /// Adds a container whose create() is about to be submitted, without keeping it alive.
  void add(const std::shared_ptr<Handle>& handle);
  /// Kills and removes the containers that still exist, including those that are being created.
  /// Waits for that at most 2 s: hooks may take longer.
  void end() noexcept;

 private:
  std::vector<std::weak_ptr<Handle>> handles_;
  std::size_t prune_at_ = first_prune_at;
};

}  // namespace tare::node
