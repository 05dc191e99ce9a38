// Joins programs of several ABIs, and runs the result as the kernel does.
#include "seccomp/program.h"

#include <doctest/doctest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "base/doctest_error.h"
#include "run_filter.h"

namespace {

constexpr std::uint32_t allow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t no_such_call = SECCOMP_RET_ERRNO | ENOSYS;

constexpr std::uint32_t errno_action(int number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number);
}

sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}

sock_filter result(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }

/// A program that allows numbers up to `last` and refuses others with EPERM.
std::vector<sock_filter> allow_up_to(std::uint32_t last) {
  return {load(offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
          result(allow), result(errno_action(EPERM))};
}

/// Returns the action for a call, or 0 for an instruction that join_programs() does not make.
std::uint32_t action_of(const std::string& program, std::uint32_t arch, std::uint32_t number,
                        std::uint64_t argument = 0) {
  const seccomp_data data{static_cast<int>(number), arch, 0, {argument, 0, 0, 0, 0, 0}};
  return tare::test::run_filter(tare::test::instructions(program), data).value_or(0);
}

}  // namespace

TEST_CASE("each architecture gets its own program, others the other action") {
  const std::string program = tare::join_programs(
      {{.audit_arch = AUDIT_ARCH_X86_64, .last_number = 0xffffffff, .code = allow_up_to(10)},
       {.audit_arch = AUDIT_ARCH_I386, .last_number = 0xffffffff, .code = allow_up_to(20)}},
      kill);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 10) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 11) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 0xffffffff) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_I386, 20) == allow);
  CHECK(action_of(program, AUDIT_ARCH_I386, 21) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_ARM, 0) == kill);
}

TEST_CASE("ABIs of one architecture share its numbers") {
  constexpr std::uint32_t x32 = 0x40000000;
  const std::string program = tare::join_programs(
      {{.audit_arch = AUDIT_ARCH_X86_64, .last_number = x32 - 1, .code = allow_up_to(10)},
       {.audit_arch = AUDIT_ARCH_X86_64,
        .first_number = x32,
        .last_number = 0xffffffff,
        .code = allow_up_to(x32 + 5)}},
      kill);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 10) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 11) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_X86_64, x32 - 1) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_X86_64, x32 + 5) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, x32 + 6) == errno_action(EPERM));
}

TEST_CASE("a number above the newest gets ENOSYS, and a verdict of its own precedes both") {
  const std::string program = tare::join_programs({{.audit_arch = AUDIT_ARCH_X86_64,
                                                    .last_number = 0xffffffff,
                                                    .code = allow_up_to(10),
                                                    .newest_number = 11,
                                                    .actions = {{5, kill}, {400, allow}}}},
                                                  kill);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 4) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 5) == kill);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 6) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 11) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 12) == no_such_call);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 399) == no_such_call);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 400) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 0xffffffff) == no_such_call);
}

TEST_CASE("checks of arguments are kept") {
  std::vector<sock_filter> code = {load(offsetof(seccomp_data, nr)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 3),
                                   load(offsetof(seccomp_data, args)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1),
                                   result(allow),
                                   result(errno_action(EPERM))};
  const std::string program = tare::join_programs(
      {{.audit_arch = AUDIT_ARCH_X86_64, .last_number = 0xffffffff, .code = code}}, kill);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 7, 3) == allow);
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 7, 4) == errno_action(EPERM));
  CHECK(action_of(program, AUDIT_ARCH_X86_64, 8, 3) == errno_action(EPERM));
}

TEST_CASE("a program that the kernel would not load is refused") {
  // Every second number has an action of its own: more stretches than BPF_MAXINSNS can tell apart.
  tare::AbiProgram abi{.audit_arch = AUDIT_ARCH_X86_64,
                       .last_number = 0xffffffff,
                       .code = allow_up_to(10),
                       .newest_number = {},
                       .actions = {}};
  for (std::uint32_t number = 0; number < 2 * BPF_MAXINSNS; number += 2) {
    abi.actions.emplace_back(number, errno_action(static_cast<int>(number % 100)));
  }
  CHECK(tare::test::error_of([&] {
          tare::join_programs({abi}, kill);
        }).starts_with("ERR_TARE_INVALID_CONFIG "));
}
