/// \file
/// The calls of create() that JavaScript may cancel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "prune.h"

namespace tare::node {

class Handle;

/// One per environment, used by its thread alone. Keyed by numbers that JavaScript chooses: an
/// object for each call would cost more.
class CancellableCreates {
 public:
  /// Adds a container whose create() is about to be submitted, without keeping it alive.
  void add(std::int64_t key, const std::shared_ptr<Handle>& handle);
  /// Cancels a create(); returns false if there is nothing to cancel any more.
  bool cancel(std::int64_t key) noexcept;

 private:
  std::unordered_map<std::int64_t, std::weak_ptr<Handle>> handles_;
  std::size_t prune_at_ = first_prune_at;
};

}  // namespace tare::node
