// Opens mounts and sockets in the container's namespaces for init.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "host/remedies.h"
#include "spawn/remedy.h"
#include "spawn/spawn.h"
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
  const std::string place = (in_config ? "config.json: " : "") +
                            (in_config || named ? passed.origin + ": " : std::string());
  throw Error(ErrorKind::system,
              place + passed.path + ": " + step + ": " + errno_text(errnum) + remedy)
      .with_errno(errnum, step)
      .with_path(named       ? passed.origin.substr(document + 2)
                 : in_config ? passed.origin
                             : passed.path);
}

/// Whether init sends this fetch only if it cannot open one of the mounts itself.
bool may_be_needless(const wire::Op& op) {
  return op.code == wire::OpCode::fetch && (op.flags & wire::op_may_reach) != 0;
}

/// Whether the mounts of the first fetch can be opened before init asks for them: init is in its
/// mount namespace from the beginning, and has mounted nothing before that fetch. Sets
/// `propagation` to what init has set on all mounts by then.
bool is_early(const Plan& plan, std::uint64_t& propagation) {
  for (const wire::Op& op : plan.ops()) {
    switch (op.code) {
      case wire::OpCode::fetch:
        return !may_be_needless(op);
      case wire::OpCode::propagation:
        propagation = op.a;
        break;
      case wire::OpCode::wait:
      case wire::OpCode::become_root:
      case wire::OpCode::undumpable:
      case wire::OpCode::loopback_up:
      case wire::OpCode::new_session:
      case wire::OpCode::keyring:
      case wire::OpCode::open_proc:
        break;
      default:
        return false;
    }
  }
  return false;
}

/// Opens `count` fetched mounts from `first` on in init's mount namespace, after giving all mounts
/// there `propagation`.
std::vector<Fd> open_inside(InitProcess& init, const Plan& plan, const std::vector<int>& passed,
                            std::size_t first, std::size_t count, std::uint64_t propagation) {
  std::array<StubSource, wire::most_fetched> sources;
  for (std::size_t i = 0; i < count; ++i) {
    const Passed& wanted = plan.fetched()[first + i];
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
  StubVisit visit;
  visit.pidfd = init.pidfd();
  visit.root = root.get();
  visit.propagation = propagation;
  visit.sources = sources.data();
  visit.count = count;
  alignas(16) std::array<unsigned char, stack_size> stack;
  bool done = false;
  {
    const BlockedSignals blocked;
    done = run_visit(visit, stack.data(), stack.size());
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
    fail(visit.errnum, visit.step, plan.fetched()[first + visit.failed]);
  }
  return opened;
}

}  // namespace

namespace {

void serve(InitProcess& init, const Plan& plan, const std::vector<int>& passed, const wire::Op& op,
           std::uint64_t propagation) {
  const std::vector<Fd> opened = open_inside(init, plan, passed, op.a, op.n, propagation);
  std::vector<int> fds;
  for (const Fd& fd : opened) {
    fds.push_back(fd.get());
  }
  init.send_mounts(fds);
}

}  // namespace

void serve_fetches(InitProcess& init, const Plan& plan, const std::vector<int>& passed) {
  std::uint64_t propagation = 0;
  // init need not wait for mounts that are sent before it asks for them. Its request is then read
  // before the next fetch.
  bool early = is_early(plan, propagation);
  unsigned unread = 0;
  for (const wire::Op& op : plan.ops()) {
    if (op.code != wire::OpCode::fetch || may_be_needless(op)) {
      continue;
    }
    for (++unread; !early && unread > 0; --unread) {
      init.await(wire::WaitTag::mounts);
    }
    serve(init, plan, passed, op, early ? propagation : 0);
    early = false;
  }
}

bool InitProcess::may_ask() const { return std::ranges::any_of(plan_->ops(), may_be_needless); }

bool InitProcess::serves(const Heard& heard) {
  if (!heard.alone || heard.report.op >= plan_->ops().size()) {
    return false;
  }
  const wire::Op& op = plan_->ops()[heard.report.op];
  if (!may_be_needless(op)) {
    return false;
  }
  // None of these mounts is id-mapped.
  serve(*this, *plan_, {}, op, 0);
  return true;
}

Fd open_netlink_socket_in(int network_namespace) {
  alignas(16) std::array<unsigned char, stack_size> stack;
  const BlockedSignals blocked;
  const int socket = open_netlink_socket(network_namespace, stack.data(), stack.size());
  if (socket < 0) {
    throw_errno(-socket, "setns", "the container's network namespace");
  }
  return Fd(socket);
}

}  // namespace tare
