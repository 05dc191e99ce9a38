// Masked and read-only paths.
#include <algorithm>
#include <array>

#include "plan/builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

std::uint16_t kernel_interface_flag(const Mount& mount) {
  const std::string path = absolute_path(mount.destination);
  if (path == "/proc") {
    return wire::op_in_proc;
  }
  return mount.type == "sysfs" && path == "/sys" ? wire::op_in_sys : 0;
}

namespace {

/// Returns the flag of the last mount on `mount_point`, which covers all others; 0 where that is
/// not a procfs or sysfs of the kernel.
std::uint16_t uppermost(const Spec& spec, std::string_view mount_point) {
  const auto covers = [mount_point](const Mount& mount) {
    return absolute_path(mount.destination) == mount_point && !read_mount_options(mount).remount;
  };
  const auto last = std::find_if(spec.mounts.rbegin(), spec.mounts.rend(), covers);
  return last == spec.mounts.rend() ? std::uint16_t{0} : kernel_interface_flag(*last);
}

class MaskedPaths {
 public:
  explicit MaskedPaths(PlanBuilder& builder)
      : builder_(builder),
        mount_points_{{{"/proc/", uppermost(builder.spec(), "/proc")},
                       {"/sys/", uppermost(builder.spec(), "/sys")}}} {}

  void add(OpCode code, const std::vector<std::string>& paths, const std::string& name) {
    std::vector<std::string> seen;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      // Normalizes the path as text: a ".." after a symlink of the image would lead elsewhere.
      std::string path = absolute_path(paths[i]);
      // A duplicate would make a second mount.
      if (std::ranges::find(seen, path) == seen.end()) {
        add(code, path, name + "[" + std::to_string(i) + "]");
        seen.push_back(std::move(path));
      }
    }
  }

 private:
  struct MountPoint {
    std::string_view prefix;
    std::uint16_t flag;
  };

  /// "/proc/kcore" is "/kcore" of the file system that is mounted on /proc.
  void add(OpCode code, const std::string& path, const std::string& origin) {
    const std::uint32_t text = builder_.text(path);
    wire::Op& op = builder_.add(code, origin);
    op.str[1] = text;
    for (const auto& [prefix, flag] : mount_points_) {
      if (path.starts_with(prefix)) {
        op.flags = flag;
        op.str[0] = text + static_cast<std::uint32_t>(prefix.size()) - 1;
      }
    }
  }

  PlanBuilder& builder_;
  std::array<MountPoint, 2> mount_points_;
};

}  // namespace

void add_masked_paths(PlanBuilder& builder) {
  const Linux& config = builder.spec().linux_;
  MaskedPaths paths(builder);
  paths.add(OpCode::read_only, config.readonly_paths, "linux.readonlyPaths");
  paths.add(OpCode::mask, config.masked_paths, "linux.maskedPaths");
}

}  // namespace tare
