/// \file
/// Hooks of runtime-spec config.md "POSIX-platform Hooks": run on the host or in the container's
/// namespaces, with the state on their standard input, within their timeout.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/plan.h"
#include "tare/spawn.h"
#include "tare/spec.h"

namespace tare {

/// Runs each hook in turn on the host, as the caller, with its environment where the hook has none.
/// `kind` is the name in config.json ("createRuntime"); `state` is the JSON for their standard
/// input. Throws `hook_failed` at the first that exits non-zero, dies or outlasts its timeout (it
/// is killed), with the last of what it wrote to standard error.
/// `started` is told of each one's process, and must not throw.
void run_host_hooks(std::string_view kind, const std::vector<Hook>& hooks, std::string_view state,
                    const std::string& working_directory,
                    const std::function<void(pid_t)>& started = {});

/// Runs one of them, the one at `index`.
void run_host_hook(std::string_view kind, std::size_t index, const Hook& hook,
                   std::string_view state, const std::string& working_directory,
                   const std::function<void(pid_t)>& started = {});

/// A container's init, which the caller holds on to.
struct HookedProcess {
  pid_t pid = -1;
  int pidfd = -1;
};

/// The same in the namespaces of the container whose init is `init` (see make_hook_plan). `attend`
/// is called with what becomes each hook, to answer what it waits for.
void run_container_hooks(std::string_view kind, const std::vector<Hook>& hooks,
                         std::string_view state, const Spec& spec, const Host& host,
                         HookedProcess init, int cgroup,
                         const std::function<void(InitProcess&)>& attend,
                         const std::function<void(pid_t)>& started);

}  // namespace tare
