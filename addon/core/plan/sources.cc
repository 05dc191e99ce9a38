// Which mounts the host opens for a container in a user namespace, and when. It opens them in the
// container's mount namespace: mounts that are read-only or nosuid on the host are locked there
// (mount_namespaces(7)), and stay locked in a clone.
#include <algorithm>

#include "plan/builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

int PlanBuilder::source(Passed passed, bool late) {
  // One request to the host covers as many mounts as possible. Two limits apply: mounts of earlier
  // ops that a source needs must be there already, and only few descriptors may be open at a time.
  if (request_ == 0 || late || plan_.ops_[request_].n == wire::max_requested_mounts) {
    request_from_here();
  }
  if (passed.id_mapping >= 0) {
    // Mapping ids takes rights over the file system.
    plan_.ops_[request_].flags = 0;
  }
  plan_.requested_.push_back(std::move(passed));
  return -2 - static_cast<int>(plan_.ops_[request_].n++);
}

void PlanBuilder::request_from_here() {
  request_ = plan_.ops_.size();
  wire::Op& op = add(OpCode::request_mounts);
  op.a = plan_.requested_.size();
  // Where init can probably open the sources itself, it tries that before it asks: one round trip
  // less, 5.5 to 7 % of a run(). Among other processes, which could send requests in its place,
  // init makes no optional request.
  op.flags = host_.rootfs_in_reach && spec_.makes_namespace(NamespaceType::mount) &&
                     !plan_.forks_into_pidns_
                 ? wire::op_try_first
                 : 0;
}

namespace {

bool is_same(const std::vector<IdMapping>& a, const std::vector<IdMapping>& b) {
  return std::ranges::equal(a, b, [](const IdMapping& x, const IdMapping& y) {
    return x.container_id == y.container_id && x.host_id == y.host_id && x.size == y.size;
  });
}

}  // namespace

int PlanBuilder::pass_id_mapping(const Mount& mount, const std::string& origin) {
  Passed wanted;
  wanted.origin = origin;
  const Namespace* user = spec_.find_namespace(NamespaceType::user);
  if (!mount.uid_mappings.empty()) {
    wanted.kind = PassedKind::id_mapping;
    wanted.uids = mount.uid_mappings;
    wanted.gids = mount.gid_mappings;
  } else if (user->path.empty()) {
    // The container's own user namespace does not exist before the clone.
    wanted.kind = PassedKind::id_mapping;
    wanted.uids = spec_.linux_.uid_mappings;
    wanted.gids = spec_.linux_.gid_mappings;
  } else {
    wanted.path = user->path;
  }
  const auto same = std::ranges::find_if(plan_.passed_, [&wanted](const Passed& other) {
    return other.kind == wanted.kind && other.path == wanted.path &&
           is_same(other.uids, wanted.uids) && is_same(other.gids, wanted.gids);
  });
  return same == plan_.passed_.end() ? pass(std::move(wanted))
                                     : static_cast<int>(same - plan_.passed_.begin());
}

bool host_opens_sources(const PlanBuilder& builder) {
  return builder.spec().has_namespace(NamespaceType::user) && !builder.host().rootless;
}

std::string source_path(const PlanBuilder& builder, const Mount& mount) {
  const std::string within = read_mount_options(mount).source_within;
  return absolute_path_in(within.empty() ? builder.host().bundle : within, mount.source);
}

bool is_below_root(const PlanBuilder& builder, const std::string& source) {
  const std::string root =
      absolute_path(absolute_path_in(builder.host().bundle, builder.spec().root.path));
  return absolute_path(source).starts_with(root + "/");
}

}  // namespace tare
