/// \file
/// What the calling thread or process changes of itself for the time of a clone. Private to spawn.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>

#include "tare/fd.h"

namespace tare {

/// Joins a pid namespace with setns(2), which affects only this thread's next children, and undoes
/// it in the destructor.
class PidNamespaceForChildren {
 public:
  PidNamespaceForChildren(int fd, std::uint64_t type);
  ~PidNamespaceForChildren();
  PidNamespaceForChildren(const PidNamespaceForChildren&) = delete;
  PidNamespaceForChildren& operator=(const PidNamespaceForChildren&) = delete;

 private:
  Fd own_;
};

/// Joins a time namespace, and undoes it in the destructor. setns(2) fails with EUSERS in a process
/// that shares its memory with another, so this process joins it, and not the CLONE_VFORK child,
/// which inherits it.
class TimeNamespace {
 public:
  explicit TimeNamespace(int fd);
  ~TimeNamespace();
  TimeNamespace(const TimeNamespace&) = delete;
  TimeNamespace& operator=(const TimeNamespace&) = delete;

 private:
  Fd own_;
};

/// Makes this process undumpable. A child that joins namespaces is among the container's processes
/// and shares this process's memory until it executes init: a tracer in the container could write
/// to it. To trace an undumpable process takes CAP_SYS_PTRACE in the user namespace in which it was
/// executed: see ptrace(2), "Ptrace access mode checking". The flag is one per process: if several
/// threads hold an Undumpable, the last one's destructor restores it.
class Undumpable {
 public:
  Undumpable();
  ~Undumpable();
  Undumpable(const Undumpable&) = delete;
  Undumpable& operator=(const Undumpable&) = delete;
};

/// Lets the calling thread make user namespaces that belong to another uid: the owner is the
/// effective uid of the maker. The kernel charges what is used up in a namespace (inotify instances
/// and watches, pending signals, locked memory, further namespaces) to its owner too: a single
/// container owned by root could use up the limits of root and of all others. The real uid changes
/// as well: before Linux 6.16, execve(2) with different real and effective uids counts as that of a
/// set-id program, and init loses its ambient capabilities. The file system uid stays, as it is
/// used to enter the cgroup.
class NamespaceOwner {
 public:
  explicit NamespaceOwner(uid_t owner);
  ~NamespaceOwner();
  NamespaceOwner(const NamespaceOwner&) = delete;
  NamespaceOwner& operator=(const NamespaceOwner&) = delete;

 private:
  Undumpable undumpable_;  ///< the kernel clears the flag when an effective uid changes
  uid_t real_;
  uid_t root_;
  int securebits_;
  bool changed_ = false;
};

}  // namespace tare
