// What create and exec have in common for a process of the container.
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "container/impl.h"
#include "tare/error.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

auto find_wait(const Plan& plan, wire::WaitTag tag) {
  return std::ranges::find_if(plan.ops(), [tag](const wire::Op& op) {
    return op.code == wire::OpCode::wait && op.a == static_cast<std::uint64_t>(tag);
  });
}

/// Raises hard limits, which the root of a user namespace may not do. Init sets all limits after
/// its own work, for which they may be too low.
void raise_rlimits(pid_t pid, const std::vector<Rlimit>& limits, const ProcessSource& source) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const auto resource = static_cast<__rlimit_resource>(limits[i].resource);
    rlimit limit{};
    // The process has inherited this process's limits; reading the limits of a process in another
    // owner's user namespace needs CAP_SYS_RESOURCE.
    const bool known = getrlimit(resource, &limit) == 0;
    if (known && limit.rlim_max >= limits[i].hard) {
      continue;
    }
    limit.rlim_max = limits[i].hard;
    if (!known || prlimit(pid, resource, &limit, nullptr) < 0) {
      throw_errno("prlimit", source.path("rlimits[" + std::to_string(i) + "]"));
    }
  }
}

void set_oom_score_adj(pid_t pid, int value, const ProcessSource& source) {
  const std::string path = "/proc/" + std::to_string(pid) + "/oom_score_adj";
  const int error = write_kernel_file(AT_FDCWD, path.c_str(), std::to_string(value));
  if (error != 0) {
    throw Error(ErrorKind::system,
                source.path("oomScoreAdj") + ": write " + std::to_string(value) + ": " +
                    errno_text(error) +
                    (error == EACCES || error == EPERM
                         ? "; a value below the caller's own needs CAP_SYS_RESOURCE"
                         : ""))
        .with_errno(error, "write")
        .with_path("oomScoreAdj");
  }
}

}  // namespace

bool has_wait(const Plan& plan, wire::WaitTag tag) {
  return find_wait(plan, tag) != plan.ops().end();
}

bool waits_before(const Plan& plan, wire::WaitTag first, wire::WaitTag second) {
  return has_wait(plan, second) && find_wait(plan, first) < find_wait(plan, second);
}

void check_console(const Process& process, const Stdio& stdio, bool caller_takes_console) {
  if (process.terminal && stdio.console_socket.empty() && !caller_takes_console) {
    throw Error(ErrorKind::invalid_argument,
                "cannot allocate tty if tare will detach without setting console socket; give "
                "--console-socket, or set process.terminal to false");
  }
  if (!process.terminal && !stdio.console_socket.empty()) {
    throw Error(ErrorKind::invalid_argument,
                "cannot use console socket if tare will not detach or allocate tty; set "
                "process.terminal to true, or leave --console-socket out");
  }
}

bool may_write_cgroups(const Spec& spec) {
  const auto is_writable = [](const Mount& mount) {
    const bool has_cgroups = mount.type.starts_with("cgroup") || mount.type == "sysfs" ||
                             (mount.type == "bind" && mount.source.starts_with("/sys"));
    return has_cgroups && std::ranges::find(mount.options, "ro") == mount.options.end();
  };
  const bool is_admin = spec.process && spec.process->capabilities &&
                        (spec.process->capabilities->bounding >> CAP_SYS_ADMIN & 1) != 0;
  return is_admin || std::ranges::any_of(spec.mounts, is_writable);
}

std::string cgroup_below(const Spec& spec, bool has_unit) {
  std::string path = has_unit ? spec.linux_.systemd_subgroup : std::string();
  const std::string& delegated = spec.linux_.delegate_cgroup;
  return path.append(path.empty() || delegated.empty() ? "" : "/").append(delegated);
}

