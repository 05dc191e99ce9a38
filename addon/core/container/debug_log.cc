// Writes the debug log of a start: the plan, and how far init has come with it. Users of runc
// search its log for some of these words: "nsexec container setup", "child process in init()".
#include <algorithm>

#include "container/impl.h"

namespace tare {

void log_plan(const Runtime& runtime, const Plan& plan, const std::string& cgroup) {
  if (!runtime.debug) {
    return;
  }
  runtime.debug("nsexec container setup: cgroup " + (cgroup.empty() ? "none" : cgroup) +
                "; init's plan, an operation a line:");
  const std::string text = plan.to_text();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    runtime.debug("plan: " + text.substr(at, end - at));
    at = end + 1;
  }
}

void log_child(const Runtime& runtime, const InitProcess& init) {
  if (runtime.debug) {
    runtime.debug("nsexec[" + std::to_string(init.pid()) +
                  "]: child process in init(), executed from a sealed memfd");
  }
}

void log_affinity(const Runtime& runtime, const InitProcess& init) {
  if (runtime.debug) {
    runtime.debug("nsexec[" + std::to_string(init.pid()) + "]: affinity: " + ThreadAffinity::now());
  }
}

void finish(const Runtime& runtime, InitProcess& init, const char* next,
            const std::string& program) {
  if (runtime.debug) {
    runtime.debug(next + program);
  }
  init.finish();
  if (runtime.debug) {
    runtime.debug("init: closing the pipe to signal completion");
  }
}

}  // namespace tare
