#include <sys/resource.h>
#include <unistd.h>

#include <limits>

#include "validate/sections.h"

namespace tare {

namespace {

/// The kernel's id for "no id", setresuid(2).
constexpr std::uint32_t no_id = std::numeric_limits<std::uint32_t>::max();

void check_id(std::uint32_t id, const std::vector<IdMapping>& mappings, const std::string& path,
              const char* mappings_name, bool mapped, Problems& problems) {
  if (id == no_id) {
    problems.add(path, "4294967295 is not an id; the kernel takes it for \"no change\"");
  } else if (mapped && !mappings.empty() && !is_mapped(mappings, id)) {
    problems.add(path, std::to_string(id) + " is not mapped in the user namespace; map it in " +
                           "linux." + mappings_name);
  }
}

void check_user(const User& user, const Spec& spec, const std::string& prefix, Problems& problems) {
  // NGROUPS_MAX of linux/limits.h.
  constexpr std::size_t max_groups = 65536;
  const Linux& config = spec.linux_;
  // The mappings of a joined namespace are not in the config; missing mappings of a new one are
  // reported separately.
  const bool mapped = spec.makes_namespace(NamespaceType::user);
  check_id(user.uid, config.uid_mappings, prefix + "user.uid", "uidMappings", mapped, problems);
  check_id(user.gid, config.gid_mappings, prefix + "user.gid", "gidMappings", mapped, problems);
  for (std::size_t i = 0; i < user.additional_gids.size(); ++i) {
    check_id(user.additional_gids[i], config.gid_mappings,
             element(prefix + "user.additionalGids", i), "gidMappings", mapped, problems);
  }
  if (user.additional_gids.size() > max_groups) {
    problems.add(prefix + "user.additionalGids", std::to_string(user.additional_gids.size()) +
                                                     " groups; the kernel's limit is " +
                                                     std::to_string(max_groups));
  }
  if (user.umask && *user.umask > 0777) {
    problems.add(prefix + "user.umask",
                 "invalid umask " + std::to_string(*user.umask) +
                     "; give permission bits in decimal, from 0 to 511 (0777)");
  }
}

void check_env(const std::vector<std::string>& env, const std::string& prefix, Problems& problems) {
  for (std::size_t i = 0; i < env.size(); ++i) {
    const std::size_t equals = env[i].find('=');
    if (equals == std::string::npos) {
      problems.add(element(prefix + "env", i), "invalid environment variable " + quoted(env[i]) +
                                                   ": missing '='; write NAME=value");
    } else if (equals == 0) {
      problems.add(element(prefix + "env", i), "invalid environment variable " + quoted(env[i]) +
                                                   ": name cannot be empty; write NAME=value");
    }
  }
}

/// execve(2), "Limits on size of arguments and environment".
void check_size(const Process& process, const std::string& prefix, Problems& problems) {
  const auto max_size = static_cast<std::size_t>(getpagesize()) * 32 - 1;
  constexpr std::size_t max_bytes = std::size_t{6} << 20;
  std::size_t total = 0;
  const std::pair<const char*, const std::vector<std::string>*> lists[] = {{"args", &process.args},
                                                                           {"env", &process.env}};
  for (const auto& [name, strings] : lists) {
    for (std::size_t i = 0; i < strings->size(); ++i) {
      const std::size_t size = (*strings)[i].size();
      total += size + 1 + sizeof(char*);
      if (size > max_size) {
        problems.add(element(prefix + name, i),
                     std::to_string(size) + " bytes long; the kernel's limit for one string is " +
                         std::to_string(max_size));
      }
    }
  }
  if (total > max_bytes) {
    problems.add(prefix + "args", "args and env take " + std::to_string(total) +
                                      " bytes together; the kernel's limit is " +
                                      std::to_string(max_bytes));
  }
}

std::string limit_text(std::uint64_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

void check_rlimits(const std::vector<Rlimit>& rlimits, const std::string& prefix,
                   Problems& problems) {
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < rlimits.size(); ++i) {
    const Rlimit& rlimit = rlimits[i];
    const std::uint64_t bit = std::uint64_t{1} << rlimit.resource;
    if ((seen & bit) != 0) {
      problems.add(element(prefix + "rlimits", i, ".type"),
                   std::string(rlimit_name(rlimit.resource)) + " appears twice; keep one");
    }
    seen |= bit;
    if (rlimit.soft > rlimit.hard) {
      problems.add(element(prefix + "rlimits", i, ".soft"),
                   limit_text(rlimit.soft) + " is above the hard limit of " +
                       limit_text(rlimit.hard) + "; lower soft or raise hard");
    }
  }
}

/// Labels and profile names are written to one-line files of procfs.
void check_label(const std::string& label, const std::string& path, Problems& problems) {
  for (const char c : label) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
      problems.add(path, quoted(label) + " contains a space or control character; remove it");
      return;
    }
  }
}

}  // namespace

void check_process(const Process& process, const Spec& spec, const std::string& prefix,
                   Problems& problems) {
  // A terminal's size is two unsigned shorts, ioctl_tty(2).
  constexpr std::uint32_t max_cells = 65535;
  if (process.terminal && process.console_size) {
    const Box& size = *process.console_size;
    if (size.height > max_cells || size.width > max_cells) {
      problems.add(prefix + "consoleSize", std::to_string(size.height) + " rows and " +
                                               std::to_string(size.width) +
                                               " columns; the limit of each is 65535");
    }
  }
  check_user(process.user, spec, prefix, problems);
  if (process.args.empty()) {
    problems.add(prefix + "args", "args must not be empty; name the program to run");
  }
  check_env(process.env, prefix, problems);
  check_size(process, prefix, problems);
  check_absolute(process.cwd, prefix + "cwd", problems);
  check_rlimits(process.rlimits, prefix, problems);
  check_label(process.apparmor_profile, prefix + "apparmorProfile", problems);
  if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
    problems.add(prefix + "oomScoreAdj",
                 std::to_string(*process.oom_score_adj) + " is not in the range -1000 to 1000");
  }
  check_label(process.selinux_label, prefix + "selinuxLabel", problems);
  check_scheduling(process, prefix, problems);
}

}  // namespace tare
