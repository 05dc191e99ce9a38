// The ops of a bind mount.
#include <linux/mount.h>

#include "plan/mount_ops.h"

namespace tare {

using wire::OpCode;

std::uint16_t source_flags(const MountOptions& options) {
  std::uint16_t flags = 0;
  if (options.recursive) {
    flags |= wire::op_recursive;
  }
  if (options.source_no_follow) {
    flags |= wire::op_no_follow;
  }
  if (options.source_no_symlinks) {
    flags |= wire::op_source_no_symlinks;
  }
  if (!options.source_within.empty()) {
    flags |= wire::op_source_beneath;
  }
  return flags;
}

namespace {

/// Returns the source as the op has it: with src-within, relative to that directory.
std::string source_name(const PlanBuilder& builder, const Mount& mount,
                        const MountOptions& options) {
  return options.source_within.empty() ? source_path(builder, mount) : mount.source;
}

}  // namespace

std::uint32_t source_text(PlanBuilder& builder, const Mount& mount, const MountOptions& options) {
  const std::string name = source_name(builder, mount, options);
  return options.source_within.empty() ? builder.text(name)
                                       : builder.list({name, options.source_within});
}

BindSource add_source(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
                      const std::string& origin, bool late) {
  BindSource source;
  source.mapping = options.id_mapped ? builder.pass_id_mapping(mount, origin) : -1;
  if (host_opens_sources(builder)) {
    Passed passed{PassedKind::detached_mount, source_name(builder, mount, options),
                  source_flags(options), origin + ".source"};
    passed.within = options.source_within;
    passed.id_mapping = source.mapping;
    passed.maps_all = options.id_mapped_recursively;
    source.fd = builder.source(std::move(passed), late);
  }
  return source;
}

void add_bind(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
              const BindSource& source, const std::string& origin) {
  const std::uint32_t text = source_text(builder, mount, options);
  const std::uint32_t destination = builder.text(mount.destination);
  std::uint16_t flags = source_flags(options) | wire::op_make_target;
  if (options.target_no_follow) {
    flags |= wire::op_target_no_follow;
  }
  if (is_destination(mount, "/proc")) {
    flags |= wire::op_no_symlink;
    flags |= kernel_interface_flag(mount);
  }
  if (source.fd != -1) {
    flags |= wire::op_source_is_fd;
  }
  wire::Op& op = builder.add(OpCode::bind, origin);
  op.flags = flags;
  op.str[0] = text;
  op.str[1] = destination;
  op.fd = source.fd;
  set_attributes(op, options);
  // As in mount(2) for a remount: the atime flags stay unchanged unless one of them is set.
  constexpr std::uint64_t times = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
  op.b = options.names_atime ? op.b | (times & ~op.a) : op.b & ~times;
  if (is_destination(mount, "/")) {
    make_root(builder, op);
  }
  if (!host_opens_sources(builder) && source.mapping >= 0) {
    (options.id_mapped_recursively ? op.d : op.a) |= MOUNT_ATTR_IDMAP;
    op.n = static_cast<std::uint32_t>(source.mapping);
  }
}

}  // namespace tare
