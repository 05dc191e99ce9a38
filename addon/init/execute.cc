// Loads the plan and executes it op by op, without policy and without formatting.
#include <linux/prctl.h>
#include <linux/signal.h>

#include "init.h"
#include "verify.h"

namespace init {
namespace {

constexpr int map_private = 2;
constexpr int map_anonymous = 0x20;
constexpr int prot_read_write = 3;

unsigned long parse_number(const char* text) {
  unsigned long number = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    number = number * 10 + static_cast<unsigned long>(*text - '0');
  }
  return number;
}

Outcome load_plan(Context& context, unsigned long offset, unsigned long size) {
  const bool in_channel = offset == 0;
  const int fd = in_channel ? -1 : context.base + tare::wire::image_fd_offset;
  const int flags = map_private | (in_channel ? map_anonymous : 0);
  const long at = sys::call(__NR_mmap, 0L, size, prot_read_write, flags, fd, offset);
  if (at < 0 && at > -4096) {
    return failure(at, Step::mmap);
  }
  char* const begin = reinterpret_cast<char*>(at);
  if (in_channel && !receive_plan(context, begin, size)) {
    return {0, Step::bad_plan};
  }
  if (!is_sound(begin, size)) {
    return {0, Step::bad_plan};
  }
  context.plan = reinterpret_cast<const tare::wire::PlanHeader*>(begin);
  context.ops = reinterpret_cast<const Op*>(begin + context.plan->ops_offset);
  context.strings = begin + context.plan->strings_offset;
  return ok;
}

constexpr Outcome (*functions[])(Context&, const Op&) = {
#define OP(name, fd, data, text) do_##name,
#include "tare/ops.def"
};

}  // namespace

void run(Context& context, const long* stack) {
  const long argc = stack[0];
  const auto* argv = reinterpret_cast<const char* const*>(stack + 1);
  if (argc < 4) {
    sys::exit(1);
  }
  context.answer = context.root = context.proc = -1;
  context.null = context.empty_dir = context.parent = -1;
  context.proc_mount = context.sys_mount = context.mounted = -1;
  context.base = static_cast<int>(parse_number(argv[1]));
  context.channel = context.base + tare::wire::channel_fd_offset;
  std::uint64_t none = 0;
  sys::call(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0L, sizeof none);
  sys::call(__NR_prctl, PR_SET_NAME, "tare:init", 0, 0, 0);
  sys::call(__NR_umask, 0);
  const Outcome outcome = load_plan(context, parse_number(argv[2]), parse_number(argv[3]));
  if (outcome.failed()) {
    end_with_failure(context, nullptr, outcome);
  }
  execute_from(context, context.ops);
}

void execute_from(Context& context, const Op* op) {
  for (const Op* const end = context.ops + context.plan->op_count; op != end; ++op) {
    // is_sound() has checked the code.
    const Outcome outcome = functions[static_cast<int>(op->code) - 1](context, *op);
    if (outcome.failed()) {
      const bool missing = outcome.step == Step::stat && context.missing_program != nullptr;
      end_with_failure(context, missing ? context.missing_program : op, outcome);
    }
  }
  sys::exit(1);
}

void end_with_failure(Context& context, const Op* op, Outcome outcome) {
  report(context, op, outcome);
  sys::exit(1);
}

}  // namespace init
