#include "seccomp/rules.h"

#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "tare/error.h"
#include "tare/seccomp.h"

namespace tare {

namespace {

struct Action {
  const char* name;
  std::uint32_t value;      ///< SECCOMP_RET_*, which equal libseccomp's SCMP_ACT_*
  bool takes_data = false;  ///< errnoRet goes into the low 16 bits
};

constexpr Action known_actions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {seccomp_notify_action.data(), SECCOMP_RET_USER_NOTIF},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

struct Operator {
  const char* name;
  scmp_compare value;
};

constexpr Operator operators[] = {
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {"SCMP_CMP_NE", SCMP_CMP_NE},
};

/// Architectures of the spec whose ABIs this machine's kernel never executes: no system call could
/// match a rule for one.
constexpr const char* foreign_architectures[] = {
#if defined(__x86_64__)
    "SCMP_ARCH_AARCH64",     "SCMP_ARCH_ARM",
#elif defined(__aarch64__)
    "SCMP_ARCH_X32",         "SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",
#endif
    "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",     "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",   "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC",      "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_RISCV64",  "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",          "SCMP_ARCH_SHEB",
};

constexpr NewSyscall new_syscalls[] = {
    {"uretprobe", 335, AUDIT_ARCH_X86_64},
    {"uprobe", 336, AUDIT_ARCH_X86_64},
    {"cachestat", 451},
    {"fchmodat2", 452},
    {"map_shadow_stack", 453},
    {"futex_wake", 454},
    {"futex_wait", 455},
    {"futex_requeue", 456},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},
    {"mseal", 462},
    {"setxattrat", 463},
    {"getxattrat", 464},
    {"listxattrat", 465},
    {"removexattrat", 466},
    {"open_tree_attr", 467},
    {"file_getattr", 468},
    {"file_setattr", 469},
    {"listns", 470},
    {"rseq_slice_yield", 471},
};

std::uint32_t action_value(const std::string& name, const std::optional<std::uint32_t>& errno_ret,
                           const std::string& path) {
  const Action& action = look_up(known_actions, name, path);
  return action.takes_data ? action.value | (errno_ret.value_or(EPERM) & SECCOMP_RET_DATA)
                           : action.value;
}

constexpr std::size_t argument_count = 6;

scmp_arg_cmp condition(const SeccompArg& arg, const std::string& path) {
  if (arg.index >= argument_count) {
    refuse_seccomp(path + ".index", std::to_string(arg.index) + " is not in the range 0 to 5");
  }
  const scmp_compare op = look_up(operators, arg.op, path + ".op").value;
  return {arg.index, op, arg.value, arg.value_two};
}

/// Conditions on different arguments must all hold. libseccomp takes one condition per argument; in
/// a rule with several on one argument, any one of the conditions is enough.
std::vector<std::vector<scmp_arg_cmp>> alternatives_of(const SeccompRule& rule) {
  std::vector<scmp_arg_cmp> all;
  std::array<bool, argument_count> used{};
  bool repeated = false;
  const std::vector<SeccompArg>& args = rule.syscall->args;
  for (std::size_t i = 0; i < args.size(); ++i) {
    all.push_back(condition(args[i], rule.path() + ".args[" + std::to_string(i) + "]"));
    repeated = repeated || std::exchange(used[args[i].index], true);
  }
  if (!repeated) {
    return {all};
  }
  std::vector<std::vector<scmp_arg_cmp>> each;
  for (const scmp_arg_cmp& one : all) {
    each.push_back({one});
  }
  return each;
}

}  // namespace

std::vector<SeccompRule> resolve_rules(const Seccomp& profile) {
  std::vector<SeccompRule> rules;
  for (std::size_t i = 0; i < profile.syscalls.size(); ++i) {
    SeccompRule rule{&profile.syscalls[i], i};
    rule.action =
        action_value(rule.syscall->action, rule.syscall->errno_ret, rule.path() + ".action");
    rule.alternatives = alternatives_of(rule);
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::uint32_t default_action(const Seccomp& profile) {
  return action_value(profile.default_action, profile.default_errno_ret,
                      "linux.seccomp.defaultAction");
}

const NewSyscall* find_new_syscall(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(new_syscalls), std::end(new_syscalls),
                                   [name](const NewSyscall& entry) { return entry.name == name; });
  return found == std::end(new_syscalls) ? nullptr : found;
}

void refuse_seccomp(const std::string& path, std::string_view message) {
  std::string sentence = path + ": ";
  sentence += message;
  throw Error(ErrorKind::invalid_config, sentence).with_path(path);
}

std::vector<std::string> seccomp_actions() { return names_of(known_actions); }

std::vector<std::string> seccomp_operators() { return names_of(operators); }

std::vector<std::string> seccomp_architectures() {
  std::vector<std::string> names = names_of(abis);
  names.insert(names.end(), std::begin(foreign_architectures), std::end(foreign_architectures));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace tare
