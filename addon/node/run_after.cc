#include "run_after.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "pool.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare::node {

namespace {

class Timer final : public Source {
 public:
  Timer(std::chrono::milliseconds delay, std::function<void()> act)
      : fd_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)), act_(std::move(act)) {
    if (!fd_) throw_errno("timerfd_create");
    // Zero would disarm the timer.
    const auto count = std::max<std::chrono::milliseconds::rep>(1, delay.count());
    const itimerspec timer = {
        .it_interval = {},
        .it_value = {.tv_sec = count / 1000, .tv_nsec = count % 1000 * 1'000'000}};
    if (timerfd_settime(fd_.get(), 0, &timer, nullptr) != 0) throw_errno("timerfd_settime");
  }
  int fd() const noexcept { return fd_.get(); }

 private:
  void ready(WatchId watch) noexcept override {
    Pool::instance().forget(fd_.get(), watch);
    fd_.reset();
    act_();
  }

  Fd fd_;
  std::function<void()> act_;
};

}  // namespace

void run_after(std::chrono::milliseconds delay, std::function<void()> act) {
  const auto timer = std::make_shared<Timer>(delay, std::move(act));
  Pool::instance().watch(timer->fd(), timer);
}

}  // namespace tare::node
