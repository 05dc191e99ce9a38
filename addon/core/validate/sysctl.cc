#include <algorithm>

#include "validate/sections.h"

namespace tare {

namespace {

constexpr std::string_view ipc_sysctls[] = {
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
    "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
};

/// Returns the key with dots as separators. As in sysctl(8), the first separator, "." or "/", is
/// the separator of the whole key, and the other character is part of a name.
std::string dotted(std::string key) {
  const std::size_t first = key.find_first_of("./");
  if (first != std::string::npos && key[first] == '/') {
    for (char& c : key) {
      c = c == '.' ? '/' : c == '/' ? '.' : c;
    }
  }
  return key;
}

/// Whether `key` names a file below /proc/sys and no other file: the parts become directory names.
bool is_well_formed(std::string_view key) {
  for (std::size_t at = 0; at <= key.size();) {
    const std::size_t end = std::min(key.find('.', at), key.size());
    const std::string_view part = key.substr(at, end - at);
    // A "/" in a part represents the "." of an interface's name.
    if (part.empty() || part.front() == '/' || part.find("//") != std::string_view::npos) {
      return false;
    }
    at = end + 1;
  }
  return key.find('.') != std::string_view::npos;
}

/// Returns why `key` may not be set in this container; empty if it may. /proc/sys is namespaced
/// only in part, and the rest belongs to the host.
std::string reason_against(const std::string& key, const std::string& value, const Spec& spec) {
  if (key.starts_with("fs.mqueue.") ||
      std::find(std::begin(ipc_sysctls), std::end(ipc_sysctls), key) != std::end(ipc_sysctls)) {
    return spec.has_namespace(NamespaceType::ipc)
               ? ""
               : "is not allowed in the hosts ipc namespace; add {\"type\": \"ipc\"} to "
                 "linux.namespaces";
  }
  if (key.starts_with("net.")) {
    return spec.has_namespace(NamespaceType::network)
               ? ""
               : "not allowed in host network namespace; add {\"type\": \"network\"} to "
                 "linux.namespaces";
  }
  if (key.starts_with("user.")) {
    return spec.has_namespace(NamespaceType::user)
               ? ""
               : "is not allowed without a user namespace; add {\"type\": \"user\"} to "
                 "linux.namespaces";
  }
  if (key == "kernel.hostname") {
    return "is not allowed as it conflicts with the OCI \"hostname\" field; use that";
  }
  if (key == "kernel.domainname" && spec.has_namespace(NamespaceType::uts)) {
    return spec.domainname.empty() || value == spec.domainname
               ? ""
               : "conflicts with the OCI \"domainname\" field, " + quoted(spec.domainname) +
                     "; remove one of the two";
  }
  return "is not in a separate kernel namespace; it would be set for the whole host";
}

}  // namespace

void check_sysctl(const Spec& spec, Problems& problems) {
  for (const auto& [name, value] : spec.linux_.sysctl) {
    const std::string key = dotted(name);
    const std::string reason = is_well_formed(key)
                                   ? reason_against(key, value, spec)
                                   : "has an invalid name; write it like \"net.core.somaxconn\"";
    if (!reason.empty()) {
      problems.add(member("linux.sysctl", name), "sysctl " + quoted(key) + " " + reason);
    }
  }
}

}  // namespace tare
