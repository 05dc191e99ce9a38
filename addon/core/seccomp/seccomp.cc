#include "tare/seccomp.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "seccomp/cache.h"
#include "seccomp/program.h"
#include "seccomp/rules.h"
#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

namespace {

struct Flag {
  const char* name;
  std::uint32_t value;
  bool needs_listener = false;  ///< has no effect, and is refused, without one
};

constexpr Flag flags[] = {
    // The thread that loads the filter is the only one that is to have it.
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, true},
};

struct ReleaseContext {
  void operator()(void* context) const noexcept { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ReleaseContext>;

/// Compiles the rules for one ABI. One libseccomp context for all ABIs would give the same actions
/// in three times the time: its output stage is quadratic in the length of the program.
class AbiCompiler {
 public:
  AbiCompiler(const Abi& abi, std::uint32_t default_action)
      : abi_(abi), default_action_(default_action), context_(seccomp_init(default_action)) {
    int result = context_ ? 0 : -EINVAL;
    if (result == 0 && !native()) {
      result = seccomp_arch_add(context_.get(), abi.token);
      if (result == 0) {
        result = seccomp_arch_remove(context_.get(), abis[0].token);
      }
    }
    if (result != 0) {
      refuse_seccomp("linux.seccomp", std::string("libseccomp cannot make a filter for ") +
                                          abi.name + ": " + errno_text(-result));
    }
    program_.audit_arch = abi.audit_arch;
    program_.first_number = abi.first_number;
    program_.last_number = abi.last_number;
  }

  void add(const SeccompRule& rule) {
    for (const std::string& name : rule.syscall->names) {
      const int number = seccomp_syscall_resolve_name_arch(abi_.token, name.c_str());
      if (number != __NR_SCMP_ERROR) {
        note_number(number);
        if (rule.action != default_action_) {
          add(rule, name, seccomp_syscall_resolve_name(name.c_str()));
        }
      } else if (const NewSyscall* found = find_new_syscall(name)) {
        add_new(rule, *found);
      }
      // Profiles name calls of all kernels and architectures. An unknown name cannot be called
      // here.
    }
  }

  /// With `enosys`, calls that are newer than all calls in the rules return ENOSYS, so that
  /// programs fall back to older calls. The default action, mostly EPERM, would make them fail.
  AbiProgram finish(bool enosys) && {
    if (enosys) {
      program_.newest_number = newest_;
    }
    const Fd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) {
      throw_errno("memfd_create");
    }
    if (const int result = seccomp_export_bpf(context_.get(), file.get()); result != 0) {
      throw_errno(-result, "seccomp_export_bpf");
    }
    const off_t size = lseek(file.get(), 0, SEEK_END);
    if (size < 0) {
      throw_errno("lseek");
    }
    program_.code.resize(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (pread(file.get(), program_.code.data(), static_cast<std::size_t>(size), 0) != size) {
      throw_errno("pread");
    }
    return std::move(program_);
  }

 private:
  bool native() const { return abi_.token == abis[0].token; }

  void note_number(std::int64_t number) {
    // libseccomp has negative numbers for calls that this ABI lacks or has as a part of another
    // (socketcall).
    if (number >= abi_.first_number && number <= abi_.last_number) {
      newest_ = std::max(newest_.value_or(0), static_cast<std::uint32_t>(number));
    }
  }

  void add(const SeccompRule& rule, const std::string& name, int native_number) {
    for (const std::vector<scmp_arg_cmp>& conditions : rule.alternatives) {
      const int result =
          seccomp_rule_add_array(context_.get(), rule.action, native_number,
                                 static_cast<unsigned>(conditions.size()), conditions.data());
      if (result != 0) {
        refuse_seccomp(rule.path(), "libseccomp refuses this rule for " + name + " on " +
                                        abi_.name + ": " + errno_text(-result));
      }
    }
  }

  /// libseccomp accepts a number that it has no name for in the native ABI only.
  void add_new(const SeccompRule& rule, const NewSyscall& syscall) {
    if (syscall.only_arch != 0 && syscall.only_arch != abi_.audit_arch) {
      return;
    }
    const std::uint32_t number = abi_.first_number + syscall.number;
    note_number(number);
    if (rule.action == default_action_) {
      return;
    }
    if (native()) {
      add(rule, std::string(syscall.name), static_cast<int>(number));
      return;
    }
    // An action here cannot depend on arguments, so the call fails as on an older kernel.
    const bool conditional = !rule.alternatives.front().empty();
    const std::uint32_t action =
        conditional ? std::uint32_t{SECCOMP_RET_ERRNO | ENOSYS} : rule.action;
    auto& actions = program_.actions;
    const auto same = std::find_if(actions.begin(), actions.end(),
                                   [=](const auto& entry) { return entry.first == number; });
    if (same == actions.end()) {
      actions.emplace_back(number, action);
    } else if (conditional) {
      same->second = action;
    }
  }

  const Abi& abi_;
  std::uint32_t default_action_;
  Context context_;
  AbiProgram program_;
  std::optional<std::uint32_t> newest_;
};

std::string compile(const Seccomp& profile) {
  const std::uint32_t by_default = default_action(profile);
  const std::vector<SeccompRule> rules = resolve_rules(profile);
  // A call that is allowed by default reaches the kernel, which itself returns ENOSYS for an
  // unknown one. A tracer is to see all calls.
  const std::uint32_t kind = by_default & SECCOMP_RET_ACTION_FULL;
  const bool enosys =
      kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && kind != SECCOMP_RET_TRACE;

  // libseccomp keeps what it has found out about the kernel in global variables.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::vector<AbiProgram> programs;
  for (const Abi& abi : abis) {
    const auto& wanted = profile.architectures;
    if (&abi != &abis[0] && std::find(wanted.begin(), wanted.end(), abi.name) == wanted.end()) {
      continue;
    }
    AbiCompiler compiler(abi, by_default);
    for (const SeccompRule& rule : rules) {
      compiler.add(rule);
    }
    programs.push_back(std::move(compiler).finish(enosys));
  }
  // As libseccomp treats calls of an architecture that the profile does not list.
  return join_programs(std::move(programs), SECCOMP_RET_KILL_THREAD);
}

/// Whether this kernel knows the flag: it checks the flags before it notices the null program
/// (EFAULT).
bool supported(const Flag& flag) {
  const std::uint32_t value =
      flag.value | (flag.needs_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, value, nullptr) == -1 && errno == EFAULT;
}

std::uint32_t filter_flags(const Seccomp& profile) {
  const bool listener = seccomp_needs_agent(profile);
  std::uint32_t value = listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  if (!profile.flags) {
    // The store bypass mitigation slows programs down; seccomp alone does not justify it.
    return value | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  }
  for (std::size_t i = 0; i < profile.flags->size(); ++i) {
    const std::string& name = (*profile.flags)[i];
    const std::string path = "linux.seccomp.flags[" + std::to_string(i) + "]";
    const Flag& flag = look_up(flags, name, path);
    if (!supported(flag)) {
      throw Error(ErrorKind::unsupported,
                  path + ": this kernel does not know " + name + "; remove it")
          .with_path(path);
    }
    if (listener || !flag.needs_listener) {
      value |= flag.value;
    }
  }
  return value;
}

/// Returns what a profile's program depends on besides the profile.
std::string compiler_identity() {
  // The number is raised when these files change what they make of a profile.
  return std::string("1 ") + abis[0].name + " libseccomp " + seccomp_library_version();
}

}  // namespace

bool seccomp_needs_agent(const Seccomp& profile) noexcept {
  return std::ranges::any_of(profile.syscalls, [](const SeccompSyscall& rule) {
    return rule.action == seccomp_notify_action;
  });
}

SeccompFilter compile_seccomp(const Seccomp& profile, const std::string& cache_dir) {
  SeccompFilter filter;
  if (profile.default_action.empty() && profile.syscalls.empty()) {
    return filter;
  }
  filter.flags = filter_flags(profile);
  if (cache_dir.empty()) {
    filter.program = compile(profile);
    return filter;
  }
  const std::string key = seccomp_cache_key(profile, compiler_identity());
  if (std::optional<std::string> cached = find_cached_program(cache_dir, key)) {
    filter.program = std::move(*cached);
  } else {
    filter.program = compile(profile);
    cache_program(cache_dir, key, filter.program);
  }
  return filter;
}

std::string seccomp_library_version() {
  const scmp_version* version = seccomp_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->micro);
}

std::vector<std::string> seccomp_known_flags() { return names_of(flags); }

bool is_syscall(const std::string& name) noexcept {
  return seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR;
}

std::vector<std::string> seccomp_supported_flags() {
  std::vector<std::string> names;
  for (const Flag& flag : flags) {
    if (supported(flag)) {
      names.emplace_back(flag.name);
    }
  }
  return names;
}

}  // namespace tare
