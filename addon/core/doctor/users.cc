// User namespaces, and the ids that an ordinary user may map in them.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "cgroup/lists.h"
#include "doctor/examine.h"
#include "host/own_status.h"
#include "host/program.h"
#include "host/remedies.h"
#include "host/subordinate_ids.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/pidfd.h"

namespace tare {

namespace {

constexpr const char* users_group = "users";

Finding user_namespaces(const ExaminedCaller& caller) {
  Finding finding{.group = users_group,
                  .name = "user-namespaces",
                  .required = caller.rootless,
                  .needed_for = caller.rootless
                                    ? "every container of an ordinary user"
                                    : "containers whose root is an ordinary user on the host"};
  const ProbeResult result = probe([](ProbeSteps& steps) {
    enter_user_namespace(steps);
    // AppArmor may allow the creation of the namespace, and no operation in it.
    steps.must("unshare(CLONE_NEWNS)", unshare(CLONE_NEWNS));
    steps.must(
        "mount",
        mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0 && errno != EINVAL ? -1 : 0);
  });
  if (result.good()) {
    return finding;
  }
  finding = evaluate(std::move(finding), result, "Linux 3.8 with CONFIG_USER_NS");
  const std::string remedy = user_namespace_remedy(result.errnum);
  if (!remedy.empty()) {
    finding.remedy = remedy.substr(2);
  } else if (result.errnum == EPERM) {
    finding.remedy =
        "a security module's policy or a chroot forbids it: run this outside, or as "
        "root";
  }
  return finding;
}

constexpr std::uint32_t usual_count = 65536;

Finding id_ranges(const char* kind, const std::string& name,
                  const std::vector<SubordinateRange>& ranges) {
  Finding finding{.group = users_group,
                  .name = kind,
                  .needed_for = "more than one user in a container (podman; uidMappings)"};
  const std::string file = std::string("/etc/") + kind;
  std::uint64_t count = 0;
  for (const SubordinateRange& range : ranges) {
    count += range.count;
  }
  const std::string user = name.empty() ? std::to_string(geteuid()) : name;
  const std::string command = subordinate_range_remedy(file, user);
  if (count == 0) {
    finding.status = FindingStatus::missing;
    finding.found = file + " has no range for " + user;
    finding.remedy = command;
    return finding;
  }
  finding.found = std::to_string(count) + " ids from " + std::to_string(ranges.front().first);
  if (count < usual_count) {
    finding.status = FindingStatus::limited;
    finding.found += "; images use up to 65536";
    finding.remedy = command;
  }
  return finding;
}

/// Returns the path of `program` in PATH; empty if it is not found.
std::string find_in_path(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::string found;
  for_each_part(path == nullptr ? "" : path, ':', [&](std::string_view directory) {
    const std::string candidate = std::string(directory) + "/" + program;
    struct stat status = {};
    if (stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
        access(candidate.c_str(), X_OK) == 0) {
      found = candidate;
    }
    return found.empty();
  });
  return found;
}

/// Returns why executing `path` gives no privilege; empty if it does.
std::string without_privilege(const std::string& path) {
  struct stat status = {};
  struct statvfs file_system = {};
  if (stat(path.c_str(), &status) != 0 || statvfs(path.c_str(), &file_system) != 0) {
    return errno_text(errno);
  }
  const bool setuid = (status.st_mode & S_ISUID) != 0 && status.st_uid == 0;
  const bool capable = getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
  if (!setuid && !capable) {
    return "it is not setuid root and has no file capabilities";
  }
  if ((file_system.f_flag & ST_NOSUID) != 0) {
    return "it lies on a file system that is mounted nosuid";
  }
  if (own_status("NoNewPrivs") == "1") {
    return "this process runs with no_new_privs, in which setuid programs get no privilege";
  }
  return {};
}

/// A child in its own user namespace, which ends with this object.
class WaitingNamespace {
 public:
  WaitingNamespace() {
    std::array<int, 2> ready = {};
    std::array<int, 2> hold = {};
    if (pipe2(ready.data(), O_CLOEXEC) < 0 || pipe2(hold.data(), O_CLOEXEC) < 0) {
      throw_errno("pipe2");
    }
    hold_ = Fd(hold[1]);
    const Fd hold_theirs(hold[0]);
    const Fd ready_ours(ready[0]);
    Fd ready_theirs(ready[1]);
    pid_ = fork();
    if (pid_ == 0) {
      hold_.reset();
      char byte = 0;
      if (unshare(CLONE_NEWUSER) == 0 && write(ready_theirs.get(), "", 1) == 1 &&
          read(hold_theirs.get(), &byte, 1) == 0) {
        _exit(0);
      }
      _exit(1);
    }
    ready_theirs.reset();
    char byte = 0;
    made_ = pid_ > 0 && read(ready_ours.get(), &byte, 1) == 1;
  }
  ~WaitingNamespace() {
    hold_.reset();
    if (pid_ > 0) {
      reap_by_pid(pid_);
    }
  }
  WaitingNamespace(const WaitingNamespace&) = delete;
  WaitingNamespace& operator=(const WaitingNamespace&) = delete;
  bool made() const noexcept { return made_; }
  pid_t pid() const noexcept { return pid_; }

