// The names of ops, and of what fails within them.
#include <iterator>

#include "plan/builder.h"

namespace tare {
namespace {

constexpr const char* op_names[] = {
    "end",
#define OP(name, fd, data, text) #name,
#include "tare/ops.def"
};

/// Of a step either the system call or the reason is empty.
struct StepText {
  const char* call;
  const char* reason;
};

constexpr StepText step_texts[] = {
    {"", ""},
#define STEP(name, call) {call, ""},
#define CHECK(name, reason) {"", reason},
#include "tare/steps.def"
};

/// init's report says which step failed, and a process of the container may have forged it.
StepText text_of(wire::Step step) noexcept {
  const auto row = static_cast<std::size_t>(step);
  return row < std::size(step_texts) ? step_texts[row] : StepText{"", ""};
}

}  // namespace

const char* op_name(wire::OpCode code) noexcept { return op_names[static_cast<std::size_t>(code)]; }

const char* step_name(wire::Step step) noexcept { return text_of(step).call; }

const char* check_reason(wire::Step step) noexcept { return text_of(step).reason; }

}  // namespace tare
