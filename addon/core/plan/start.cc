#include "plan/start.h"

#include <algorithm>
#include <tuple>

#include "plan/builder.h"

namespace tare {

bool same_facts(const PlanFacts& facts, const Host& host, const StartOptions& options) {
  const auto considered = [](const Host& one) {
    // All members by name: a new one must be considered here.
    const auto& [bundle, rootless, in_user_namespace, euid, egid, cgroup_unified, cgroup_dir,
                 enters_cgroup, rootfs_in_reach, has_apparmor, has_selinux, inner_namespaces,
                 symlinks, device_nodes, seccomp] = one;
    return std::tie(bundle, rootless, in_user_namespace, euid, egid, cgroup_unified, enters_cgroup,
                    rootfs_in_reach, has_apparmor, has_selinux, inner_namespaces, symlinks,
                    device_nodes);
  };
  return facts.options == options && considered(facts.host) == considered(host);
}

bool has_common_start(const Spec& spec) {
  const Namespace* user = spec.find_namespace(NamespaceType::user);
  const bool joins_user = user != nullptr && !user->path.empty();
  // A mount of the cgroup tree depends on the container's cgroup.
  const bool mounts_cgroups = std::ranges::any_of(
      spec.mounts, [](const Mount& mount) { return mount.type.starts_with("cgroup"); });
  return !joins_user && !mounts_cgroups;
}

PlanBuilder::PlanBuilder(const Plan& start, const Spec& spec, const Host& host)
    : spec_(spec), host_(host), plan_(start) {}

void PlanBuilder::name_session(std::string_view id) {
  const std::uint32_t name = text(session_name(id));
  for (wire::Op& op : plan_.ops_) {
    if (op.code == wire::OpCode::keyring) {
      op.str[0] = name;
    }
  }
}

void PlanBuilder::change_working_directory(const std::string& path) {
  const std::uint32_t changed = text(path);
  for (wire::Op& op : plan_.ops_) {
    if (op.code == wire::OpCode::make_directory &&
        plan_.text(op.origin) == working_directory_origin) {
      op.str[1] = changed;
    }
  }
}

void PlanBuilder::change_id_mappings(const std::function<void(IdMapping&)>& change) {
  for (Passed& passed : plan_.passed_) {
    std::ranges::for_each(passed.uids, change);
    std::ranges::for_each(passed.gids, change);
  }
}

}  // namespace tare
