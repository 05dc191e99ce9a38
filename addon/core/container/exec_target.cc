#include "container/exec_target.h"

#include <cerrno>

#include "base/process_stat.h"
#include "container/impl.h"
#include "container/systemd_unit.h"
#include "host/remedies.h"

namespace tare {

Error stopped_error() { return Error(ErrorKind::bad_status, "cannot exec in a stopped container"); }

ExecTarget open_exec_target(const StateRecord& record, bool ignore_paused) {
  ExecTarget target;
  // The root is opened by pid. If that pid is still init's afterwards, it was init's then.
  target.root = open_root_of(record.pid);
  target.pidfd = open_process(record.pid, record.start_time);
  if (!target.pidfd) {
    throw stopped_error();
  }
  target.cgroups = find_cgroup_host();
  if (!record.cgroup_path.empty()) {
    target.cgroup = Cgroup::open(target.cgroups, record.cgroup_path);
  }
  target.paused = target.cgroup.frozen();
  if (target.paused && !ignore_paused) {
    throw Error(ErrorKind::bad_status,
                "cannot exec in a paused container (use --ignore-paused to override)");
  }
  return target;
}

std::optional<std::string> requested_cgroup(const std::vector<std::string>& given) {
  if (given.empty()) {
    return std::nullopt;
  }
  const std::string& value = given.back();
  if (given.size() > 1 || value.find(':') != std::string::npos) {
    throw Error(
        ErrorKind::invalid_argument,
        "--cgroup: " + value + ": cgroup v2 has one hierarchy; give one path without controllers");
  }
  std::string path = absolute_path("/" + value);
  if (("/" + value + "/").find("/../") != std::string::npos) {
    throw Error(ErrorKind::invalid_argument,
                "--cgroup: bad sub cgroup path: " + value +
                    " contains \"..\"; give a path below the container's cgroup");
  }
  return path == "/" ? std::string() : path;
}

void choose_cgroup(ExecTarget& target, const StateRecord& record,
                   const std::optional<std::string>& requested, const std::string& usual) {
  if (record.cgroup_path.empty()) {
    if (requested.has_value() && !requested->empty()) {
      throw Error(ErrorKind::unsupported, "--cgroup: the container has no cgroup");
    }
    return;
  }
  const std::string below = usual.empty() ? "" : "/" + usual;
  const std::string path = record.cgroup_path + requested.value_or(below);
  if (path != record.cgroup_path) {
    target.cgroup = Cgroup::open(target.cgroups, path);
  }
  if (!target.cgroup && !requested.has_value()) {
    // The container's processes were moved elsewhere. Use init's current cgroup: the caller's own
    // would be wrong in any case.
    target.cgroup = Cgroup::open(target.cgroups, cgroup_of(record.pid));
  }
  if (!target.cgroup && requested.has_value()) {
    throw Error(ErrorKind::invalid_argument,
                "--cgroup: " + *requested +
                    ": the container has no such cgroup: no such file or directory; make it first")
        .with_path(path);
  }
}

void enter_cgroup(InitProcess& init, const StateRecord& record, bool may_fall_back,
                  ExecTarget& target) {
  int error = target.cgroup.add(init.pid());
  if (error == EBUSY && may_fall_back) {
    target.cgroup = Cgroup::open(target.cgroups, cgroup_of(record.pid));
    error = target.cgroup.add(init.pid());
  }
  if (error != 0) {
    throw_errno(error, "write", "cgroup.procs of the container");
  }
}

InitProcess spawn_in_cgroup(const Plan& plan, SpawnOptions& options, const StateRecord& record,
                            bool may_fall_back, ExecTarget& target) {
  try {
    return spawn(plan, options);
  } catch (const Error& error) {
    if (error.errnum() == EACCES && record.systemd_user) {
      options.cgroup = -1;
      InitProcess init = spawn(plan, options);
      attach_to_unit(record, init.pid());
      return init;
    }
    if (error.errnum() == EBUSY && !may_fall_back) {
      throw Error(ErrorKind::system, "--cgroup: adding pid of the new process to cgroups: " +
                                         errno_text(EBUSY) + busy_cgroup_remedy())
          .with_errno(EBUSY, "clone3");
    }
    if (error.errnum() != EBUSY) {
      throw;
    }
  }
  target.cgroup = Cgroup::open(target.cgroups, cgroup_of(record.pid));
  options.cgroup = target.cgroup.fd();
  return spawn(plan, options);
}

}  // namespace tare
