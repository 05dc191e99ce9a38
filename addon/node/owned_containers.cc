#include "owned_containers.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "handle.h"

namespace tare::node {

namespace {

constexpr std::chrono::seconds end_timeout{2};

/// The state that end() waits for; the tasks may outlive it.
struct Ending {
  std::mutex mutex;
  std::condition_variable ended;
  std::size_t left = 0;
};

}  // namespace

void OwnedContainers::add(const std::shared_ptr<Handle>& handle) {
  prune(handles_, prune_at_, [](const std::weak_ptr<Handle>& one) { return one.expired(); });
  handles_.push_back(handle);
}

void OwnedContainers::end() noexcept {
  try {
    const auto ending = std::make_shared<Ending>();
    for (const std::weak_ptr<Handle>& one : std::exchange(handles_, {})) {
      const std::shared_ptr<Handle> handle = one.lock();
      if (!handle) continue;
      {
        const std::lock_guard lock(ending->mutex);
        ++ending->left;
      }
      // Earlier tasks may be waiting for what is killed here.
      handle->cancel_create();
      handle->kill_init();
      handle->submit([handle, ending] {
        handle->end_created();
        const std::lock_guard lock(ending->mutex);
        if (--ending->left == 0) ending->ended.notify_one();
      });
    }
    std::unique_lock lock(ending->mutex);
    ending->ended.wait_for(lock, end_timeout, [&] { return ending->left == 0; });
  } catch (const std::exception&) {
    // No threads or no memory: the process is about to end, and the kernel kills the containers
    // then.
  }
}

}  // namespace tare::node
