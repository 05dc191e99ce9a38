// An exec whose process is cloned and not executed yet.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "container/exec_target.h"
#include "container/impl.h"

namespace tare {

/// The steps left after the process has been cloned. Each step begins with its wait, so that a step
/// that timed out can be repeated from its beginning.
struct PendingExec::Impl {
  Runtime runtime;
  StateRecord record;
  Process process;
  ProcessSource source;
  bool has_cpuset = false;
  bool may_fall_back = false;  ///< to the cgroup of the container's init, on EBUSY
  bool enters_cgroup = false;  ///< moved into the cgroup instead of born in it
  ExecTarget target;
  Fd console_socket;
  Fd pidfd_socket;
  std::string pid_file;
  std::function<void(int master)> prepare_console;
  std::optional<SeccompAgent> agent;
  std::optional<Plan> plan;  ///< before init, which refers to it
  std::optional<InitProcess> init;
  std::deque<std::function<void()>> steps;

  void connect_sockets(const Stdio& stdio);
  /// Returns the facts about the host that the plan depends on.
  Host find_host_facts(const Spec& config) const;
  ExecPlanOptions plan_options(const ExecOptions& given, const Spec& config, bool may_block) const;
  /// Spawns init on the plan.
  InitProcess& spawn_init(const Stdio& stdio);
  void add_steps();
};

/// Rethrows `failure`, the exception being handled, or throws that the container has stopped: the
/// kernel reports that in many ways (ESRCH, ENOMEM, a signal).
[[noreturn]] void rethrow_exec_failure(const Error& failure, const StateRecord& record);

}  // namespace tare
