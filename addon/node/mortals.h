/// \file
/// The containers that end with the environment that made them.
#pragma once

#include <memory>
#include <vector>

namespace tare::node {

class Handle;

/// One for each environment, and used by its thread alone.
class Mortals {
 public:
  /// Takes a container whose create() is going to be submitted. Nothing keeps it alive here.
  void add(const std::shared_ptr<Handle>& handle);
  /// Kills and removes those that are still there, also those that are just being made. Waits for
  /// that, but no longer than `patience`: hooks may take their time.
  void end() noexcept;

 private:
  std::vector<std::weak_ptr<Handle>> handles_;
  std::size_t crowd_ = 64;  ///< when to look for those that are gone
};

}  // namespace tare::node
