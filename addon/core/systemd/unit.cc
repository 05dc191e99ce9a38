// Names of units, and their cgroups.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "systemd/systemd.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr std::string_view slice_suffix = ".slice";
constexpr std::string_view scope_suffix = ".scope";
/// UNIT_NAME_MAX of systemd, its NUL included.
constexpr std::size_t max_name_size = 256;

[[noreturn]] void refuse(const std::string& message) {
  Error error(ErrorKind::invalid_config, "config.json: linux.cgroupsPath: " + message);
  throw error.with_path("linux.cgroupsPath");
}

/// Whether systemd accepts the character in a unit's name.
bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         std::string_view(":-_.\\").find(c) != std::string_view::npos;
}

void check_name(const std::string& name) {
  if (name.size() >= max_name_size) {
    refuse("the unit's name would have " + std::to_string(name.size()) +
           " characters; systemd's limit is 255: shorten it");
  }
  const auto bad = std::find_if_not(name.begin(), name.end(), is_name_character);
  if (bad != name.end()) {
    refuse("invalid unit name \"" + name + "\": it contains \"" + std::string(1, *bad) +
           "\"; use letters, digits, \":\", \"-\", \"_\" and \".\"");
  }
}

/// Escapes an id as systemd-escape(1) does, because it may contain characters that a unit's name
/// may not.
std::string escape(const std::string& id) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string escaped;
  for (const char c : id) {
    if (is_name_character(c)) {
      escaped.push_back(c);
    } else {
      const auto code = static_cast<unsigned char>(c);
      escaped.append("\\x").append(1, digits[code >> 4]).append(1, digits[code & 15]);
    }
  }
  return escaped;
}

/// systemd prefixes "_" to a name that conflicts with a file of the parent cgroup. Which names with
/// a controller's prefix it escapes depends on its version.
std::string cgroup_name(const std::string& unit) {
  const bool doubtful =
      unit.starts_with('_') || unit.starts_with('.') || unit.starts_with("cgroup.");
  return doubtful ? "_" + unit : unit;
}

}  // namespace

std::string systemd_slice_path(const std::string& slice) {
  const auto invalid = [&slice] { refuse("invalid slice name: " + slice); };
  if (!slice.ends_with(slice_suffix) || slice.find('/') != std::string::npos) {
    invalid();
  }
  const std::string_view name =
      std::string_view(slice).substr(0, slice.size() - slice_suffix.size());
  if (name == "-") {
    return {};
  }
  std::string path;
  // "a-b.slice" is inside "a.slice".
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('-', at), name.size());
    if (end == at) {
      invalid();
    }
    path.append("/").append(cgroup_name(std::string(name.substr(0, end)).append(slice_suffix)));
    at = end + 1;
  }
  return path;
}

std::string systemd_unit_path(const SystemdUnit& unit) {
  return systemd_slice_path(unit.slice) + "/" + cgroup_name(unit.name);
}

std::string systemd_unit_path(const SystemdUnit& unit, const std::string& process_cgroup) {
  for (const std::string& name : {"/" + unit.name, "/_" + unit.name}) {
    const std::size_t at = (process_cgroup + "/").find(name + "/");
    if (at != std::string::npos) {
      return process_cgroup.substr(0, at + name.size());
    }
  }
  return {};
}

const char* systemd_default_slice(SystemdManager manager) noexcept {
  return manager == SystemdManager::user ? "user.slice" : "system.slice";
}

SystemdUnit systemd_unit_for(const Spec& spec, const std::string& id) {
  const std::string& cgroups_path = spec.linux_.cgroups_path;
  SystemdUnit unit;
  std::string name = "tare-" + escape(id);
  if (!cgroups_path.empty()) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= cgroups_path.size();) {
      const std::size_t end = std::min(cgroups_path.find(':', at), cgroups_path.size());
      parts.push_back(cgroups_path.substr(at, end - at));
      at = end + 1;
    }
    if (parts.size() != 2 && parts.size() != 3) {
      refuse(
          "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got "
          "\"" +
          cgroups_path + "\" instead; write it like system.slice:tare:" + id +
          " or, without a prefix, system.slice:" + id + ", or leave --systemd-cgroup out");
    }
    unit.slice = parts.front();
    if (parts.back().ends_with(slice_suffix)) {
      refuse("\"" + parts.back() +
             "\" is a slice, which cannot hold processes; give the name of a scope");
    }
    // crun accepts two parts in addition to runc's three.
    name = parts.size() == 3 ? parts[1] + "-" + parts[2] : parts[1];
    if (name.empty()) {
      refuse("\"" + cgroups_path +
             "\" has no name after the slice; write it like system.slice:" + id);
    }
  }
  if (unit.slice == "-") {
    unit.slice = "-.slice";
  }
  if (!unit.slice.empty()) {
    systemd_slice_path(unit.slice);
    check_name(unit.slice);
  }
  unit.name = name + std::string(scope_suffix);
  check_name(unit.name);
  return unit;
}

}  // namespace tare
