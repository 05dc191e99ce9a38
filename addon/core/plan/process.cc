// The process: names, sysctls, labels, credentials, and the program.
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <string_view>

#include "plan/builder.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

void add_value(PlanBuilder& builder, OpCode code, std::string_view path, std::string_view value,
               std::string_view origin) {
  const std::uint32_t path_text = builder.text(path);
  const std::uint32_t value_text = builder.text(value);
  wire::Op& op = builder.add(code, origin);
  op.str[0] = path_text;
  op.str[1] = value_text;
  op.n = static_cast<std::uint32_t>(value.size());
}

void add_name(PlanBuilder& builder, OpCode code, const std::string& name, std::string_view origin) {
  const std::uint32_t text = builder.text(name);
  wire::Op& op = builder.add(code, origin);
  op.str[0] = text;
  op.n = static_cast<std::uint32_t>(name.size());
}

// As in sysctl(8): dots separate, and a slash stands for a dot in a name; the reverse where a slash
// comes first.
std::string sysctl_path(const std::string& key) {
  std::string path = key;
  const std::size_t first = key.find_first_of("./");
  if (first != std::string::npos && key[first] == '/') {
    return path;
  }
  for (char& c : path) {
    if (c == '.') {
      c = '/';
    } else if (c == '/') {
      c = '.';
    }
  }
  return path;
}

}  // namespace

void add_names_and_sysctls(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  if (!spec.hostname.empty()) {
    add_name(builder, OpCode::hostname, spec.hostname, "hostname");
  }
  if (!spec.domainname.empty()) {
    add_name(builder, OpCode::domainname, spec.domainname, "domainname");
  }
  for (const auto& [key, value] : spec.linux_.sysctl) {
    add_value(builder, OpCode::sysctl, sysctl_path(key), value, "linux.sysctl." + key);
  }
}

bool proc_handle_needed(const Spec& spec, const Process& process) {
  return !spec.linux_.sysctl.empty() || !process.apparmor_profile.empty() ||
         !process.selinux_label.empty();
}

void add_labels(PlanBuilder& builder, const Process& process) {
  if (!process.apparmor_profile.empty()) {
    add_value(builder, OpCode::proc_write, "self/attr/apparmor/exec",
              "exec " + process.apparmor_profile, builder.process_origin("apparmorProfile"));
  }
  if (!process.selinux_label.empty()) {
    add_value(builder, OpCode::proc_write, "self/attr/exec", process.selinux_label,
              builder.process_origin("selinuxLabel"));
  }
}

