/// \file
/// Hooks of runtime-spec config.md "POSIX-platform Hooks": run on the host or in the container's
/// namespaces, with the state on standard input and a timeout.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "spawn/spawn.h"
#include "tare/plan.h"
#include "tare/spec.h"

namespace tare {

/// Runs the hooks in order on the host, with the caller's credentials, and with its environment if
/// the hook has none. `kind` is the name in config.json ("createRuntime"); `state` is the JSON for
/// standard input. Throws `hook_failed` at the first hook that exits non-zero, is killed by a
/// signal or exceeds its timeout (and is killed), with the tail of its standard error. `started` is
/// called with each hook's pid, and must not throw.
void run_host_hooks(std::string_view kind, const std::vector<Hook>& hooks, std::string_view state,
                    const std::string& working_directory,
                    const std::function<void(pid_t)>& started = {});

/// Runs the hook at `index`.
void run_host_hook(std::string_view kind, std::size_t index, const Hook& hook,
                   std::string_view state, const std::string& working_directory,
                   const std::function<void(pid_t)>& started = {});

/// A container's init; the caller keeps ownership of the pidfd.
struct HookedProcess {
  pid_t pid = -1;
  int pidfd = -1;
};

/// Runs hooks in the namespaces of the container whose init is `init` (see make_hook_plan).
/// `attend` is called with the init process that becomes each hook, to answer its waits.
void run_container_hooks(std::string_view kind, const std::vector<Hook>& hooks,
                         std::string_view state, const Spec& spec, const Host& host,
                         HookedProcess init, int cgroup,
                         const std::function<void(InitProcess&)>& attend,
                         const std::function<void(pid_t)>& started);

}  // namespace tare
