#include "tare/seccomp.h"

#include <algorithm>
#include <optional>

#include "validate/sections.h"

namespace tare {

namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text.append(text.empty() ? "" : ", ").append(name);
  }
  return text;
}

void check_name(const std::string& name, const std::vector<std::string>& known, const char* what,
                const std::string& path, Problems& problems) {
  if (!contains(known, name)) {
    problems.add(path, std::string("unknown ") + what + " " + quoted(name) + "; use one of " +
                           joined(known));
  }
}

void check_action(const std::string& action, std::optional<std::uint32_t> errno_ret,
                  const std::string& path, const std::string& errno_path, Problems& problems) {
  static const auto& known = *new std::vector<std::string>(seccomp_actions());
  check_name(action, known, "action", path, problems);
  if (!errno_ret) {
    return;
  }
  // seccomp(2): the low 16 bits of a filter's result; the kernel limits an errno to MAX_ERRNO.
  const std::uint32_t max = action == "SCMP_ACT_ERRNO" ? 4095 : 65535;
  if (action != "SCMP_ACT_ERRNO" && action != "SCMP_ACT_TRACE") {
    problems.add(errno_path, action + " does not return an errno; remove it");
  } else if (*errno_ret > max) {
    problems.add(errno_path,
                 std::to_string(*errno_ret) + " is not in the range 0 to " + std::to_string(max));
  }
}

void check_args(const std::vector<SeccompArg>& args, const std::string& list, Problems& problems) {
  // struct seccomp_data contains a system call's six argument registers.
  constexpr std::uint32_t last_index = 5;
  static const auto& known = *new std::vector<std::string>(seccomp_operators());
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i].index > last_index) {
      problems.add(element(list, i, ".index"),
                   std::to_string(args[i].index) + " is not in the range 0 to 5");
    }
    if (!contains(known, args[i].op)) {
      check_name(args[i].op, known, "operator", element(list, i, ".op"), problems);
    }
  }
}

/// Checks which system calls use the agent, and the path of its socket.
void check_agent(const Seccomp& seccomp, Problems& problems) {
  if (seccomp.default_action == seccomp_notify_action) {
    problems.add("linux.seccomp.defaultAction",
                 "SCMP_ACT_NOTIFY cannot be used as default action; name the system calls in "
                 "linux.seccomp.syscalls");
  }
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    const SeccompSyscall& rule = seccomp.syscalls[i];
    const auto found = std::find(rule.names.begin(), rule.names.end(), "write");
    if (rule.action == seccomp_notify_action && found != rule.names.end()) {
      // init reports to `start` by write(2) after the filter is loaded.
      problems.add(element(element("linux.seccomp.syscalls", i, ".names"),
                           static_cast<std::size_t>(found - rule.names.begin())),
                   "SCMP_ACT_NOTIFY cannot be used for the write syscall; remove it");
    }
  }
  if (!seccomp_needs_agent(seccomp)) {
    return;  // listenerPath is ignored
  }
  const std::string& path = seccomp.listener_path;
  if (path.empty()) {
    problems.add("linux.seccomp.listenerPath",
                 "is not set, and SCMP_ACT_NOTIFY needs it; name the agent's socket");
  } else if (!is_absolute(path) && !path.starts_with('@')) {
    problems.add(
        "linux.seccomp.listenerPath",
        "must be an absolute path, or @ and the name of an abstract socket, not " + quoted(path));
  }
}

/// A filter has at most 4096 instructions (BPF_MAXINSNS), so that a longer list must be mostly
/// duplicates; and the compilation time is quadratic in the number of names.
void check_names_count(const Seccomp& seccomp, Problems& problems) {
  constexpr std::size_t max = 4096;
  std::size_t count = 0;
  for (const SeccompSyscall& rule : seccomp.syscalls) {
    count += rule.names.size();
  }
  if (count > max) {
    problems.add("linux.seccomp.syscalls",
                 std::to_string(count) + " names of system calls in all rules; the limit is " +
                     std::to_string(max));
  }
}

void check_rule(const SeccompSyscall& rule, std::size_t index, bool refuses_unknown,
                Problems& problems) {
  const std::string path = element("linux.seccomp.syscalls", index);
  if (rule.names.empty()) {
    problems.add(path + ".names", "must not be empty; name a system call");
  }
  for (std::size_t i = 0; i < rule.names.size(); ++i) {
    if (rule.names[i].empty()) {
      problems.add(element(path + ".names", i), "must not be empty; name a system call");
    } else if (refuses_unknown && !is_syscall(rule.names[i])) {
      problems.add(element(path + ".names", i),
                   "unknown system call " + quoted(rule.names[i]) +
                       ", and the annotation run.oci.seccomp_fail_unknown_syscall is set; remove "
                       "one of the two");
    }
  }
  check_action(rule.action, rule.errno_ret, path + ".action", path + ".errnoRet", problems);
  check_args(rule.args, path + ".args", problems);
}

}  // namespace

void check_seccomp(const Seccomp& seccomp, Problems& problems) {
  check_action(seccomp.default_action, seccomp.default_errno_ret, "linux.seccomp.defaultAction",
               "linux.seccomp.defaultErrnoRet", problems);
  static const auto& architectures = *new std::vector<std::string>(seccomp_architectures());
  for (std::size_t i = 0; i < seccomp.architectures.size(); ++i) {
    check_name(seccomp.architectures[i], architectures, "architecture",
               element("linux.seccomp.architectures", i), problems);
  }
  static const auto& flags = *new std::vector<std::string>(seccomp_known_flags());
  for (std::size_t i = 0; seccomp.flags && i < seccomp.flags->size(); ++i) {
    const std::string& flag = (*seccomp.flags)[i];
    const std::string path = element("linux.seccomp.flags", i);
    check_name(flag, flags, "flag", path, problems);
  }
  if (seccomp.listener_path.empty() && !seccomp.listener_metadata.empty()) {
    problems.add("linux.seccomp.listenerMetadata",
                 "is set without listenerPath; set that too, or remove this");
  }
  check_names_count(seccomp, problems);
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    check_rule(seccomp.syscalls[i], i, seccomp.refuses_unknown, problems);
  }
  check_agent(seccomp, problems);
}

}  // namespace tare
