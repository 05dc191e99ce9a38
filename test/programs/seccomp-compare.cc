// Checks that the core's seccomp programs return the same actions as those that libseccomp makes by
// itself, with one context for all architectures, and ENOSYS for calls that are newer than the
// profile. For test/seccomp/profiles.test.ts.
//
//   seccomp-compare SEED COUNT     compares for COUNT random profiles
//   seccomp-compare SEED CONFIG    compares for CONFIG's profile
//
// SEED also chooses the arguments with which each call is checked.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "run_filter.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/seccomp.h"
#include "tare/spec.h"

namespace {

using tare::Error;
using tare::Fd;
using tare::Seccomp;

using tare::test::instructions;

std::uint32_t verdict(const std::vector<sock_filter>& code, const seccomp_data& data) {
  const std::optional<std::uint32_t> action = tare::test::run_filter(code, data);
  if (!action) {
    std::fprintf(stderr, "a program has no end, or an instruction that is not expected\n");
    std::exit(1);
  }
  return *action;
}

std::uint32_t oracle_action(const std::string& name, std::uint32_t errno_ret) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(errno_ret);
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(errno_ret);
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  return SCMP_ACT_KILL_THREAD;
}

scmp_compare oracle_operator(const std::string& name) {
  if (name == "SCMP_CMP_NE") return SCMP_CMP_NE;
  if (name == "SCMP_CMP_LT") return SCMP_CMP_LT;
  if (name == "SCMP_CMP_LE") return SCMP_CMP_LE;
  if (name == "SCMP_CMP_EQ") return SCMP_CMP_EQ;
  if (name == "SCMP_CMP_GE") return SCMP_CMP_GE;
  if (name == "SCMP_CMP_GT") return SCMP_CMP_GT;
  return SCMP_CMP_MASKED_EQ;
}

#if defined(__x86_64__)
constexpr std::array<std::pair<const char*, std::uint32_t>, 3> oracle_archs = {
    {{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
     {"SCMP_ARCH_X86", SCMP_ARCH_X86},
     {"SCMP_ARCH_X32", SCMP_ARCH_X32}}};
constexpr std::array<std::uint32_t, 3> audit_archs = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,
                                                      AUDIT_ARCH_ARM};