bool has_listener(const PlanBuilder& builder) {
  return (builder.host().seccomp.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
}

// A filter without a listener is loaded directly before execve(2), so that it sees no other system
// call of init.
void add_seccomp(PlanBuilder& builder, bool with_listener) {
  const SeccompFilter& filter = builder.host().seccomp;
  if (filter.program.empty() || has_listener(builder) != with_listener) {
    return;
  }
  const int answers = with_listener ? builder.answers() : -1;
  if (with_listener) {
    builder.add(OpCode::listener_thread);
  }
  const std::uint32_t program = builder.blob(filter.program);
  wire::Op& op = builder.add(OpCode::seccomp, "linux.seccomp");
  op.str[0] = program;
  op.n = static_cast<std::uint32_t>(filter.program.size());
  op.a = filter.flags;
  op.fd = answers;
}

namespace {

void add_rlimits(PlanBuilder& builder, const Process& process) {
  for (std::size_t i = 0; i < process.rlimits.size(); ++i) {
    wire::Op& op =
        builder.add(OpCode::rlimit, builder.process_origin("rlimits[" + std::to_string(i) + "]"));
    op.a = static_cast<std::uint64_t>(process.rlimits[i].resource);
    op.b = process.rlimits[i].soft;
    op.c = process.rlimits[i].hard;
  }
}

void add_working_directory(PlanBuilder& builder, const Process& process, bool may_be_refused) {
  const std::uint32_t path = builder.text(process.cwd);
  wire::Op& op = builder.add(OpCode::working_directory, builder.process_origin("cwd"));
  op.str[0] = path;
  op.flags = may_be_refused ? wire::op_optional : 0;
}

void add_identity(PlanBuilder& builder, const Process& process) {
  const User& user = process.user;
  std::string gids(reinterpret_cast<const char*>(user.additional_gids.data()),
                   user.additional_gids.size() * sizeof(std::uint32_t));
  if (builder.host().rootless && !user.additional_gids.empty() && !builder.spec().keeps_groups) {
    const std::string path = builder.process_origin("user.additionalGids");
    throw Error(ErrorKind::unsupported, path +
                                            ": cannot set any additional groups in a rootless "
                                            "container; remove them")
        .with_path(path);
  }
  const std::uint32_t text = builder.blob(gids);
  wire::Op& op = builder.add(OpCode::identity, builder.process_origin("user"));
  op.a = user.uid;
  op.b = user.gid;
  op.str[0] = text;
  op.n = static_cast<std::uint32_t>(user.additional_gids.size());
  op.flags = keeps_groups(builder) ? wire::op_no_setgroups : 0;
}

}  // namespace

void add_cpu_affinity(PlanBuilder& builder, const Process& process) {
  const CpuAffinity& affinity = process.exec_cpu_affinity;
  // The host resets the affinity that a process inherits from it, but only of the process that it
  // knows.
  const bool reset =
      builder.forks_into_pidns() && affinity.initial.empty() && affinity.final_.empty();
  if (affinity.final_.empty() && !reset) {
    return;
  }
  const std::string mask = reset ? std::string(processor_limit / 8, '\xff')
                                 : *number_mask(affinity.final_, processor_limit);
  const std::uint32_t offset = builder.blob(mask);
  wire::Op& op =
      builder.add(OpCode::cpu_affinity,
                  reset ? std::string() : builder.process_origin("execCPUAffinity.final"));
  op.str[0] = offset;
  op.n = static_cast<std::uint32_t>(mask.size());
}

// A child inherits every policy but these: see sched(7).
bool is_reset_on_fork(const Process& process) {
  return process.scheduler && (process.scheduler->policy == SCHED_DEADLINE ||
                               (process.scheduler->flags & SCHED_FLAG_RESET_ON_FORK) != 0);
}

bool is_scheduled_last(const PlanBuilder& builder, const Process& process) {
  return builder.forks_into_pidns() && is_reset_on_fork(process);
}

// Comes while init may still read from the host, which must have set the cgroup's limits by then,
// and before a seccomp filter could forbid it.
void add_scheduling(PlanBuilder& builder, const Process& process) {
  const Linux& config = builder.spec().linux_;
  // set_mempolicy(2) checks the policy against the cpuset's memory nodes.
  const bool needs_limits = config.memory_policy && !config.resources.cpu.mems.empty();
  if ((process.scheduler || process.io_priority || needs_limits) &&
      !is_scheduled_last(builder, process)) {
    builder.wait(wire::WaitTag::scheduling);
  }
}

namespace {

// Sets what the program sees of the machine, before a seccomp filter could forbid it.
void add_personality_and_memory_policy(PlanBuilder& builder) {
  const Linux& config = builder.spec().linux_;
  if (config.personality) {
    builder.add(OpCode::personality, "linux.personality").a = config.personality->domain;
  }
  if (config.memory_policy) {
    const MemoryPolicy& policy = *config.memory_policy;
    const std::string mask = number_mask(policy.nodes, memory_node_limit).value_or("");
    const std::uint32_t blob = mask.empty() ? 0 : builder.blob(mask);
    wire::Op& op = builder.add(OpCode::memory_policy, "linux.memoryPolicy");
    op.a = static_cast<std::uint64_t>(policy.mode) | policy.flags;
    op.str[0] = blob;
    op.n = static_cast<std::uint32_t>(mask.size());
  }
}

}  // namespace

void add_capabilities(PlanBuilder& builder, const Process& process, std::uint64_t more) {
  const Capabilities capabilities = process.capabilities.value_or(Capabilities{});
  wire::Op& op = builder.add(OpCode::capabilities, builder.process_origin("capabilities"));
  op.a = capabilities.effective | more;
  op.b = capabilities.permitted | more;
  op.c = capabilities.inheritable;
  op.d = capabilities.ambient;
}

void add_credentials(PlanBuilder& builder, const Process& process) {
  add_labels(builder, process);
  builder.close_fds();
  add_personality_and_memory_policy(builder);
  if (process.no_new_privileges) {
    builder.add(OpCode::no_new_privileges, builder.process_origin("noNewPrivileges"));
  }
  add_rlimits(builder, process);
  const Capabilities capabilities = process.capabilities.value_or(Capabilities{});
  builder.add(OpCode::bounding_set, builder.process_origin("capabilities.bounding")).a =
      capabilities.bounding;
  // The directory may be one that only root, or only the user, can enter: both are tried.
  add_working_directory(builder, process, true);
  builder.add(OpCode::keep_caps);
  add_identity(builder, process);
  // Without no_new_privs, loading a filter needs CAP_SYS_ADMIN. execve(2) drops it: it carries
  // nothing of the effective and permitted sets over to the program; see capabilities(7).
  const bool loads = !builder.host().seccomp.program.empty() && !process.no_new_privileges;
  add_capabilities(builder, process, loads ? std::uint64_t{1} << CAP_SYS_ADMIN : 0);
  builder.add(OpCode::umask, builder.process_origin("user.umask")).a =
      process.user.umask.value_or(0022);
  add_working_directory(builder, process, false);
}

void add_root_as_working_directory(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  const std::string root = absolute_path_in(builder.host().bundle, spec.root.path);
  // "/.." leads to the mount that covers "/".
  const bool covers_root = spec.mounts_root() && absolute_path(root) == "/";
  const std::uint32_t path = builder.text(covers_root ? "/.." : root);
  wire::Op& op = builder.add(OpCode::working_directory, "root.path");
  op.str[0] = path;
  op.flags = wire::op_optional;
}

// runc's users rely on a missing working directory being created; the spec leaves it open.
void add_working_directory_itself(PlanBuilder& builder, const Process& process) {
  const std::uint32_t path = builder.text(process.cwd);
  builder.add(OpCode::make_directory, working_directory_origin).str[1] = path;
}

// An ordinary user's single mapping needs setgroups(2) denied; see user_namespaces(7).
bool keeps_groups(const PlanBuilder& builder) {
  return builder.host().rootless || builder.spec().keeps_groups;
}

bool has_create_hooks(const Spec& spec) {
  return !spec.hooks.prestart.empty() || !spec.hooks.create_runtime.empty() ||
         !spec.hooks.create_container.empty();
}

}  // namespace tare
