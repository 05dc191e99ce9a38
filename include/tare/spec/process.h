/// \file
/// `process` of config.json, and of `exec --process`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tare {

struct Box {
  std::uint32_t height = 0;  ///< rows
  std::uint32_t width = 0;   ///< columns
};

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
};

/// Capability sets as bit masks: bit N is capability N of capabilities(7). The sets that the parser
/// returns can be granted to a process that has all capabilities: effective and ambient are subsets
/// of permitted, ambient and inheritable are within the kernel's constraints.
struct Capabilities {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t inheritable = 0;
  std::uint64_t permitted = 0;
  std::uint64_t ambient = 0;
};

struct Rlimit {
  int resource = 0;  ///< RLIMIT_* of getrlimit(2)
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

/// sched_setattr(2) for the process. `runtime`, `deadline` and `period` are SCHED_DEADLINE's, in
/// nanoseconds.
struct Scheduler {
  /// SCHED_ISO: reserved in sched(7), and not implemented by any kernel.
  static constexpr int sched_iso = 4;

  int policy = 0;  ///< SCHED_* of sched(7)
  std::int32_t nice = 0;
  std::int32_t priority = 0;  ///< of SCHED_FIFO and SCHED_RR
  std::uint64_t flags = 0;    ///< SCHED_FLAG_*
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

struct IoPriority {
  int io_class = 0;           ///< IOPRIO_CLASS_* of ioprio_set(2)
  std::int32_t priority = 0;  ///< 0 (highest) to 7
};

/// The CPU affinity of a process that is executed in a running container; lists as in
/// `number_mask`.
struct CpuAffinity {
  std::string initial;  ///< while it is being started
  std::string final_;   ///< once it is in the container's cgroup
};

struct Process {
  bool terminal = false;
  std::optional<Box> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::optional<int> oom_score_adj;
  std::string selinux_label;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  CpuAffinity exec_cpu_affinity;
  /// Parts that `parse_process` dropped and the caller must log, each as "PATH: sentence" (the
  /// spec's "Warnings").
  std::vector<std::string> warnings;
};

/// The origin of the fields of a process object, for messages.
struct ProcessSource {
  std::string document = "config.json";
  std::string prefix = "process.";  ///< of the fields in the document
  /// Fields from another origin, "user" for all below it, with their name: "--user".
  std::vector<std::pair<std::string, std::string>> elsewhere{};

  /// Returns the name of a field such as "user.uid" in messages: "config.json: process.user.uid",
  /// "process.json: user.uid", "--user".
  std::string path(std::string_view field) const;
};

/// Returns the number of a capability, by its name with or without "CAP_" in any case; none if
/// unknown.
std::optional<int> capability_number(std::string_view name);
/// Returns "CAP_SYS_ADMIN"; null for a number without a name.
const char* capability_name(int number) noexcept;
/// Returns every capability name that the parser knows, by number.
std::vector<std::string> capability_names();
/// Returns the RLIMIT_* constant of a "RLIMIT_…" name; none if unknown.
std::optional<int> rlimit_number(std::string_view name);
/// "RLIMIT_NOFILE"; null for a number without a name.
const char* rlimit_name(int resource) noexcept;

/// "SCHED_FIFO"; null for a number without a name.
const char* scheduling_policy_name(int policy) noexcept;

}  // namespace tare
