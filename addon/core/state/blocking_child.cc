#include "state/blocking_child.h"

#include "tare/error.h"

namespace tare {

BlockingChild::~BlockingChild() {
  if (noted_) {
    dir_.journal().forget_blocking_child();
  }
}

void BlockingChild::started(pid_t pid) noexcept {
  if (cancellation_ != nullptr) {
    cancellation_->await_hook(pid);
  }
  noted_ = true;
  try {
    dir_.journal().note_blocking_child(pid);
  } catch (const Error&) {
    // Without the note, the process is merely not killed: see the header.
  }
}

std::function<void(pid_t)> BlockingChild::on_start() {
  return [this](pid_t pid) { started(pid); };
}

}  // namespace tare
