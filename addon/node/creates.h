/// \file
/// The calls of create() that JavaScript may cancel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace tare::node {

class Handle;

/// One for each environment, and used by its thread alone. By numbers that JavaScript gives: an
/// object of its own for each call would cost more.
class Creates {
 public:
  /// Takes a container whose create() is going to be submitted. Nothing keeps it alive here.
  void add(std::int64_t key, const std::shared_ptr<Handle>& handle);
  /// False: there is nothing to cancel any more.
  bool cancel(std::int64_t key) noexcept;

 private:
  std::unordered_map<std::int64_t, std::weak_ptr<Handle>> handles_;
  std::size_t prune_at_ = 64;  ///< the size at which those that are gone are removed
};

}  // namespace tare::node
