#include "mortals.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "handle.h"

namespace tare::node {

namespace {

constexpr std::chrono::seconds patience{2};

/// What end() waits for; the tasks may outlive it.
struct Ending {
  std::mutex mutex;
  std::condition_variable ended;
  std::size_t left = 0;
};

}  // namespace

void Mortals::add(const std::shared_ptr<Handle>& handle) {
  if (handles_.size() >= crowd_) {
    std::erase_if(handles_, [](const std::weak_ptr<Handle>& one) { return one.expired(); });
    crowd_ = std::max<std::size_t>(64, handles_.size() * 2);
  }
  handles_.push_back(handle);
}

void Mortals::end() noexcept {
  try {
    const auto ending = std::make_shared<Ending>();
    for (const std::weak_ptr<Handle>& one : std::exchange(handles_, {})) {
      const std::shared_ptr<Handle> handle = one.lock();
      if (!handle) continue;
      {
        const std::lock_guard lock(ending->mutex);
        ++ending->left;
      }
      // What comes before may wait for these.
      handle->cancel_create();
      handle->kill_init();
      handle->submit([handle, ending] {
        handle->end_created();
        const std::lock_guard lock(ending->mutex);
        if (--ending->left == 0) ending->ended.notify_one();
      });
    }
    std::unique_lock lock(ending->mutex);
    ending->ended.wait_for(lock, patience, [&] { return ending->left == 0; });
  } catch (const std::exception&) {
    // Without threads or memory: the process is to end, and the kernel kills them then.
  }
}

}  // namespace tare::node
