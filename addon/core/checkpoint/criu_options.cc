#include "checkpoint/criu_options.h"

#include <sched.h>

#include <cstdint>
#include <string>

namespace tare {
namespace {

Criu__CgroupMode mode_of(CgroupsMode mode) {
  switch (mode) {
    case CgroupsMode::soft:
      break;
    case CgroupsMode::full:
      return CRIU__CGROUP_MODE__FULL;
    case CgroupsMode::strict:
      return CRIU__CGROUP_MODE__STRICT;
    case CgroupsMode::ignore:
      return CRIU__CGROUP_MODE__IGNORE;
  }
  return CRIU__CGROUP_MODE__SOFT;
}

void flag(protobuf_c_boolean& has, protobuf_c_boolean& field, bool value) {
  has = 1;
  field = value ? 1 : 0;
}
void number(protobuf_c_boolean& has, std::int32_t& field, int value, bool wanted) {
  has = wanted ? 1 : 0;
  field = value;
}
void text(char*& field, const std::string& value) {
  field = value.empty() ? nullptr : const_cast<char*>(value.c_str());
}

}  // namespace

Criu__Type criu_type(CriuVerb verb) {
  switch (verb) {
    case CriuVerb::dump:
      return CRIU__TYPE__DUMP;
    case CriuVerb::pre_dump:
      return CRIU__TYPE__PRE_DUMP;
    case CriuVerb::restore:
      break;
  }
  return CRIU__TYPE__RESTORE;
}

CriuRequestOptions::CriuRequestOptions(const CriuRequest& request) {
  criu__options__init(&options_);
  const CriuOptions& given = request.options;
  options_.images_dir_fd = request.images;
  number(options_.has_work_dir_fd, options_.work_dir_fd, request.work, request.work >= 0);
  text(options_.log_file, request.log_file);
  text(options_.config_file, request.config_file);
  text(options_.root, request.root);
  number(options_.has_log_level, options_.log_level, 4, true);
  flag(options_.has_notify_scripts, options_.notify_scripts, true);
  flag(options_.has_orphan_pts_master, options_.orphan_pts_master, true);
  flag(options_.has_tcp_established, options_.tcp_established, given.tcp_established);
  flag(options_.has_ext_unix_sk, options_.ext_unix_sk, given.ext_unix_sk);
  flag(options_.has_shell_job, options_.shell_job, given.shell_job);
  flag(options_.has_lazy_pages, options_.lazy_pages, given.lazy_pages);
  flag(options_.has_file_locks, options_.file_locks, given.file_locks);
  flag(options_.has_auto_dedup, options_.auto_dedup, given.auto_dedup);
  flag(options_.has_manage_cgroups, options_.manage_cgroups, true);
  options_.has_manage_cgroups_mode = 1;
  options_.manage_cgroups_mode = mode_of(given.manage_cgroups);
  // criu leaves network namespaces empty: the engine sets them up, as when the container was
  // created.
  options_.has_empty_ns = 1;
  options_.empty_ns = CLONE_NEWNET;
  for (const std::string& external : request.external) {
    externals_.push_back(const_cast<char*>(external.c_str()));
  }
  options_.n_external = externals_.size();
  options_.external = externals_.data();
  if (request.verb == CriuVerb::restore) {
    add_restore(request);
  } else {
    add_dump(request);
  }
}

void CriuRequestOptions::add_dump(const CriuRequest& request) {
  const CheckpointOptions& dump = request.dump;
  number(options_.has_pid, options_.pid, request.pid, true);
  text(options_.parent_img, dump.parent_path);
  flag(options_.has_track_mem, options_.track_mem,
       !dump.parent_path.empty() || request.verb == CriuVerb::pre_dump);
  flag(options_.has_leave_running, options_.leave_running, dump.leave_running);
  flag(options_.has_tcp_skip_in_flight, options_.tcp_skip_in_flight, dump.tcp_skip_in_flight);
  flag(options_.has_link_remap, options_.link_remap, dump.link_remap);
  text(options_.freeze_cgroup, request.freeze_cgroup);
  if (!dump.page_server.empty()) {
    criu__page_server__init(&page_server_);
    text(page_server_.address, dump.page_server);
    number(page_server_.has_port, page_server_.port, dump.page_server_port, true);
    options_.page_server = &page_server_;
  }
}

void CriuRequestOptions::add_restore(const CriuRequest& request) {
  flag(options_.has_evasive_devices, options_.evasive_devices, true);
  // Makes the container's init a child of this process, not of criu.
  flag(options_.has_rst_sibling, options_.rst_sibling, true);
  text(options_.lsm_profile, request.restore.lsm_profile);
  text(options_.lsm_mount_context, request.restore.lsm_mount_context);
  if (!request.cgroup_root.empty()) {
    // For the cgroup v2 hierarchy, which has no controllers in its name.
    criu__cgroup_root__init(&cgroup_root_);
    cgroup_root_.controller = const_cast<char*>("");
    text(cgroup_root_.path, request.cgroup_root);
    cgroup_root_list_ = &cgroup_root_;
    options_.n_cgroup_root = 1;
    options_.cgroup_root = &cgroup_root_list_;
  }
  for (const auto& [key, fd] : request.inherited) {
    Criu__InheritedFd& one = inherited_.emplace_back();
    criu__inherited_fd__init(&one);
    text(one.key, key);
    one.fd = fd;
    inherited_list_.push_back(&one);
  }
  options_.n_inherit_fd = inherited_list_.size();
  options_.inherit_fd = inherited_list_.data();
  for (const auto& [name, file] : request.joined) {
    Criu__JoinedNamespace& one = joined_.emplace_back();
    criu__joined_namespace__init(&one);
    text(one.name, name);
    text(one.file, file);
    joined_list_.push_back(&one);
  }
  options_.n_join_ns = joined_list_.size();
  options_.join_ns = joined_list_.data();
}

}  // namespace tare