#else
constexpr std::array<std::pair<const char*, std::uint32_t>, 2> oracle_archs = {
    {{"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64}, {"SCMP_ARCH_ARM", SCMP_ARCH_ARM}}};
constexpr std::array<std::uint32_t, 3> audit_archs = {AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM,
                                                      AUDIT_ARCH_X86_64};
#endif

/// Returns the program that one libseccomp context for all architectures makes; empty if libseccomp
/// refuses a rule.
std::vector<sock_filter> oracle(const Seccomp& profile) {
  const std::uint32_t by_default =
      oracle_action(profile.default_action, profile.default_errno_ret.value_or(EPERM));
  scmp_filter_ctx context = seccomp_init(by_default);
  for (const auto& [name, token] : oracle_archs) {
    if (std::count(profile.architectures.begin(), profile.architectures.end(), name) != 0) {
      seccomp_arch_add(context, token);
    }
  }
  bool refused = false;
  for (const tare::SeccompSyscall& rule : profile.syscalls) {
    const std::uint32_t action = oracle_action(rule.action, rule.errno_ret.value_or(EPERM));
    std::vector<scmp_arg_cmp> all;
    std::set<std::uint32_t> indexes;
    for (const tare::SeccompArg& arg : rule.args) {
      all.push_back({arg.index, oracle_operator(arg.op), arg.value, arg.value_two});
      indexes.insert(arg.index);
    }
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (action == by_default || number == __NR_SCMP_ERROR) {
        continue;
      }
      if (indexes.size() == all.size()) {
        refused |= seccomp_rule_add_array(context, action, number,
                                          static_cast<unsigned>(all.size()), all.data()) != 0;
      } else {
        for (const scmp_arg_cmp& one : all) {
          refused |= seccomp_rule_add_array(context, action, number, 1, &one) != 0;
        }
      }
    }
  }
  const Fd file(memfd_create("oracle", MFD_CLOEXEC));
  seccomp_export_bpf(context, file.get());
  seccomp_release(context);
  lseek(file.get(), 0, SEEK_SET);
  return refused ? std::vector<sock_filter>() : instructions(tare::read_all(file.get(), "oracle"));
}

/// Returns whether the call is newer than all that the profile names, on an ABI that it filters.
bool too_new(const Seccomp& profile, std::uint32_t arch, std::uint32_t number) {
  for (const auto& [name, token] : oracle_archs) {
    const bool native = token == oracle_archs[0].second;
    const bool listed =
        native || std::count(profile.architectures.begin(), profile.architectures.end(), name) != 0;
    std::uint32_t token_arch = token;
    bool mine = true;
    std::uint32_t end = 0xffffffff;
#if defined(__x86_64__)
    if (token == SCMP_ARCH_X32) {
      token_arch = AUDIT_ARCH_X86_64;
      mine = number >= 0x40000000;
    } else if (native) {
      mine = number < 0x40000000;
    }
#else
    if (token == SCMP_ARCH_ARM) {
      end = 0xeffff;
    }
#endif
    if (!listed || token_arch != arch || !mine) {
      continue;
    }
    std::int64_t newest = -1;
    for (const tare::SeccompSyscall& rule : profile.syscalls) {
      for (const std::string& one : rule.names) {
        const std::int64_t known = seccomp_syscall_resolve_name_arch(token, one.c_str());
        newest = known <= end ? std::max(newest, known) : newest;
      }
    }
    return newest >= 0 && number > newest && number <= end;
  }
  return false;
}

/// Compares all numbers that could matter, each with arguments around the values that the profile
/// compares with.
bool same_verdicts(const Seccomp& profile, std::mt19937_64& random) {
  std::vector<sock_filter> theirs = oracle(profile);
  std::vector<sock_filter> ours;
  try {
    ours = instructions(tare::compile_seccomp(profile, "").program);
  } catch (const Error& error) {
    if (!theirs.empty()) {
      std::printf("refused, though libseccomp takes it: %s\n", error.what());
    }
    return theirs.empty();
  }
  if (theirs.empty()) {
    std::printf("taken, though libseccomp refuses it\n");
    return false;
  }
  std::vector<std::uint64_t> values{0, 1, 0xffffffff, 0x100000000, ~std::uint64_t{0}};
  for (const tare::SeccompSyscall& rule : profile.syscalls) {
    for (const tare::SeccompArg& arg : rule.args) {
      for (const std::uint64_t value : {arg.value, arg.value_two}) {
        values.insert(values.end(), {value - 1, value, value + 1, value ^ 0x100000000});
      }
    }
  }
  std::vector<std::uint32_t> numbers{0xffffffff, 0x7fffffff, 0xeffff, 0xf0000, 0xf0005, 0x3fffffff};
  for (std::uint32_t i = 0; i < 600; ++i) {
    numbers.insert(numbers.end(), {i, 0x40000000 + i});
  }
  const std::string& kind = profile.default_action;
  const bool enosys =
      kind != "SCMP_ACT_ALLOW" && kind != "SCMP_ACT_LOG" && kind != "SCMP_ACT_TRACE";
  for (const std::uint32_t arch : audit_archs) {
    for (const std::uint32_t number : numbers) {
      const bool newer = enosys && too_new(profile, arch, number);
      for (int round = 0; round < 24; ++round) {
        seccomp_data data{static_cast<int>(number), arch, random(), {}};
        for (auto& arg : data.args) {
          arg = values[random() % values.size()];
        }
        const std::uint32_t expected =
            newer ? std::uint32_t{SECCOMP_RET_ERRNO | ENOSYS} : verdict(theirs, data);
        const std::uint32_t found = verdict(ours, data);
        if (found != expected) {
          std::printf("arch %#x, call %#x (%llx, %llx, ..): %#x instead of %#x\n", arch, number,
                      static_cast<unsigned long long>(data.args[0]),
                      static_cast<unsigned long long>(data.args[1]), found, expected);
          return false;
        }
      }
    }
  }
  return true;
}

Seccomp random_profile(std::mt19937_64& random) {
  static const std::array<const char*, 7> actions = {
      "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
      "SCMP_ACT_LOG",   "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
  static const std::array<const char*, 7> operators = {
      "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
      "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  const auto below = [&](std::size_t limit) { return random() % limit; };
  Seccomp profile;
  profile.default_action = actions[below(actions.size())];
  for (const auto& [name, token] : oracle_archs) {
    if (below(2) == 0) {
      profile.architectures.emplace_back(name);
    }
  }
  const std::array<std::uint64_t, 6> values = {0, 3, 0x80000000, 0xffffffff, 0x100000003, random()};
  for (std::size_t rules = below(60); rules > 0; --rules) {
    tare::SeccompSyscall rule;
    rule.action = actions[below(actions.size())];
    for (std::size_t names = 1 + below(12); names > 0; --names) {
      const std::uint32_t token = oracle_archs[below(oracle_archs.size())].second;
      const int number = static_cast<int>(below(460));
      if (char* name = seccomp_syscall_resolve_num_arch(token, number)) {
        rule.names.emplace_back(name);
        std::free(name);
      }
    }
    for (std::size_t args = below(2) == 0 ? 0 : below(4); args > 0; --args) {
      rule.args.push_back({static_cast<std::uint32_t>(below(6)), values[below(values.size())],
                           values[below(values.size())], operators[below(operators.size())]});
    }
    profile.syscalls.push_back(rule);
  }
  return profile;
}

int compare(char** argv) {
  std::mt19937_64 random(std::strtoull(argv[1], nullptr, 0));
  std::vector<Seccomp> profiles;
  char* rest = nullptr;
  long count = std::strtol(argv[2], &rest, 10);
  if (*rest != '\0') {
    const tare::Spec spec = tare::parse_spec(tare::read_file(AT_FDCWD, argv[2]), argv[2]);
    profiles.push_back(spec.linux_.seccomp.value());
    count = 0;
  }
  for (; count > 0; --count) {
    profiles.push_back(random_profile(random));
  }
  std::size_t refused = 0;
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    if (!same_verdicts(profiles[i], random)) {
      std::printf("profile %zu of seed %s\n", i, argv[1]);
      return 1;
    }
    refused += oracle(profiles[i]).empty();
  }
  std::printf("%zu compared, %zu refused by both\n", profiles.size() - refused, refused);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: seccomp-compare SEED COUNT|CONFIG\n");
    return 2;
  }
  // Independent of this kernel's abilities: libseccomp would refuse actions that the kernel does
  // not know.
  seccomp_api_set(6);
  try {
    return compare(argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
