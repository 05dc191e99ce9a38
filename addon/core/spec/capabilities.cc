#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "spec/sections.h"
#include "tare/spec.h"

namespace tare {

namespace {

/// By number, as in linux/capability.h of Linux 6.18. The kernel's own header may be older than
/// this list.
constexpr std::array capability_table = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
static_assert(capability_table.size() == 41);

constexpr std::string_view capability_prefix = "CAP_";

struct RlimitName {
  std::string_view name;
  int resource;
};

/// getrlimit(2).
constexpr RlimitName rlimit_table[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return upper(a) == upper(b); });
}

}  // namespace

std::optional<int> capability_number(std::string_view name) {
  if (name.size() > capability_prefix.size() &&
      equal_ignoring_case(name.substr(0, capability_prefix.size()), capability_prefix)) {
    name.remove_prefix(capability_prefix.size());
  }
  for (std::size_t i = 0; i < capability_table.size(); ++i) {
    if (equal_ignoring_case(
            name, std::string_view(capability_table[i]).substr(capability_prefix.size()))) {
      return static_cast<int>(i);
    }
  }
  return std::nullopt;
}

const char* capability_name(int number) noexcept {
  const auto index = static_cast<std::size_t>(number);
  return index < capability_table.size() ? capability_table[index] : nullptr;
}

std::vector<std::string> capability_names() {
  return {capability_table.begin(), capability_table.end()};
}

std::optional<int> rlimit_number(std::string_view name) {
  for (const RlimitName& row : rlimit_table) {
    if (row.name == name) {
      return row.resource;
    }
  }
  return std::nullopt;
}

std::vector<std::string_view> rlimit_names() {
  std::vector<std::string_view> names;
  for (const RlimitName& row : rlimit_table) {
    names.push_back(row.name);
  }
  return names;
}

const char* rlimit_name(int resource) noexcept {
  for (const RlimitName& row : rlimit_table) {
    if (row.resource == resource) {
      return row.name.data();
    }
  }
  return nullptr;
}

}  // namespace tare