 private:
  Fd hold_;
  pid_t pid_ = -1;
  bool made_ = false;
};

/// Maps the caller's own id and the first of a range by newuidmap(1) or newgidmap(1). Returns the
/// error.
std::string failed_mapping(const std::string& path, std::uint32_t own,
                           const SubordinateRange& range) {
  const WaitingNamespace user_namespace;
  if (!user_namespace.made()) {
    return {};  // reported by user-namespaces
  }
  ProgramOptions options;
  options.path = path;
  options.timeout = 10;
  const ProgramResult result =
      run_program({path, std::to_string(user_namespace.pid()), "0", std::to_string(own), "1", "1",
                   std::to_string(range.first), std::to_string(range.count)},
                  options);
  if (result.status == 0) {
    return {};
  }
  const std::string output = result.output.substr(0, result.output.find('\n'));
  return result.timed_out ? "it does not end" : "it fails: " + output;
}

Finding map_program(const char* program, std::uint32_t own,
                    const std::vector<SubordinateRange>& ranges) {
  Finding finding{.group = users_group,
                  .name = program,
                  .needed_for = "mapping the ranges of /etc/subuid and /etc/subgid"};
  const std::string path = find_in_path(program);
  if (path.empty()) {
    finding.status = FindingStatus::missing;
    finding.found = "not in PATH";
    finding.remedy = "apt-get install uidmap  (Fedora: dnf install shadow-utils)";
    return finding;
  }
  finding.found = path;
  std::string lack = without_privilege(path);
  if (!lack.empty()) {
    finding.remedy = "chmod u+s " + path +
                     "  (as root; not on a nosuid mount, nor under "
                     "no_new_privs)";
  } else if (!ranges.empty()) {
    lack = failed_mapping(path, own, ranges.front());
    finding.remedy = "compare its message with /etc/subuid and /etc/subgid";
  }
  if (lack.empty()) {
    finding.remedy.clear();
    return finding;
  }
  finding.status = FindingStatus::limited;
  finding.found += ": " + lack;
  return finding;
}

Finding runtime_directory() {
  Finding finding{
      .group = users_group,
      .name = "xdg-runtime-dir",
      .needed_for =
          "the state of an ordinary user's containers, and the socket of the user's systemd"};
  const char* const variable = std::getenv("XDG_RUNTIME_DIR");
  const std::string path = variable == nullptr ? "" : variable;
  struct stat status = {};
  if (path.empty()) {
    finding.found = "XDG_RUNTIME_DIR is not set";
  } else if (!path.starts_with('/')) {
    finding.found = "invalid path " + path + ": it is not absolute";
  } else if (stat(path.c_str(), &status) != 0) {
    finding.found = path + ": " + errno_text(errno);
  } else if (status.st_uid != geteuid()) {
    finding.found = path + " belongs to uid " + std::to_string(status.st_uid);
  } else {
    finding.found = path;
    return finding;
  }
  finding.status = FindingStatus::missing;
  finding.remedy =
      "log in through PAM, or keep it with loginctl enable-linger; export "
      "XDG_RUNTIME_DIR=/run/user/" +
      std::to_string(geteuid()) + "; or name a directory: --root DIR";
  return finding;
}

}  // namespace

void examine_users(const ExaminedCaller& caller, Findings& findings) {
  findings.push_back(user_namespaces(caller));
  if (!caller.rootless) {
    return;
  }
  const std::string name = own_user_name();
  const std::vector<SubordinateRange> uids = own_subordinate_ranges(subuid_file, name);
  const std::vector<SubordinateRange> gids = own_subordinate_ranges(subgid_file, name);
  findings.push_back(id_ranges("subuid", name, uids));
  findings.push_back(id_ranges("subgid", name, gids));
  findings.push_back(map_program("newuidmap", geteuid(), uids));
  findings.push_back(map_program("newgidmap", getegid(), gids));
  findings.push_back(runtime_directory());
}

}  // namespace tare
