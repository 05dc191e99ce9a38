#include "cancellable_creates.h"

#include "handle.h"

namespace tare::node {

void CancellableCreates::add(std::int64_t key, const std::shared_ptr<Handle>& handle) {
  prune(handles_, prune_at_, [](const auto& one) { return one.second.expired(); });
  handles_.insert_or_assign(key, handle);
}

bool CancellableCreates::cancel(std::int64_t key) noexcept {
  const auto found = handles_.find(key);
  if (found == handles_.end()) return false;
  const std::shared_ptr<Handle> handle = found->second.lock();
  handles_.erase(found);
  return handle && handle->cancel_create();
}

}  // namespace tare::node
