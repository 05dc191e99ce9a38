// The mount table: the config's mounts.
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <utility>

#include "plan/mount_ops.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

bool is_destination(const Mount& mount, std::string_view path) {
  return absolute_path(mount.destination) == path;
}

bool read_only_later(const Mount& mount, const MountOptions& options) {
  return !options.bind && !options.remount &&
         ((options.set | options.recursive_set) & MOUNT_ATTR_RDONLY) != 0 &&
         (mount.type == "tmpfs" || is_destination(mount, "/dev"));
}

void set_attributes(wire::Op& op, const MountOptions& options) {
  op.a = options.set;
  op.b = options.clear;
  op.c = options.propagation;
  op.d = options.recursive_set;
  op.e = options.recursive_clear;
}

void make_root(const PlanBuilder& builder, wire::Op& op) {
  const std::uint64_t wanted =
      propagation_flags(builder.spec().linux_.rootfs_propagation).value_or(0);
  op.flags |= wire::op_becomes_root;
  if (op.c == 0 || (op.c & MS_SHARED) != 0) {
    op.c = ((wanted & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE) | MS_REC;
  }
}

namespace {

constexpr const char* config_mounts = "mounts";

std::string mount_origin(const std::string& list, std::size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

/// copy-symlink: makes a symlink of the host in the container too.
void add_copied_symlink(PlanBuilder& builder, const Mount& mount, const std::string& target,
                        const std::string& origin) {
  const std::uint32_t target_text = builder.text(target);
  const std::uint32_t destination = builder.text(mount.destination);
  wire::Op& op = builder.add(OpCode::make_symlink, origin);
  op.str[0] = target_text;
  op.str[1] = destination;
  op.flags = wire::op_same_link;
}

void add_root_entries(PlanBuilder& builder, const std::vector<RootEntry>& entries,
                      const std::string& origin) {
  for (const RootEntry& entry : entries) {
    const std::uint32_t path = builder.text(entry.path);
    const bool file = entry.kind == RootEntry::Kind::file;
    const std::uint32_t text = file ? builder.blob(entry.text) : builder.text(entry.text);
    wire::Op& op = builder.add(file                                  ? OpCode::make_file
                               : entry.kind == RootEntry::Kind::link ? OpCode::make_symlink
                                                                     : OpCode::make_directory,
                               origin);
    op.str[0] = text;
    op.str[1] = path;
    op.n = file ? static_cast<std::uint32_t>(entry.text.size()) : 0;
  }
}

std::vector<std::string> remounted_paths(const Spec& spec) {
  std::vector<std::string> paths;
  for (const Mount& mount : spec.mounts) {
    if (std::ranges::find(mount.options, "remount") != mount.options.end()) {
      paths.push_back(absolute_path(mount.destination));
    }
  }
  return paths;
}

}  // namespace

bool has_mounts(const Spec& spec) {
  return spec.has_namespace(NamespaceType::mount) || !spec.mounts.empty() || spec.root.readonly;
}

void add_mounts(PlanBuilder& builder, const std::vector<RootEntry>& root_entries) {
  const Spec& spec = builder.spec();
  const std::vector<std::string> remounted = remounted_paths(spec);
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const Mount& mount = spec.mounts[i];
    const std::string origin = mount_origin(config_mounts, i);
    const MountOptions options = read_mount_options(mount);
    const bool changes_later =
        read_only_later(mount, options) || std::ranges::any_of(remounted, [&](const auto& path) {
          return is_destination(mount, path);
        });
    if (options.remount) {
      add_remount(builder, mount, options, origin);
      continue;
    }
    if (const auto link = builder.host().symlinks.find(i); link != builder.host().symlinks.end()) {
      add_copied_symlink(builder, mount, link->second, origin);
      continue;
    }
    if (options.bind) {
      // No mount comes before the root, so its source need not be opened late.
      const bool late =
          is_below_root(builder, source_path(builder, mount)) && !is_destination(mount, "/");
      add_bind(builder, mount, options, add_source(builder, mount, options, origin, late), origin);
    } else {
      add_new_file_system(builder, mount, options, origin);
    }
    if (is_destination(mount, "/")) {
      add_root_entries(builder, root_entries, origin);
    } else {
      builder.keep(mount.destination, changes_later);
    }
  }
}

namespace {

/// Makes read-only the tmpfs mounts in which mount points had to be made first.
void add_read_only_file_systems(PlanBuilder& builder, const std::string& list) {
  const std::vector<Mount>& mounts = builder.spec().mounts;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    if (read_only_later(mounts[i], read_mount_options(mounts[i]))) {
      MountOptions options;
      options.set = MOUNT_ATTR_RDONLY;
      add_attributes(builder, mounts[i].destination, options, mount_origin(list, i));
    }
  }
}

}  // namespace

void add_further_mounts(PlanBuilder& builder, const std::string& list,
                        const std::function<void()>& enter) {
  const std::vector<Mount>& mounts = builder.spec().mounts;
  std::vector<BindSource> sources;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const MountOptions options = read_mount_options(mounts[i]);
    const std::string origin = mount_origin(list, i);
    BindSource& source = sources.emplace_back();
    if (!options.bind) {
      continue;
    }
    source = add_source(builder, mounts[i], options, origin, false);
    if (source.fd == -1) {
      const std::uint32_t text = source_text(builder, mounts[i], options);
      wire::Op& op = builder.add(OpCode::open_source, origin + ".source");
      op.str[0] = text;
      op.flags = source_flags(options);
      op.a = i;
      source.fd = -2 - static_cast<int>(i);
    }
  }
  enter();
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    MountOptions options = read_mount_options(mounts[i]);
    const std::string origin = mount_origin(list, i);
    if (options.bind) {
      // Later mounts and unmounts of the host do not reach the container, unless its options ask
      // for that.
      options.propagation = options.propagation != 0 ? options.propagation : MS_PRIVATE | MS_REC;
      add_bind(builder, mounts[i], options, sources[i], origin);
    } else {
      add_new_file_system(builder, mounts[i], options, origin);
    }
    builder.add(OpCode::report_mount, origin);
    builder.keep(mounts[i].destination, read_only_later(mounts[i], options));
  }
  add_read_only_file_systems(builder, list);
}

void add_root_finish(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  // add_root() has set the other types. A second time, they would override a mount's own
  // propagation.
  if (const auto wanted = propagation_flags(spec.linux_.rootfs_propagation);
      wanted.has_value() && (*wanted & (MS_SHARED | MS_UNBINDABLE)) != 0) {
    MountOptions options;
    options.propagation = *wanted;
    add_attributes(builder, "/", options, "linux.rootfsPropagation");
  }
  add_read_only_file_systems(builder, config_mounts);
  if (spec.root.readonly) {
    MountOptions options;
    options.set = MOUNT_ATTR_RDONLY;
    add_attributes(builder, "/", options, "root.readonly");
  }
}

}  // namespace tare
