// Which system calls a compiled profile lets through, with arguments known and unknown.
#include "seccomp/evaluate.h"

#include <doctest/doctest.h>
#include <sys/syscall.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tare/seccomp.h"

namespace {

using Argument = std::optional<std::uint64_t>;

/// A profile that denies all calls but personality(2) with the arguments that `conditions` allow.
std::string allow_personality(const std::vector<tare::SeccompArg>& conditions,
                              const std::string& action = "SCMP_ACT_ALLOW") {
  tare::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  tare::SeccompSyscall rule;
  rule.names = {"personality"};
  rule.action = action;
  rule.args = conditions;
  profile.syscalls = {rule};
  return tare::compile_seccomp(profile, "").program;
}

bool permits(const std::string& program, Argument first, Argument second = std::nullopt) {
  tare::KnownCall call;
  call.number = SYS_personality;
  call.arguments[0] = first;
  call.arguments[1] = second;
  return tare::lets_through(program, call);
}

}  // namespace

TEST_CASE("a call without conditions is permitted whatever its arguments are") {
  const std::string program = allow_personality({});
  CHECK(permits(program, std::nullopt));
  CHECK(permits(program, 7));
  CHECK_FALSE(tare::lets_through(program, {.number = SYS_getpid, .arguments = {}}));
}

TEST_CASE("only ALLOW and LOG permit a call") {
  CHECK(permits(allow_personality({}, "SCMP_ACT_LOG"), 0));
  for (const char* const action : {"SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_TRACE"}) {
    CAPTURE(action);
    CHECK_FALSE(permits(allow_personality({}, action), 0));
  }
}

TEST_CASE("a condition on an argument that is not known is not met") {
  struct Case {
    std::string op;
    Argument argument;
    bool permitted;
  };
  constexpr std::uint64_t high = std::uint64_t{1} << 32;
  const std::vector<Case> cases = {
      {"SCMP_CMP_EQ", 8, true},         {"SCMP_CMP_EQ", 9, false},
      {"SCMP_CMP_EQ", 8 + high, false}, {"SCMP_CMP_EQ", std::nullopt, false},
      {"SCMP_CMP_NE", 9, true},         {"SCMP_CMP_NE", 8, false},
      {"SCMP_CMP_NE", 8 + high, true},  {"SCMP_CMP_NE", std::nullopt, false},
      {"SCMP_CMP_LT", 7, true},         {"SCMP_CMP_LT", 8, false},
      {"SCMP_CMP_LT", 7 + high, false}, {"SCMP_CMP_LE", 8, true},
      {"SCMP_CMP_LE", 9, false},        {"SCMP_CMP_GE", 8, true},
      {"SCMP_CMP_GE", 7, false},        {"SCMP_CMP_GE", high, true},
      {"SCMP_CMP_GT", 9, true},         {"SCMP_CMP_GT", 8, false},
      {"SCMP_CMP_GT", high, true},      {"SCMP_CMP_GT", std::nullopt, false},
  };
  for (const Case& each : cases) {
    CAPTURE(each.op);
    CAPTURE(each.argument.value_or(0));
    CHECK(permits(allow_personality({{0, 8, 0, each.op}}), each.argument) == each.permitted);
  }
}

TEST_CASE("a masked condition compares the bits of the mask only") {
  const std::string program = allow_personality({{0, 0xf0, 0x20, "SCMP_CMP_MASKED_EQ"}});
  CHECK(permits(program, 0x2f));
  CHECK_FALSE(permits(program, 0x3f));
}

TEST_CASE("all conditions of a rule must be met") {
  const std::string program =
      allow_personality({{0, 1, 0, "SCMP_CMP_EQ"}, {1, 2, 0, "SCMP_CMP_EQ"}});
  CHECK(permits(program, 1, 2));
  CHECK_FALSE(permits(program, 1, 3));
  CHECK_FALSE(permits(program, 0, 2));
  CHECK_FALSE(permits(program, 1, std::nullopt));
}
