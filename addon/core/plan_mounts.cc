// The mount table: the config's mounts.
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <utility>

#include "plan_builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

std::string mount_origin(std::size_t index) { return "mounts[" + std::to_string(index) + "]"; }

bool is_destination(const Mount& mount, std::string_view path) {
  return absolute_path(mount.destination) == path;
}

// A tmpfs is made read-only at the end (add_root_finish): /dev is filled before, and mount points
// are made in others.
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

/// What the mount that is the root needs beside its attributes: pivot_root(2) takes no shared one.
void make_root(const PlanBuilder& builder, wire::Op& op) {
  const std::uint64_t wanted =
      propagation_flags(builder.spec().linux_.rootfs_propagation).value_or(0);
  op.flags |= wire::op_becomes_root;
  if (op.c == 0 || (op.c & MS_SHARED) != 0) {
    op.c = ((wanted & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE) | MS_REC;
  }
}

void add_bind(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
              const std::string& origin) {
  const bool beneath = !options.source_within.empty();
  const std::string source =
      beneath ? mount.source : absolute_path_in(builder.host().bundle, mount.source);
  const std::uint32_t source_text =
      beneath ? builder.list({source, options.source_within}) : builder.text(source);
  const std::uint32_t destination = builder.text(mount.destination);
  std::uint16_t flags = wire::op_make_target;
  if (options.recursive) {
    flags |= wire::op_recursive;
  }
  if (options.source_no_follow) {
    flags |= wire::op_no_follow;
  }
  if (options.source_no_symlinks) {
    flags |= wire::op_source_no_symlinks;
  }
  if (beneath) {
    flags |= wire::op_source_beneath;
  }
  if (options.target_no_follow) {
    flags |= wire::op_target_no_follow;
  }
  if (is_destination(mount, "/proc")) {
    flags |= wire::op_no_symlink;
    flags |= kernel_interface_place(mount);
  }
  const int mapping = options.id_mapped ? builder.pass_id_mapping(mount, origin) : -1;
  const bool opened = host_opens_sources(builder);
  int fd = -1;
  if (opened) {
    Passed passed{PassedKind::detached_mount, source, flags, origin + ".source"};
    passed.within = options.source_within;
    passed.id_mapping = mapping;
    passed.maps_all = options.id_mapped_recursively;
    // Nothing is mounted before the root is.
    const bool late =
        is_below_root(builder, source_path(builder, mount)) && !is_destination(mount, "/");
    fd = builder.source(std::move(passed), late);
    flags |= wire::op_source_is_fd;
  }
  wire::Op& op = builder.add(OpCode::bind, origin);
  op.flags = flags;
  op.str[0] = source_text;
  op.str[1] = destination;
  op.fd = fd;
  set_attributes(op, options);
  // As mount(2) has it for a remount: the times' flags stay as they are unless one of them is set.
  constexpr std::uint64_t times = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
  op.b = options.names_atime ? op.b | (times & ~op.a) : op.b & ~times;
  if (is_destination(mount, "/")) {
    make_root(builder, op);
  }
  if (!opened && mapping >= 0) {
    (options.id_mapped_recursively ? op.d : op.a) |= MOUNT_ATTR_IDMAP;
    op.n = static_cast<std::uint32_t>(mapping);
  }
}

/// copy-symlink: what is a symlink on the host is made one in the container.
void add_copied_symlink(PlanBuilder& builder, const Mount& mount, const std::string& target,
                        const std::string& origin) {
  const std::uint32_t target_text = builder.text(target);
  const std::uint32_t destination = builder.text(mount.destination);
  wire::Op& op = builder.add(OpCode::make_symlink, origin);
  op.str[0] = target_text;
  op.str[1] = destination;
  op.flags = wire::op_same_link;
}

bool is_kernel_interface(const std::string& type) {
  return type == "proc" || type == "sysfs" || type == "mqueue";
}

/// Whether linux.mountLabel becomes an option of the file system.
bool gets_context(const PlanBuilder& builder, const std::string& type) {
  return !builder.spec().linux_.mount_label.empty() && builder.host().has_selinux &&
         !is_kernel_interface(type) && type != "cgroup2";
}

std::uint32_t add_options(PlanBuilder& builder, const Mount& mount, const std::string& type,
                          const MountOptions& options, std::uint32_t& count) {
  std::string pairs;
  const auto append = [&pairs, &count](std::string_view key, std::string_view value) {
    pairs.append(key).push_back('\0');
    pairs.append(value).push_back('\0');
    ++count;
  };
  if (!mount.source.empty()) {
    append("source", mount.source);
  }
  for (const auto& [key, value] : options.data) {
    append(key, value);
  }
  if (gets_context(builder, type)) {
    append(builder.spec().linux_.mount_context, builder.spec().linux_.mount_label);
  }
  return builder.blob(mount.destination + std::string(1, '\0') + pairs);
}

/// The options as mount(2) takes them.
std::uint32_t add_data(PlanBuilder& builder, const Mount& mount, const std::string& type,
                       const MountOptions& options) {
  std::string data;
  const auto append = [&data](const std::string& word) {
    data.append(data.empty() ? "" : ",").append(word);
  };
  for (const auto& [key, value] : options.data) {
    append(value.empty() ? key : key + "=" + value);
  }
  if (gets_context(builder, type)) {
    append(builder.spec().linux_.mount_context + "=\"" + builder.spec().linux_.mount_label + "\"");
  }
  const std::string& source = mount.source.empty() ? type : mount.source;
  return builder.blob(mount.destination + std::string(1, '\0') + source + std::string(1, '\0') +
                      data);
}

/// fsconfig(2) takes values of up to 255 bytes.
bool is_too_long(const Mount& mount, const MountOptions& options) {
  constexpr std::size_t longest = 255;
  return mount.source.size() > longest || std::ranges::any_of(options.data, [](const auto& pair) {
           return pair.second.size() > longest;
         });
}

/// overlayfs takes its layers one by one, too, since Linux 6.5.
void split_layers(MountOptions& options) {
  std::vector<std::pair<std::string, std::string>> data;
  for (const auto& [key, value] : options.data) {
    if (key != "lowerdir") {
      data.emplace_back(key, value);
      continue;
    }
    std::string layer;
    for (std::size_t i = 0; i <= value.size(); ++i) {
      if (i == value.size() || value[i] == ':') {
        data.emplace_back("lowerdir+", layer);
        layer.clear();
      } else {
        if (value[i] == '\\' && i + 1 < value.size()) {
          ++i;
        }
        layer += value[i];
      }
    }
  }
  options.data = std::move(data);
}

void add_long_file_system(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
                          const std::string& origin) {
  const std::uint32_t text = add_data(builder, mount, mount.type, options);
  const std::uint32_t type = builder.text(mount.type);
  wire::Op& op = builder.add(OpCode::mount_data, origin);
  op.flags = wire::op_make_target;
  op.str[0] = type;
  op.str[1] = text;
  set_attributes(op, options);
  op.a |= std::exchange(op.d, 0);
  op.b |= std::exchange(op.e, 0);
  if (read_only_later(mount, options)) {
    op.a &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  }
  if (is_destination(mount, "/")) {
    make_root(builder, op);
  }
}

void add_file_system(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
                     const std::string& origin) {
  const bool cgroup = mount.type == "cgroup" || mount.type == "cgroup2";
  const std::string type = cgroup ? "cgroup2" : mount.type;
  std::uint32_t count = 0;
  const std::uint32_t destination = add_options(builder, mount, type, options, count);
  const std::uint32_t type_text = builder.text(type);
  const std::string& mount_label = builder.spec().linux_.mount_label;
  const std::uint32_t label =
      type == "mqueue" && builder.host().has_selinux ? builder.text(mount_label) : 0;
  const bool falls_back = cgroup && !builder.host().cgroup_dir.empty();
  {
    wire::Op& op = builder.add(OpCode::mount_fs, origin);
    op.flags = wire::op_make_target;
    if (options.target_no_follow) {
      op.flags |= wire::op_target_no_follow;
    }
    if (is_kernel_interface(type)) {
      op.flags |= wire::op_no_symlink;
      op.flags |= kernel_interface_place(mount);
    }
    if (falls_back) {
      op.flags |= wire::op_fall_back;
    }
    op.str[0] = type_text;
    op.str[1] = destination;
    op.n = count;
    op.a = options.set | options.recursive_set;
    if (read_only_later(mount, options)) {
      op.a &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
    }
    if (type == "tmpfs") {
      const bool has_mode =
          std::ranges::any_of(options.data, [](const auto& pair) { return pair.first == "mode"; });
      op.b = (has_mode ? 0 : wire::mount_inherits_mode) |
             (options.copy_up ? wire::mount_copies_up : 0);
    }
    op.c = options.propagation;
    op.d = label;
    if (is_destination(mount, "/")) {
      make_root(builder, op);
    }
  }
  if (falls_back) {
    // Without a cgroup namespace, a user namespace's root may not mount cgroup2: it gets its own
    // cgroup's directory.
    const std::uint32_t directory = builder.text(builder.host().cgroup_dir);
    const std::uint32_t target = builder.text(mount.destination);
    wire::Op& op = builder.add(OpCode::bind, origin);
    op.flags = wire::op_make_target | wire::op_on_fall_back;
    op.str[0] = directory;
    op.str[1] = target;
    set_attributes(op, options);
  }
}

void add_attributes(PlanBuilder& builder, const std::string& path, const MountOptions& options,
                    const std::string& origin) {
  const std::uint32_t target = builder.text(path);
  wire::Op& op = builder.add(OpCode::attributes, origin);
  op.str[1] = target;
  op.fd = builder.kept(path);
  set_attributes(op, options);
}

void add_remount(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
                 const std::string& origin) {
  if (!options.bind && !options.data.empty()) {
    std::uint32_t count = 0;
    Mount without_source = mount;
    without_source.source.clear();
    const std::uint32_t text = add_options(builder, without_source, "", options, count);
    wire::Op& op = builder.add(OpCode::reconfigure, origin);
    op.str[1] = text;
    op.n = count;
    op.fd = builder.kept(mount.destination);
  }
  if ((options.set | options.clear | options.recursive_set | options.recursive_clear |
       options.propagation) != 0) {
    add_attributes(builder, mount.destination, options, origin);
  }
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
    const std::string origin = mount_origin(i);
    MountOptions options = read_mount_options(mount);
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
      add_bind(builder, mount, options, origin);
    } else if (is_too_long(mount, options) && mount.options_size() <= longest_mount_data) {
      add_long_file_system(builder, mount, options, origin);
    } else {
      if (is_too_long(mount, options)) {
        split_layers(options);
      }
      add_file_system(builder, mount, options, origin);
    }
    if (is_destination(mount, "/")) {
      add_root_entries(builder, root_entries, origin);
    } else {
      builder.keep(mount.destination, changes_later);
    }
  }
}

void add_root_finish(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  // The others hold since add_root(); a second time they would take a mount's own propagation away.
  if (const auto wanted = propagation_flags(spec.linux_.rootfs_propagation);
      wanted.has_value() && (*wanted & (MS_SHARED | MS_UNBINDABLE)) != 0) {
    MountOptions options;
    options.propagation = *wanted;
    add_attributes(builder, "/", options, "linux.rootfsPropagation");
  }
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const Mount& mount = spec.mounts[i];
    const MountOptions given = read_mount_options(mount);
    if (read_only_later(mount, given)) {
      MountOptions options;
      options.set = MOUNT_ATTR_RDONLY;
      add_attributes(builder, mount.destination, options, mount_origin(i));
    }
  }
  if (spec.root.readonly) {
    MountOptions options;
    options.set = MOUNT_ATTR_RDONLY;
    add_attributes(builder, "/", options, "root.readonly");
  }
}

}  // namespace tare
