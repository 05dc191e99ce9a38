// Loads the plan and executes it op by op, without policy and without formatting.
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>

#include "init.h"
#include "verify.h"

namespace init {
namespace {

using tare::wire::OpCode;

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

Outcome take_plan(Context& context, unsigned long offset, unsigned long size) {
  const bool comes = offset == 0;
  const int fd = comes ? -1 : context.base + tare::wire::image_fd_offset;
  const int flags = map_private | (comes ? map_anonymous : 0);
  const long at = sys::run(__NR_mmap, 0L, size, prot_read_write, flags, fd, offset);
  if (at < 0 && at > -4096) {
    return failure(at, Step::mmap);
  }
  char* const begin = reinterpret_cast<char*>(at);
  if (comes && !receive_plan(context, begin, size)) {
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

Outcome execute_namespace_op(Context& context, std::uint32_t index, const Op& op) {
  switch (op.code) {
    case OpCode::setns:
      return do_setns(context, op);
    case OpCode::unshare:
      return do_unshare(op);
    case OpCode::time_offsets:
      return do_time_offsets(context, op);
    case OpCode::enter_time:
      return do_enter_time();
    case OpCode::wait:
      return wait_for_host(context, index, op);
    case OpCode::become_root:
      return do_become_root(op);
    case OpCode::loopback_up:
      return do_loopback_up();
    case OpCode::new_session:
      return check(sys::run(__NR_setsid), Step::setsid);
    case OpCode::keyring:
      return do_keyring(context, op);
    default:
      return {0, Step::bad_plan};
  }
}

Outcome execute_mount_op(Context& context, std::uint32_t index, const Op& op) {
  switch (op.code) {
    case OpCode::propagation:
      return do_propagation(op);
    case OpCode::root:
      return do_root(context, op);
    case OpCode::root_here:
      return do_root_here(context);
    case OpCode::mount_fs:
      return do_mount_fs(context, op);
    case OpCode::mount_data:
      return do_mount_data(context, op);
    case OpCode::reconfigure:
      return do_reconfigure(context, op);
    case OpCode::fetch:
      context.to_fetch = (op.flags & tare::wire::op_may_reach) != 0 ? index : 0;
      return context.to_fetch != 0 ? ok : fetch(context, index);
    case OpCode::open_source:
      return do_open_source(context, op);
    case OpCode::bind:
    case OpCode::bind_device:
      return do_bind(context, op);
    case OpCode::keep:
      do_keep(context, op);
      return ok;
    case OpCode::tell_mount:
      return do_tell_mount(context, index);
    case OpCode::unmount:
      return do_unmount(context, op);
    case OpCode::attributes:
      return do_attributes(context, op);
    case OpCode::mask:
      return do_mask(context, op);
    case OpCode::read_only:
      return do_read_only(context, op);
    case OpCode::make_device:
      return do_make_device(context, op);
    case OpCode::make_directory:
      return do_make_directory(context, op);
    case OpCode::make_symlink:
      return do_make_symlink(context, op);
    case OpCode::make_file:
      return do_make_file(context, op);
    case OpCode::make_ptmx:
      return do_make_ptmx(context, op);
    case OpCode::pivot_root:
      return do_pivot_root(context, op);
    case OpCode::move_root:
      return do_move_root(context);
    case OpCode::chroot:
      return do_chroot(context);
    case OpCode::open_proc:
      return do_open_proc(context);
    case OpCode::console:
      return do_console(context, index, op);
    default:
      return {0, Step::bad_plan};
  }
}

Outcome execute_process_op(Context& context, std::uint32_t index, const Op& op) {
  switch (op.code) {
    case OpCode::hostname:
      return check(sys::run(__NR_sethostname, context.text(op, 0), op.n), Step::sethostname);
    case OpCode::domainname:
      return check(sys::run(__NR_setdomainname, context.text(op, 0), op.n), Step::setdomainname);
    case OpCode::sysctl:
      return do_sysctl(context, op);
    case OpCode::proc_write:
      return do_proc_write(context, op);
    case OpCode::rlimit:
      return do_rlimit(op);
    case OpCode::cpu_affinity:
      return check(sys::run(__NR_sched_setaffinity, 0, op.n, context.text(op, 0)),
                   Step::sched_setaffinity);
    case OpCode::personality:
      return check(sys::run(__NR_personality, op.a), Step::personality);
    case OpCode::memory_policy:
      // One more than the number of bits: the kernel subtracts one, see set_mempolicy(2).
      return check(sys::run(__NR_set_mempolicy, op.a, op.n == 0 ? nullptr : context.text(op, 0),
                            op.n == 0 ? 0UL : op.n * 8UL + 1),
                   Step::set_mempolicy);
    case OpCode::umask:
      sys::run(__NR_umask, op.a);
      return ok;
    case OpCode::working_directory:
      return do_working_directory(context, op);
    case OpCode::home_directory:
      do_home_directory(context, op);
      return ok;
    case OpCode::undumpable:
      return check(sys::run(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0), Step::prctl);
    case OpCode::no_new_privileges:
      return check(sys::run(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), Step::prctl);
    case OpCode::bounding_set:
      return do_bounding_set(op);
    case OpCode::keep_caps:
      return check(sys::run(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0), Step::prctl);
    case OpCode::identity:
      return do_identity(context, op);
    case OpCode::capabilities:
      return do_capabilities(op);
    case OpCode::seccomp:
      return do_seccomp(context, index, op);
    case OpCode::listener_thread:
      return do_listener_thread(context);
    case OpCode::find_program:
      return do_find_program(context, index, op);
    case OpCode::default_signals:
      do_default_signals();
      return ok;
    case OpCode::end_with_host:
      return do_end_with_host(context);
    case OpCode::announce:
      return announce(context, index);
    case OpCode::close_fds:
      return do_close_fds(context, op);
    case OpCode::start_gate:
      return do_start_gate(context, index, op);
    case OpCode::exec:
      return do_exec(context, op);
    case OpCode::appear:
      return do_appear(context, index, op);
    case OpCode::reap:
      return do_reap(context, index, op);
    default:
      return {0, Step::bad_plan};
  }
}

Outcome execute(Context& context, std::uint32_t index, const Op& op) {
  if (op.code <= OpCode::keyring) {
    return execute_namespace_op(context, index, op);
  }
  if (op.code <= OpCode::console) {
    return execute_mount_op(context, index, op);
  }
  return execute_process_op(context, index, op);
}

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
  sys::run(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0L, sizeof none);
  sys::run(__NR_prctl, PR_SET_NAME, "tare:init", 0, 0, 0);
  sys::run(__NR_umask, 0);
  const Outcome outcome = take_plan(context, parse_number(argv[2]), parse_number(argv[3]));
  if (outcome.failed()) {
    end_with_failure(context, ~std::uint32_t{0}, outcome);  // not an op of the plan
  }
  execute_from(context, 0);
}

void execute_from(Context& context, std::uint32_t index) {
  for (; index < context.plan->op_count; ++index) {
    const Outcome outcome = execute(context, index, context.ops[index]);
    if (outcome.failed()) {
      end_with_failure(context,
                       outcome.step == Step::stat && context.missing != 0 ? context.missing : index,
                       outcome);
    }
  }
  sys::exit(1);
}

void end_with_failure(Context& context, std::uint32_t index, Outcome outcome) {
  report(context, index, outcome);
  sys::exit(1);
}

}  // namespace init
