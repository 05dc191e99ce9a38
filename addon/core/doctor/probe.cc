#include "doctor/probe.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tare/error.h"
#include "tare/fd.h"
#include "tare/pidfd.h"

namespace tare {

namespace {

constexpr unsigned timeout = 10;  // seconds

/// Memory shared with a child.
class SharedResult {
 public:
  SharedResult()
      : result_(static_cast<ProbeResult*>(mmap(nullptr, sizeof(ProbeResult), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (result_ == MAP_FAILED) {
      throw_errno("mmap");
    }
    *result_ = {};
  }
  ~SharedResult() { munmap(result_, sizeof *result_); }
  SharedResult(const SharedResult&) = delete;
  SharedResult& operator=(const SharedResult&) = delete;
  ProbeResult& get() const { return *result_; }

 private:
  ProbeResult* result_;
};

/// Waits for a child and returns the signal that killed it; 0 if it exited, or if its status is
/// lost because this process's caller ignores SIGCHLD.
int killing_signal(pid_t pid) { return reap_by_pid(pid).value_or(ExitStatus{}).signal; }

void write_own_file(ProbeSteps& steps, const char* call, const char* path,
                    const std::string& text) {
  const int error = write_kernel_file(AT_FDCWD, path, text);
  if (error != 0) {
    steps.fail(call, error);
  }
}

}  // namespace

bool ProbeResult::unknown() const noexcept { return errnum == ENOSYS || signal == SIGSYS; }

std::string ProbeResult::text() const {
  if (signal == SIGALRM) {
    return std::string(call) + " does not return";
  }
  if (signal != 0) {
    return std::string("after ") + call + ": killed by signal " + std::to_string(signal) +
           (signal == SIGSYS ? ", as by a seccomp filter" : "");
  }
  return std::string(call) + ": " + errno_text(errnum);
}

long ProbeSteps::must(const char* call, long result) {
  if (result < 0) {
    fail(call, errno);
  }
  result_.call = call;
  return result;
}

void ProbeSteps::fail(const char* call, int errnum) {
  result_.call = call;
  result_.errnum = errnum;
  _exit(1);
}

ProbeResult probe(const std::function<void(ProbeSteps&)>& act) {
  const SharedResult shared;
  const pid_t pid = fork();
  if (pid < 0) {
    throw_errno("fork");
  }
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit none = {};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGALRM, SIG_DFL);
    alarm(timeout);
    ProbeSteps steps(shared.get());
    act(steps);
    _exit(0);
  }
  const int signal = killing_signal(pid);
  ProbeResult result = shared.get();
  result.signal = signal;
  return result;
}

void enter_user_namespace(ProbeSteps& steps) {
  const std::string uid = std::to_string(geteuid());
  const std::string gid = std::to_string(getegid());
  steps.must("unshare(CLONE_NEWUSER)", unshare(CLONE_NEWUSER));
  write_own_file(steps, "write setgroups", "/proc/self/setgroups", "deny");
  write_own_file(steps, "write uid_map", "/proc/self/uid_map", "0 " + uid + " 1\n");
  write_own_file(steps, "write gid_map", "/proc/self/gid_map", "0 " + gid + " 1\n");
}

void enter_namespaces(ProbeSteps& steps, bool rootless, std::uint64_t flags) {
  steps.entering(true);
  if (rootless) {
    enter_user_namespace(steps);
  }
  if (flags != 0) {
    steps.must("unshare", unshare(static_cast<int>(flags)));
  }
  steps.entering(false);
}

void enter_private_mounts(ProbeSteps& steps, bool rootless, std::uint64_t more_flags) {
  enter_namespaces(steps, rootless, more_flags | CLONE_NEWNS);
  steps.entering(true);
  int made = mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (made < 0 && errno == EINVAL) {
    // In a chroot "/" may be no mount point. setns(2) into the own mount namespace moves the
    // process to the namespace's root.
    const Fd own(static_cast<int>(
        steps.must("open /proc/self/ns/mnt", ::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC))));
    steps.must("setns", setns(own.get(), CLONE_NEWNS));
    made = mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  }
  steps.must("mount(MS_PRIVATE)", made);
  steps.entering(false);
}

void continue_as_child(ProbeSteps& steps) {
  const auto pid = static_cast<pid_t>(steps.must("fork", fork()));
  if (pid > 0) {
    if (const int signal = killing_signal(pid)) {
      kill(getpid(), signal);
    }
    _exit(0);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(timeout);
}

}  // namespace tare
