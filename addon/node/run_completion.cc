#include "run_completion.h"

#include <utility>

namespace tare::node {

void RunCompletion::begin() {
  try {
    for (const std::shared_ptr<Output>& output : outputs_) {
      output->begin([self = shared_from_this()] { self->one_ended(); });
    }
  } catch (...) {
    for (const std::shared_ptr<Output>& output : outputs_) output->abandon();
    throw;
  }
}

void RunCompletion::process_ended(const Exit& exit) noexcept {
  exit_ = exit;
  ended_ = Clock::now();
}

void RunCompletion::removed(const std::function<CgroupTotals()>& remove) noexcept {
  try {
    totals_ = remove();
  } catch (...) {
    failure_ = std::current_exception();
  }
  for (const std::shared_ptr<Output>& output : outputs_) output->finish();
  one_ended();
}

const CgroupTotals& RunCompletion::totals() const {
  if (failure_) std::rethrow_exception(failure_);
  return totals_;
}

void RunCompletion::one_ended() noexcept {
  std::unique_lock lock(mutex_);
  if (--awaited_ > 0) return;
  const std::function<void()> callback = std::move(callback_);
  lock.unlock();
  if (callback) callback();
}

void RunCompletion::when_complete(std::function<void()> callback) {
  std::unique_lock lock(mutex_);
  if (awaited_ > 0) {
    callback_ = std::move(callback);
    return;
  }
  lock.unlock();
  callback();
}

}  // namespace tare::node
