// init with an arbitrary plan: a plan that init accepts as sound must not lead it beyond the plan's
// memory, whatever the kernel answers and whatever files of the image contain.
//
// The input: 1 byte of flags, 2 bytes: number of ops, 2 bytes: number of bytes of answers, then the
// answers, the ops, and the rest as the pool of strings. Depending on the flags the header is
// computed to fit, or is the first part of the plan in the input.
#include "init/init.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fuzz.h"
#include "init/verify.h"
#include "kernel.h"

namespace {

using tare::wire::Op;
using tare::wire::OpCode;
using tare::wire::PlanHeader;

enum Flag : std::uint8_t {
  whole = 1,  ///< the header is in the input
  near = 2,   ///< offsets and counts are made small, so that more plans are sound
};

std::uint64_t number(std::span<const std::uint8_t>& input, int bytes) {
  std::uint64_t value = 0;
  for (; bytes > 0 && !input.empty(); --bytes) {
    value = value << 8 | input.front();
    input = input.subspan(1);
  }
  return value;
}

std::span<const std::uint8_t> take(std::span<const std::uint8_t>& input, std::uint64_t count) {
  const auto taken = input.first(std::min<std::size_t>(count, input.size()));
  input = input.subspan(taken.size());
  return taken;
}

/// Brings the numbers of an op near those of a sound plan of this size.
void bring_near(Op& op, std::uint32_t pool) {
  op.str[0] %= pool;
  op.str[1] %= pool;
  op.n %= 64;
  op.fd = op.fd % 8 - (op.fd < 0 ? 2 : 0);
  if (op.code == OpCode::exec) {
    op.a %= 64;
    op.b = op.b % pool / 8 * 8;
  } else if (op.code == OpCode::mount_fs) {
    op.d %= pool;
  }
}

std::vector<char> make_plan(std::span<const std::uint8_t> input, std::uint64_t ops,
                            unsigned flags) {
  if ((flags & whole) != 0) {
    return {input.begin(), input.end()};
  }
  PlanHeader header;
  header.op_count = static_cast<std::uint32_t>(std::min(ops, input.size() / sizeof(Op)));
  header.ops_offset = sizeof header;
  const std::size_t ops_size = header.op_count * sizeof(Op);
  header.strings_offset = static_cast<std::uint32_t>(sizeof header + ops_size);
  header.strings_size = static_cast<std::uint32_t>(input.size() - ops_size + 1);
  header.size = header.strings_offset + header.strings_size;
  header.passed_fds = 8;
  std::vector<char> plan(header.size);
  std::memcpy(plan.data(), &header, sizeof header);
  std::memcpy(plan.data() + sizeof header, input.data(), input.size());
  for (std::uint32_t i = 0; (flags & near) != 0 && i < header.op_count; ++i) {
    Op op;
    char* place = plan.data() + sizeof header + i * sizeof op;
    std::memcpy(&op, place, sizeof op);
    bring_near(op, header.strings_size);
    std::memcpy(place, &op, sizeof op);
  }
  return plan;
}

/// Whether the plan starts init's second thread or its reaper, which have no stand-in here.
bool makes_second_task(const char* plan) {
  const auto* header = reinterpret_cast<const PlanHeader*>(plan);
  const auto* ops = reinterpret_cast<const Op*>(plan + sizeof *header);
  return std::any_of(ops, ops + header->op_count, [](const Op& op) {
    constexpr std::uint64_t new_listener = 1 << 3;  // SECCOMP_FILTER_FLAG_NEW_LISTENER
    return op.code == OpCode::listener_thread || op.code == OpCode::become_reaper ||
           (op.code == OpCode::seccomp && (op.a & new_listener) != 0);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span<const std::uint8_t> input(data, size);
  const auto flags = static_cast<unsigned>(number(input, 1));
  const std::uint64_t ops = number(input, 2);
  const auto answers = take(input, number(input, 2));
  std::vector<char> plan = make_plan(input, ops, flags);
  // Aligned for a word, as a page is, and not one byte too large.
  const std::unique_ptr<char[]> memory(new char[plan.size()]);
  std::copy(plan.begin(), plan.end(), memory.get());
  if (plan.size() < sizeof(PlanHeader) || !init::is_sound(memory.get(), plan.size()) ||
      makes_second_task(memory.get())) {
    return 0;
  }
  fuzz::set_kernel(answers, memory.get());
  const std::string length = std::to_string(plan.size());
  const char* words[] = {"init", "3", "0", length.c_str()};
  long stack[1 + std::size(words)] = {std::size(words)};
  std::memcpy(stack + 1, words, sizeof words);
  const auto context = std::make_unique<init::Context>();
  try {
    init::run(*context, stack);
  } catch (const fuzz::Ended&) {
    // The expected end.
  }
  return 0;
}
