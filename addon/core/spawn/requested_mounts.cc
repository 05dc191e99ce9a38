#include "spawn/requested_mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "host/remedies.h"
#include "spawn/remedy.h"
#include "spawn/vfork_child.h"
#include "tare/signals.h"

namespace tare {
namespace {

constexpr std::size_t stack_size = std::size_t{16} << 10;

unsigned tree_flags(const Passed& passed) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if ((passed.flags & wire::op_recursive) != 0) {
    flags |= AT_RECURSIVE;
  }
  if ((passed.flags & wire::op_no_follow) != 0) {
    flags |= AT_SYMLINK_NOFOLLOW;
  }
  return flags;
}

/// Returns the RESOLVE_* flags of openat2(2); 0: the path is resolved without restrictions.
std::uint64_t resolution(const Passed& passed) {
  const bool beneath = (passed.flags & wire::op_source_beneath) != 0;
  const bool no_symlinks = (passed.flags & wire::op_source_no_symlinks) != 0;
  return (beneath || no_symlinks ? std::uint64_t{RESOLVE_NO_MAGICLINKS} : 0) |
         (beneath ? std::uint64_t{RESOLVE_BENEATH} : 0) |
         (no_symlinks ? std::uint64_t{RESOLVE_NO_SYMLINKS} : 0);
}

std::string remedy_for(int errnum, const std::string& step, const Passed& passed) {
  if (step == "mount_setattr") {
    return id_mapping_remedy(errnum);
  }
  const bool is_device = passed.origin.find(": ") == std::string::npos &&
                         passed.origin.find("device") != std::string::npos;
  if (is_device && step == "open_tree" && errnum == ENOENT) {
    return device_remedy();
  }
  return passed.kind == PassedKind::detached_mount ? source_remedy(passed.flags, errnum)
                                                   : std::string();
}

[[noreturn]] void fail(int errnum, const std::string& step, const Passed& passed) {
  const std::string remedy = remedy_for(errnum, step, passed);
  const std::size_t document = passed.origin.find(": ");
  const bool named = document != std::string::npos;
  const bool in_config = passed.origin.find(' ') == std::string::npos;
  const std::string prefix = (in_config ? "config.json: " : "") +
                             (in_config || named ? passed.origin + ": " : std::string());
  throw Error(ErrorKind::system,
              prefix + passed.path + ": " + step + ": " + errno_text(errnum) + remedy)
      .with_errno(errnum, step)
      .with_path(named       ? passed.origin.substr(document + 2)
                 : in_config ? passed.origin
                             : passed.path);
}

}  // namespace

std::vector<Fd> open_requested_mounts(InitProcess& init, const Plan& plan,
                                      const std::vector<int>& passed, std::size_t first,
                                      std::size_t count) {
  std::array<MountSource, wire::max_requested_mounts> sources;
  for (std::size_t i = 0; i < count; ++i) {
    const Passed& wanted = plan.requested()[first + i];
    sources[i].path = wanted.path.c_str();
    if (wanted.kind == PassedKind::detached_mount) {
      sources[i].tree_flags = tree_flags(wanted);
      sources[i].resolve = resolution(wanted);
      if ((wanted.flags & wire::op_source_beneath) != 0) {
        sources[i].within = wanted.within.c_str();
      }
    }
    if (wanted.id_mapping >= 0) {
      sources[i].user_namespace = passed[static_cast<std::size_t>(wanted.id_mapping)];
      sources[i].maps_all = wanted.maps_all;
    }
  }
  const Fd root = open_root_of(init.pid());
  if (!root && errno != ENOENT && errno != ESRCH) {
    throw_errno("open", "the container's root");
  }
  MountVisit visit;
  visit.pidfd = init.pidfd();
  visit.root = root.get();
  visit.sources = sources.data();
  visit.count = count;
  alignas(16) std::array<unsigned char, stack_size> stack;
  bool done = false;
  {
    const BlockedSignals blocked;
    done = run_mount_visit(visit, stack.data(), stack.size());
  }
  std::vector<Fd> opened;
  for (std::size_t i = 0; i < count; ++i) {
    opened.emplace_back(sources[i].fd);
  }
  if (done && std::ranges::any_of(opened, [](const Fd& fd) { return !fd; })) {
    throw Error(ErrorKind::system, "the child process that opens mount sources was killed");
  }
  if (!done) {
    if (visit.failed == count) {
      if (visit.errnum == ESRCH) {
        while (init.next_wait()) {  // init has ended, and this throws why
        }
      }
      throw_errno(visit.errnum, visit.step, "the container's mount namespace");
    }
    fail(visit.errnum, visit.step, plan.requested()[first + visit.failed]);
  }
  return opened;
}

}  // namespace tare
