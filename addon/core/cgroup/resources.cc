// Writes the limits of a cgroup, or refuses them with a reason.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/controllers.h"
#include "cgroup/lists.h"
#include "tare/error.h"

namespace tare {

namespace {

/// The line of /proc/cgroups about a controller: name, hierarchy, cgroups, enabled.
struct ControllerLine {
  bool known = false;
  bool in_v1 = false;  ///< bound to a hierarchy of cgroup v1
  bool enabled = false;
};

ControllerLine find_controller(std::string_view controller) {
  // /proc/cgroups keeps v1's name of "io".
  const std::string name = "\n" + std::string(controller == "io" ? "blkio" : controller) + "\t";
  const std::string file = read_file_if_exists(AT_FDCWD, "/proc/cgroups").value_or("");
  const std::size_t at = file.find(name);
  if (at == std::string::npos) {
    return {};
  }
  const std::size_t hierarchy = at + name.size();
  const std::size_t end = std::min(file.find('\n', hierarchy), file.size());
  return {.known = true, .in_v1 = file[hierarchy] != '0', .enabled = file[end - 1] != '0'};
}

/// Returns the reason why the v2 tree lacks the controller, and the remedy.
std::string explain_missing(const std::string& controller) {
  const ControllerLine line = find_controller(controller);
  if (line.in_v1) {
    return "(this host binds it to cgroup v1); boot with cgroup_no_v1=all or "
           "systemd.unified_cgroup_hierarchy=1, or remove the limit";
  }
  if (line.known && !line.enabled) {
    return "(it is disabled); boot with cgroup_enable=" + controller + ", or remove the limit";
  }
  if (line.known) {
    return "(a cgroup above it does not hand it on); have it delegated (systemd: Delegate=yes), or "
           "remove the limit";
  }
  return "(this kernel does not have it); boot one that has, or remove the limit";
}

std::optional<std::uint64_t> number_in(int directory, const char* file) {
  const std::string text = read_file_if_exists(directory, file).value_or("");
  std::uint64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc() ? std::optional(number) : std::nullopt;
}

bool has_controller(int directory, const std::string& controller) {
  return has_word(read_file(directory, "cgroup.controllers"), controller);
}

/// Enables a controller for the cgroup `directory`, `depth` levels below the root: create() does
/// not enable all of them. Returns whether the cgroup has it now.
bool enable_controller(int directory, std::ptrdiff_t depth, const std::string& controller) {
  std::vector<Fd> above;
  for (int below = directory; depth > 0; --depth) {
    above.push_back(open_file(below, "..", O_PATH | O_DIRECTORY));
    below = above.back().get();
  }
  for (; !above.empty(); above.pop_back()) {
    enable_controllers(above.back().get(), controller);
  }
  return has_controller(directory, controller);
}

/// Writes the setting and returns 0 or an errno. Afterwards `setting` has the file and value that
/// were written.
int write_setting(int directory, CgroupSetting& setting) noexcept {
  const int errnum = write_kernel_file(directory, setting.file.c_str(), setting.value);
  // BFQ accepts weights only for devices that it schedules.
  if ((errnum != ENOENT && errnum != EOPNOTSUPP) || setting.fallback_file.empty()) {
    return errnum;
  }
  const int fallback_errnum =
      write_kernel_file(directory, setting.fallback_file.c_str(), setting.fallback_value);
  if (fallback_errnum != ENOENT) {
    setting.file.swap(setting.fallback_file);
    setting.value.swap(setting.fallback_value);
  }
  return fallback_errnum;
}

std::string advice_for(const CgroupSetting& setting, int errnum) {
  if (errnum == EOPNOTSUPP && setting.file.find("weight") != std::string::npos) {
    return "; no I/O scheduler applies weights to this device: set BFQ as its scheduler, or enable "
           "blk-iocost for it by io.cost.qos of the root cgroup";
  }
  if (errnum == ENODEV && setting.controller == "io") {
    return "; the block device does not exist, or is a partition; name a whole device";
  }
  return "";
}

/// Returns the setting's value with the present quota: "max 50000" becomes "20000 50000" if that is
/// 20000.
std::string with_present_quota(int directory, const CgroupSetting& setting) {
  const std::string present = read_file_if_exists(directory, setting.file).value_or("max");
  return present.substr(0, present.find_first_of(" \n")) +
         setting.value.substr(setting.value.find(' '));
}

}  // namespace

void Cgroup::refuse_missing(const CgroupSetting& setting, std::string_view prefix) const {
  const std::string field = std::string(prefix).append(setting.field);
  std::string message = field + " needs ";
  if (setting.controller.empty()) {
    message += shown_path(setting.file) + ", which does not exist; remove it";
  } else if (dir_ && has_controller(dir_.get(), setting.controller)) {
    message += shown_path(setting.file) + ", which this kernel's " + setting.controller +
               " controller does not have; remove it";
  } else {
    message += "the " + setting.controller + " controller, which cgroup v2 ";
    message += mount_point_.empty() ? std::string("(not mounted here)") : "at " + shown_path();
    message += " does not offer " + explain_missing(setting.controller);
  }
  Error error(ErrorKind::unsupported, message);
  error.with_path(json_path(prefix, setting.field));
  throw error;
}

// memory.checkBeforeUpdate: v1 refused a limit below the memory in use, v2 kills processes.
void Cgroup::check_memory_in_use(const MemoryResources& memory, std::string_view prefix) const {
  if (!memory.check_before_update.value_or(false)) {
    return;
  }
  const std::uint64_t used = number_in(dir_.get(), "memory.current").value_or(0);
  const std::uint64_t swapped = number_in(dir_.get(), "memory.swap.current").value_or(0);
  const auto check = [&](std::int64_t limit, std::uint64_t usage, std::string_view field,
                         const char* what) {
    if (limit > 0 && static_cast<std::uint64_t>(limit) <= usage) {
      Error error(ErrorKind::invalid_config,
                  std::string(prefix).append(field) + ": rejecting " + what + " limit " +
                      std::to_string(limit) + " <= usage " + std::to_string(usage) +
                      ": the kernel would kill processes, which memory.checkBeforeUpdate forbids; "
                      "raise the limit");
      error.with_path(json_path(prefix, field));
      throw error;
    }
  };
  check(memory.swap.value_or(0), used + swapped, "memory.swap", "memory+swap");
  check(memory.limit.value_or(0), used, "memory.limit", "memory");
}

void Cgroup::prepare(std::vector<CgroupSetting>& settings, const MemoryResources& memory,
                     std::string_view prefix) const {
  if (!dir_) {
    return;
  }
  check_memory_in_use(memory, prefix);
  for (CgroupSetting& setting : settings) {
    if (setting.keep_quota) {
      setting.value = with_present_quota(dir_.get(), setting);
    }
  }
}

std::vector<CgroupSetting> Cgroup::present(const std::vector<CgroupSetting>& settings) const {
  std::vector<CgroupSetting> found;
  for (const CgroupSetting& setting : settings) {
    for (const std::string& file : {setting.file, setting.fallback_file}) {
      const auto text =
          dir_ && !file.empty() ? read_file_if_exists(dir_.get(), file) : std::nullopt;
      if (text.has_value()) {
        found.push_back({.controller = setting.controller,
                         .file = file,
                         .value = text->substr(0, text->find('\n')),
                         .field = setting.field});
      }
    }
  }
  return found;
}

void Cgroup::write(CgroupSetting& setting, std::string_view prefix) const {
  int errnum = ENOENT;
  if (dir_) {
    if (setting.keep_quota) {
      setting.value = with_present_quota(dir_.get(), setting);
    }
    errnum = write_setting(dir_.get(), setting);
    if (errnum == ENOENT && setting.required && !setting.controller.empty() &&
        !has_controller(dir_.get(), setting.controller) &&
        enable_controller(dir_.get(), std::count(path_.begin(), path_.end(), '/'),
                          setting.controller)) {
      errnum = write_setting(dir_.get(), setting);
    }
  }
  if (errnum == 0 || (errnum == ENOENT && !setting.required) ||
      (errnum == EINVAL && setting.tentative)) {
    return;
  }
  if (errnum == ENOENT) {
    refuse_missing(setting, prefix);
  }
  const std::string file = shown_path(setting.file);
  Error error(ErrorKind::system, std::string(prefix).append(setting.field) + ": write \"" +
                                     setting.value + "\" to " + file + ": " + errno_text(errnum) +
                                     advice_for(setting, errnum));
  error.with_errno(errnum, "write").with_path(file);
  throw error;
}

void Cgroup::apply(const Resources& resources, std::string_view prefix) {
  if (dir_) {
    check_memory_in_use(resources.memory, prefix);
  }
  apply(cgroup_settings(resources), prefix);
}

void Cgroup::apply(std::vector<CgroupSetting> settings, std::string_view prefix) {
  for (CgroupSetting& setting : settings) {
    write(setting, prefix);
  }
}

void Cgroup::delegate(uid_t uid, gid_t gid) {
  if (!dir_) {
    return;
  }
  if (fchownat(dir_.get(), "", uid, gid, AT_EMPTY_PATH) != 0) {
    throw_errno("chown", shown_path());
  }
  // The kernel lists the files to delegate; some belong to controllers that are not enabled here.
  const std::string files = read_file_if_exists(AT_FDCWD, "/sys/kernel/cgroup/delegate")
                                .value_or("cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n");
  for_each_part(files, '\n', [&](std::string_view part) {
    const std::string name(part);
    if (fchownat(dir_.get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) {
      throw_errno("chown", shown_path(name));
    }
    return true;
  });
}

}  // namespace tare
