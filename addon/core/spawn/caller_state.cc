#include "spawn/caller_state.h"

#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {
namespace {

std::mutex undumpable_mutex;
int undumpable_count = 0;
int dumpable_before = 0;

}  // namespace

PidNamespaceForChildren::PidNamespaceForChildren(int fd, std::uint64_t type) {
  // With a pidfd, setns(2) joins the namespace that the process itself is in.
  own_ = open_pidfd(getpid());
  if (!own_) {
    throw_errno("pidfd_open", "this process");
  }
  if (setns(fd, static_cast<int>(type)) < 0) {
    throw_errno("setns", "the container's pid namespace");
  }
}

PidNamespaceForChildren::~PidNamespaceForChildren() { setns(own_.get(), CLONE_NEWPID); }

TimeNamespace::TimeNamespace(int fd) : own_(open_file(AT_FDCWD, "/proc/self/ns/time", O_RDONLY)) {
  if (setns(fd, CLONE_NEWTIME) < 0) {
    const int error = errno;
    own_.reset();
    throw Error(
        ErrorKind::system,
        "setns: the time namespace: " + errno_text(error) +
            (error == EUSERS ? "; it belongs to another user namespace than the one joined, so "
                               "only a process with one thread can join it: use the command line"
                             : ""))
        .with_errno(error, "setns");
  }
}

TimeNamespace::~TimeNamespace() { setns(own_.get(), CLONE_NEWTIME); }

Undumpable::Undumpable() {
  const std::lock_guard lock(undumpable_mutex);
  if (undumpable_count++ == 0) {
    dumpable_before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
}

Undumpable::~Undumpable() {
  const std::lock_guard lock(undumpable_mutex);
  if (--undumpable_count == 0 && dumpable_before == 1) {
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  }
}

NamespaceOwner::NamespaceOwner(uid_t owner)
    : real_(getuid()), root_(geteuid()), securebits_(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)) {
  // Without it the thread would lose its capabilities when its uid changes.
  changed_ = prctl(PR_SET_SECUREBITS, securebits_ | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0;
  if (changed_) {
    // glibc's wrappers change the uids of all threads.
    syscall(SYS_setresuid, owner, owner, -1);
    syscall(SYS_setfsuid, root_);
  }
}

NamespaceOwner::~NamespaceOwner() {
  if (changed_) {
    syscall(SYS_setresuid, real_, root_, -1);
    prctl(PR_SET_SECUREBITS, securebits_, 0, 0, 0);
  }
}

}  // namespace tare
