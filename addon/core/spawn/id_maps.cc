// The id maps of a new user namespace; see user_namespaces(7).
#include <fcntl.h>

#include <array>

#include "host/program.h"
#include "host/remedies.h"
#include "spawn/spawn.h"
#include "spawn/vfork_child.h"
#include "tare/pidfd.h"
#include "tare/signals.h"

namespace tare {
namespace {

void write_proc_file(int process, const char* name, const std::string& text) {
  const int error = write_kernel_file(process, name, text);
  if (error != 0) {
    throw_errno(error, "write", name);
  }
}

/// Runs newuidmap(1) or newgidmap(1), which check /etc/subuid or /etc/subgid and are privileged.
void run_helper(const char* program, pid_t pid, const std::vector<IdMapping>& mappings) {
  std::vector<std::string> args = {program, std::to_string(pid)};
  for (const IdMapping& mapping : mappings) {
    args.push_back(std::to_string(mapping.container_id));
    args.push_back(std::to_string(mapping.host_id));
    args.push_back(std::to_string(mapping.size));
  }
  const ProgramResult result = run_program(args);
  if (!result.found) {
    throw Error(ErrorKind::unsupported,
                std::string(program) +
                    " is not installed, and without it an ordinary user may map only "
                    "its own id; install the package uidmap (Debian) or shadow-utils")
        .with_path(program);
  }
  if (result.status != 0) {
    throw Error(ErrorKind::system,
                std::string(program) + " failed: " + result.output +
                    "; is the range listed for this user in /etc/subuid and /etc/subgid?")
        .with_path(program);
  }
}

bool maps_only_self(const std::vector<IdMapping>& mappings, std::uint32_t self) {
  return mappings.size() == 1 && mappings.front().size == 1 && mappings.front().host_id == self;
}

}  // namespace

void write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                   const std::vector<IdMapping>& gids, const Host& host) {
  const ErrorContext context("write the id maps of the user namespace");
  const Fd process = open_file(AT_FDCWD, "/proc/" + std::to_string(pid), O_PATH | O_DIRECTORY);
  if (host.rootless && !maps_only_self(uids, host.euid)) {
    run_helper("newuidmap", pid, uids);
  } else {
    write_proc_file(process.get(), "uid_map", id_map_text(uids));
  }
  if (host.rootless && !maps_only_self(gids, host.egid)) {
    run_helper("newgidmap", pid, gids);
    return;
  }
  if (host.rootless) {
    // Dropping groups could bypass the permissions of a directory that denies access to a group; so
    // the kernel requires this first.
    write_proc_file(process.get(), "setgroups", "deny");
  }
  write_proc_file(process.get(), "gid_map", id_map_text(gids));
}

namespace {

/// An ended child, reaped by the destructor.
class Ended {
 public:
  explicit Ended(int pidfd) : pidfd_(pidfd) {}
  ~Ended() {
    siginfo_t info{};
    wait_for_child(pidfd_.get(), 0, info);
  }
  Ended(const Ended&) = delete;
  Ended& operator=(const Ended&) = delete;

 private:
  Fd pidfd_;
};

}  // namespace

Fd make_id_mapping(const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids) {
  const ErrorContext context("make the user namespace of an id-mapped mount");
  alignas(16) std::array<unsigned char, std::size_t{16} << 10> stack;
  int pidfd = -1;
  int pid = -1;
  {
    const BlockedSignals blocked;
    pid = clone_user_namespace(pidfd, stack.data(), stack.size());
  }
  if (pid < 0) {
    throw Error(ErrorKind::system, "clone3: " + errno_text(-pid) + user_namespace_remedy(-pid))
        .with_errno(-pid, "clone3");
  }
  // While the child is a zombie, /proc still has a path to its namespace.
  const Ended child(pidfd);
  const Fd process = open_file(AT_FDCWD, "/proc/" + std::to_string(pid), O_PATH | O_DIRECTORY);
  write_proc_file(process.get(), "uid_map", id_map_text(uids));
  write_proc_file(process.get(), "gid_map", id_map_text(gids));
  return open_file(process.get(), "ns/user", O_RDONLY);
}

}  // namespace tare