void grant_host_rights(InitProcess& init, const Plan& plan, const Spec& spec,
                       const Process& process, const ProcessSource& source, const Host& host) {
  const bool user_namespace = spec.has_namespace(NamespaceType::user);
  if ((plan.clone_flags() & CLONE_NEWUSER) != 0) {
    write_id_maps(init.pid(), spec.linux_.uid_mappings, spec.linux_.gid_mappings, host);
  }
  if (user_namespace) {
    raise_rlimits(init.pid(), process.rlimits, source);
  }
  if (process.oom_score_adj.has_value()) {
    set_oom_score_adj(init.pid(), *process.oom_score_adj, source);
  }
  if (has_wait(plan, wire::WaitTag::host_rights)) {
    init.answer(wire::WaitTag::host_rights);
  }
}

std::vector<int> open_passed(const Plan& plan, const StateDir* dir, const Joined& container,
                             std::vector<Fd>& owned) {
  std::vector<int> fds;
  for (const Passed& passed : plan.passed()) {
    const std::string where =
        passed.origin.empty() ? passed.path : "config.json: " + passed.origin + ": " + passed.path;
    switch (passed.kind) {
      case PassedKind::namespace_file: {
        const int fd = ::open(passed.path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
          const int errnum = errno;
          throw Error(ErrorKind::system, where + ": open: " + errno_text(errnum))
              .with_errno(errnum, "open")
              .with_path(passed.origin.empty() ? passed.path : passed.origin);
        }
        owned.emplace_back(fd);
        break;
      }
      case PassedKind::id_mapping:
        owned.push_back(make_id_mapping(passed.uids, passed.gids));
        break;
      case PassedKind::detached_mount:
      case PassedKind::directory:
        continue;  // only in Plan::requested()
      case PassedKind::start_gate:
        owned.push_back(dir->start_gate().open_for_init());
        break;
      case PassedKind::container_pidfd:
        fds.push_back(container.pidfd);
        continue;
      case PassedKind::container_namespace:
        owned.push_back(open_namespace_of(container.pid, container.pidfd, passed.path));
        break;
      case PassedKind::container_root:
        fds.push_back(container.root);
        continue;
      case PassedKind::answers:
      case PassedKind::ending:
        fds.push_back(-1);  // spawn() makes it
        continue;
    }
    fds.push_back(owned.back().get());
  }
  return fds;
}

bool prepare_console(InitProcess& init, const Process& process,
                     const std::function<void(int master)>& prepare) {
  if (!process.terminal || !prepare) {
    return false;
  }
  init.await(wire::WaitTag::go);
  prepare(init.console());
  return true;
}

StartedProcess deliver(InitProcess& init, int console_socket, int pidfd_socket) {
  StartedProcess process;
  process.console = init.take_console();
  if (console_socket >= 0 && process.console) {
    send_fd(console_socket, process.console.get(), "/dev/ptmx");
    process.console.reset();
  }
  if (pidfd_socket >= 0) {
    send_fd(pidfd_socket, init.pidfd(), "pidfd");
  }
  process.pid = init.pid();
  return process;
}

bool may_be_in_chroot() {
  struct stat own{};
  struct stat first{};
  return stat("/", &own) < 0 || stat("/proc/1/root/", &first) < 0 || own.st_dev != first.st_dev ||
         own.st_ino != first.st_ino;
}

std::string cgroup_of(pid_t pid) {
  const auto text = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup");
  const std::size_t at = text.has_value() ? text->find("0::") : std::string::npos;
  if (at == std::string::npos) {
    return {};
  }
  return text->substr(at + 3, text->find('\n', at) - at - 3);
}

pid_t pid_inside(pid_t pid) {
  constexpr std::string_view field = "\nNSpid:\t";
  const auto status = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status");
  const std::size_t at = status.has_value() ? status->find(field) : std::string::npos;
  if (at == std::string::npos) {
    return pid;
  }
  // One number for each nested pid namespace, the innermost last.
  const std::string_view line = std::string_view(*status).substr(
      at + field.size(), status->find('\n', at + 1) - at - field.size());
  pid_t inside = pid;
  const std::size_t last = line.rfind('\t') + 1;
  std::from_chars(line.data() + last, line.data() + line.size(), inside);
  return inside;
}

void write_pid_file(const std::string& path, pid_t pid) {
  if (!path.empty()) {
    write_file_atomically(AT_FDCWD, path, std::to_string(pid), 0644);
  }
}

}  // namespace tare
