/// \file
/// What an attached run or exec does while its process lives.
#pragma once

#include <sys/types.h>

#include "notify.h"
#include "tare/container.h"

namespace tare::cli {

/// Holds back the signals that are to be passed on. To be made before the process is, so that none
/// is lost between.
class HeldSignals {
 public:
  HeldSignals();
  int fd() const noexcept { return fd_.get(); }

 private:
  Fd fd_;
};

/// Passes signals and the terminal on to `process`, and readiness of it to the service manager
/// (`notify` may be null), until it ends. Returns its exit status.
int wait_in_foreground(const HeldSignals& signals, StartedProcess process,
                       const NotifySocket* notify);

}  // namespace tare::cli
