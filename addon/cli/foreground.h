/// \file
/// What an attached run or exec does while its process lives.
#pragma once

#include <sys/types.h>

#include <optional>

#include "args.h"
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

/// Makes `options` those of a run or restore in the foreground, and this process the parent of
/// orphans (PR_SET_CHILD_SUBREAPER); none, and nothing done, with --detach.
std::optional<HeldSignals> prepare_foreground(const Arguments& given, CreateOptions& options);

/// Passes signals and the terminal on to `process`, and readiness of it to the service manager
/// (`notify` may be null), until it ends. Returns its exit status.
int wait_in_foreground(const HeldSignals& signals, StartedProcess process,
                       const NotifySocket* notify);

}  // namespace tare::cli
