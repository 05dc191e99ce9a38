/// \file
/// What an attached run or exec does while its process runs.
#pragma once

#include <sys/types.h>

#include <optional>

#include "args.h"
#include "notify.h"
#include "tare/container.h"

namespace tare::cli {

/// Blocks the signals that are to be passed on. Must be created before the process, so that no
/// signal is lost in between.
class HeldSignals {
 public:
  HeldSignals();
  int fd() const noexcept { return fd_.get(); }

 private:
  Fd fd_;
};

/// Sets `options` for a run or restore in the foreground, and makes this process the parent of
/// orphans (PR_SET_CHILD_SUBREAPER). With --detach does nothing, and returns nothing.
std::optional<HeldSignals> prepare_foreground(const Arguments& given, CreateOptions& options);

/// Passes signals and the terminal on to `process`, and its readiness to the service manager
/// (`notify` may be null), until it ends. Returns its exit status.
int wait_in_foreground(const HeldSignals& signals, StartedProcess process,
                       const NotifySocket* notify);

}  // namespace tare::cli
