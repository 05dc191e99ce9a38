#include "container/restored_init.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "container/impl.h"
#include "host/net_devices.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

RestoredInit::~RestoredInit() {
  if (pidfd_) {
    // The failure that led here is the one to report.
    try_signal(pidfd_.get(), SIGKILL);
    siginfo_t info{};
    wait_for_child(pidfd_.get(), 0, info);
  }
}

void RestoredInit::note(pid_t pid) {
  if (!pidfd_ && pid > 0) {
    pidfd_ = open_pidfd(pid);
    if (!pidfd_) {
      throw_errno("pidfd_open", "process " + std::to_string(pid));
    }
    pid_ = pid;
  }
}

void make_read_only(const RestoredInit& container, const std::vector<std::string>& paths) {
  if (paths.empty()) {
    return;
  }
  const Plan plan = make_read_only_plan(paths);
  std::vector<Fd> owned;
  SpawnOptions options;
  std::fill(std::begin(options.stdio), std::end(options.stdio), -1);
  options.passed = open_passed(plan, nullptr, {container.pid(), container.pidfd(), -1}, owned);
  InitProcess init = spawn(plan, options);
  init.await(wire::WaitTag::go);
}

bool is_in_time_namespace(pid_t pid) {
  struct stat own{};
  struct stat its{};
  return stat("/proc/self/ns/time", &own) == 0 &&
         stat(("/proc/" + std::to_string(pid) + "/ns/time").c_str(), &its) == 0 &&
         own.st_ino != its.st_ino;
}

bool has_lost_no_new_privileges(const Process& process, pid_t pid) {
  const auto status = read_file_if_exists(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status");
  return process.no_new_privileges && status.has_value() &&
         status->find("\nNoNewPrivs:\t0") != std::string::npos;
}

void prepare_network(const Spec& spec, pid_t pid) {
  if (spec.makes_namespace(NamespaceType::network)) {
    const Fd network = open_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY);
    set_up_loopback(open_netlink_socket_in(network.get()));
  }
}

}  // namespace tare
