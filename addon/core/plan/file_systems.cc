// The ops of a new file system, and of a remount.
#include <linux/mount.h>

#include <algorithm>
#include <utility>

#include "plan/mount_ops.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

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
      op.flags |= kernel_interface_flag(mount);
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

}  // namespace

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

}  // namespace tare
