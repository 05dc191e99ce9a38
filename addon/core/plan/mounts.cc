// The mount table: the config's mounts.
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <utility>

#include "plan/builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

constexpr const char* config_mounts = "mounts";

std::string mount_origin(const std::string& list, std::size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

bool is_destination(const Mount& mount, std::string_view path) {
  return absolute_path(mount.destination) == path;
}

// A tmpfs is made read-only at the end (add_root_finish): until then /dev is filled, and mount
// points are made in others.
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

/// Sets what the root mount needs besides its attributes: pivot_root(2) refuses a shared one.
void make_root(const PlanBuilder& builder, wire::Op& op) {
  const std::uint64_t wanted =
      propagation_flags(builder.spec().linux_.rootfs_propagation).value_or(0);
  op.flags |= wire::op_becomes_root;
  if (op.c == 0 || (op.c & MS_SHARED) != 0) {
    op.c = ((wanted & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE) | MS_REC;
  }
}

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

/// Returns the source as the op has it: with src-within, relative to that directory.
std::string source_name(const PlanBuilder& builder, const Mount& mount,
                        const MountOptions& options) {
  return options.source_within.empty() ? source_path(builder, mount) : mount.source;
}

/// Returns Op::str[0] of a bind: the source, followed by the directory of src-within.
std::uint32_t source_text(PlanBuilder& builder, const Mount& mount, const MountOptions& options) {
  const std::string name = source_name(builder, mount, options);
  return options.source_within.empty() ? builder.text(name)
                                       : builder.list({name, options.source_within});
}

/// What a bind mount needs besides its op.
struct BindSource {
  int mapping = -1;  ///< the passed user namespace of an id-mapped mount; -1: none
  int fd = -1;       ///< Op::fd of a mount that is open by then; -1: the op opens it
};

/// Where the host opens the mounts, has it open this one; if `late`, only after the ops that the
/// plan has by now.
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
    flags |= kernel_interface_place(mount);
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

/// Returns the options in the format of mount(2).
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

/// Since Linux 6.5 overlayfs also takes its layers one by one.
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
    // Without a cgroup namespace, a user namespace's root may not mount cgroup2. The container's
    // own cgroup directory is bound instead.
    const std::uint32_t directory = builder.text(builder.host().cgroup_dir);
    const std::uint32_t target = builder.text(mount.destination);
    wire::Op& op = builder.add(OpCode::bind, origin);
    op.flags = wire::op_make_target | wire::op_on_fall_back;
    op.str[0] = directory;
    op.str[1] = target;
    set_attributes(op, options);
  }
}

/// Adds a file system with options of any length.
void add_new_file_system(PlanBuilder& builder, const Mount& mount, MountOptions options,
                         const std::string& origin) {
  if (!is_too_long(mount, options)) {
    add_file_system(builder, mount, options, origin);
  } else if (mount.options_size() <= max_mount_data) {
    add_long_file_system(builder, mount, options, origin);
  } else {
    split_layers(options);
    add_file_system(builder, mount, options, origin);
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
    builder.add(OpCode::tell_mount, origin);
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
