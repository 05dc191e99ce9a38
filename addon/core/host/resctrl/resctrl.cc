#include "host/resctrl/resctrl.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "host/mountinfo.h"
#include "host/resctrl/text.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {
namespace {

constexpr std::string_view config_path = "config.json: linux.intelRdt";

/// Returns the kernel's text for its last refusal (info/last_cmd_status), in parentheses.
std::string last_status(const std::string& root) {
  const std::string text =
      read_file_if_exists(AT_FDCWD, root + "/info/last_cmd_status").value_or("");
  const std::string_view words = trimmed(text);
  return words.empty() || words == "ok" ? "" : " (" + std::string(words) + ")";
}

[[noreturn]] void fail(const std::string& root, std::string_view where, const char* call,
                       const std::string& path, int errnum) {
  std::string hint;
  if (errnum == ENOSPC) {
    hint =
        "; the limit of groups of this processor is reached: remove some, or name an existing one "
        "as closID";
  }
  throw Error(ErrorKind::system, std::string(where) + ": " + path + ": " + call + ": " +
                                     errno_text(errnum) + last_status(root) + hint)
      .with_errno(errnum, call)
      .with_path(path);
}

void write_file(const std::string& root, std::string_view where, const std::string& path,
                const std::string& text) {
  if (const int error = write_kernel_file(AT_FDCWD, path.c_str(), text); error != 0) {
    fail(root, where, "write", path, error);
  }
}

bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/// Returns false where the directory existed. The note is made first, in case this process is
/// killed after mkdir(2). It is taken back where another process has made the directory, which
/// would else be removed.
bool make_directory(const std::string& root, std::string_view where, const std::string& path,
                    const RdtNotes& notes) {
  if (is_there(path)) {
    return false;
  }
  notes.note(path);
  if (mkdir(path.c_str(), 0755) == 0) {
    return true;
  }
  const int error = errno;
  notes.forget();
  if (error != EEXIST) {
    fail(root, where, "mkdir", path, error);
  }
  return false;
}

/// Returns the lines to write, in the spec's order, each with its path in config.json.
std::vector<std::pair<std::string, std::string>> wanted_schemata(const IntelRdt& config) {
  std::vector<std::pair<std::string, std::string>> wanted;
  const auto add = [&wanted](const std::string& line, const std::string& field) {
    if (!line.empty()) {
      wanted.emplace_back(line, std::string(config_path) + "." + field);
    }
  };
  add(config.l3_cache_schema, "l3CacheSchema");
  add(config.mem_bw_schema, "memBwSchema");
  for (std::size_t i = 0; i < config.schemata.size(); ++i) {
    add(config.schemata[i], "schemata[" + std::to_string(i) + "]");
  }
  return wanted;
}

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(ErrorKind::invalid_config, where + ": " + message)
      .with_path(where.substr(where.find(' ') + 1));
}

void compare_schemata(const std::string& path, const IntelRdt& config) {
  const auto wanted = wanted_schemata(config);
  const std::string text = wanted.empty() ? std::string() : read_file(AT_FDCWD, path + "/schemata");
  for (const auto& [line, where] : wanted) {
    if (!has_schema(text, line)) {
      refuse(where, line + " differs from the schemata of group " + path + " (" +
                        joined_lines(text) + "); change one of them, or use another closID");
    }
  }
}

}  // namespace

std::string find_resctrl() {
  const std::string text = read_file(AT_FDCWD, "/proc/self/mountinfo");
  std::string found;
  for_each_mount(text, [&found](const MountLine& mount) {
    found = mount.type == "resctrl" ? mount.point : "";
    return found.empty();
  });
  return found;
}

RdtGroup RdtGroup::open(const std::string& root, const IntelRdt& config, const std::string& id) {
  RdtGroup group;
  group.root_ = root;
  const std::string name = config.clos_id.empty() ? id : config.clos_id;
  group.path_ = name == "/" ? root : root + "/" + name;
  if (config.enable_monitoring) {
    group.monitor_ = group.path_ + "/mon_groups/" + id;
  }
  return group;
}

RdtGroup RdtGroup::create(const std::string& root, const IntelRdt& config, const std::string& id,
                          const RdtNotes& notes) {
  RdtGroup group = open(root, config, id);
  const bool has_schemata = !wanted_schemata(config).empty();
  const std::string where = std::string(config_path) + ".closID";
  const bool named = !config.clos_id.empty();
  bool exists = false;
  if (named && !has_schemata) {
    exists = is_there(group.path_ + "/tasks");
    if (!exists) {
      refuse(where,
             group.path_ +
                 " does not exist; without l3CacheSchema, memBwSchema or schemata it must be "
                 "made before");
    }
  } else {
    const RdtNotes none = {[](const std::string&) {}, [] {}};
    exists = !make_directory(root, where, group.path_, named ? none : notes);
  }
  try {
    if (exists && named) {
      compare_schemata(group.path_, config);
    } else {
      for (const auto& [line, field] : wanted_schemata(config)) {
        group.write_schema(line, field);
      }
    }
    const std::string monitoring = std::string(config_path) + ".enableMonitoring";
    if (!group.monitor_.empty() && !make_directory(root, monitoring, group.monitor_, notes)) {
      refuse(monitoring, group.monitor_ +
                             " exists already; remove it where it is left over, or name the "
                             "container differently");
    }
  } catch (...) {
    if (!exists) {
      rmdir(group.path_.c_str());
    }
    throw;
  }
  return group;
}

void RdtGroup::add(pid_t pid) const {
  const std::string text = std::to_string(pid);
  write_file(root_, config_path, path_ + "/tasks", text);
  if (!monitor_.empty()) {
    write_file(root_, config_path, monitor_ + "/tasks", text);
  }
}

void RdtGroup::write_schema(std::string_view schema, std::string_view where) const {
  // The kernel takes a line as complete only with its newline.
  write_file(root_, where, path_ + "/schemata", std::string(schema) + "\n");
}

void remove_rdt_directory(const std::string& path) {
  if (rmdir(path.c_str()) < 0 && errno != ENOENT) {
    throw_errno("rmdir", path);
  }
}

}  // namespace tare
