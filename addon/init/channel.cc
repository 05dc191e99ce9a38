// init's side of the channel to the host: the reports, and the answers that init waits for.
#include <linux/socket.h>
#include <linux/uio.h>

#include "init.h"

namespace init {
namespace {

// linux/socket.h of the kernel's user API has no msghdr; its layout is part of the system call's
// ABI.
struct MessageHeader {
  void* name = nullptr;
  int name_size = 0;
  iovec* vectors = nullptr;
  std::size_t vector_count = 0;
  void* control = nullptr;
  std::size_t control_size = 0;
  unsigned flags = 0;
};

struct FdControl {
  std::size_t size = sizeof(std::size_t) + 2 * sizeof(int) + sizeof(int);
  int level = 1;  // SOL_SOCKET
  int type = 1;   // SCM_RIGHTS
  int fd = -1;
  int padding = 0;
};

constexpr long msg_cmsg_cloexec = 0x40000000;

struct FdsControl {
  std::size_t size = 0;
  int level = 0;
  int type = 0;
  int fds[tare::wire::max_requested_mounts] = {};
};

tare::wire::Report make_report(const Context& context, tare::wire::ReportKind kind, const Op& op,
                               std::uint32_t value) {
  tare::wire::Report message;
  message.kind = kind;
  message.op = context.index_of(op);
  message.value = value;
  return message;
}

// linux/socket.h has none of the MSG_ flags either. If the host has died, a send must not end init
// by SIGPIPE; init cannot ignore that signal, as the user's program would inherit it as ignored.
constexpr long msg_nosignal = 0x4000;
constexpr long msg_dontwait = 0x40;

long send(const Context& context, const tare::wire::Report& message) {
  long result = 0;
  do {
    result =
        sys::call(__NR_sendto, context.channel, &message, sizeof message, msg_nosignal, 0L, 0L);
  } while (result == -EINTR);
  return result;
}

}  // namespace

bool receive_plan(const Context& context, char* plan, unsigned long size) {
  constexpr long msg_trunc = 0x20;  // returns the message's size, not the number of bytes copied
  long result = 0;
  do {
    result = sys::call(__NR_recvfrom, context.channel, plan, size, msg_trunc, 0L, 0L);
  } while (result == -EINTR);
  return result == static_cast<long>(size);
}

void report(Context& context, const Op* op, Outcome outcome) {
  const std::uint32_t index = op == nullptr ? ~std::uint32_t{0} : context.index_of(*op);
  if (context.channel >= 0) {
    tare::wire::Report message;
    message.op = index;
    message.value = static_cast<std::uint32_t>(outcome.errnum);
    message.step = static_cast<std::uint32_t>(outcome.step);
    memcpy(message.detail, context.detail, sizeof message.detail);
    send(context, message);
  } else if (context.answer >= 0) {
    tare::wire::StartFailure message;
    message.from_end = context.plan->op_count - index;
    message.value = static_cast<std::uint32_t>(outcome.errnum);
    message.step = static_cast<std::uint32_t>(outcome.step);
    sys::write(context.answer, &message, sizeof message);
  }
}

namespace {

Outcome send_with_fd(const Context& context, tare::wire::Report message, int fd) {
  iovec vector{&message, sizeof message};
  FdControl control;
  control.fd = fd;
  MessageHeader header;
  header.vectors = &vector;
  header.vector_count = 1;
  header.control = &control;
  header.control_size = sizeof control;
  return check(sys::call(__NR_sendmsg, context.channel, &header, msg_nosignal), Step::sendmsg);
}

// Any other message, or the end of the channel, means that the host has given up or died: there is
// no process left to report to.
void check_answer(long size, const tare::wire::Answer& answer, std::uint64_t tag) {
  if (size != sizeof answer || answer.go != tag) {
    sys::exit(1);
  }
}

Outcome read_answer(int answers, std::uint64_t tag) {
  tare::wire::Answer answer;
  long result = 0;
  do {
    result = sys::call(__NR_read, answers, &answer, sizeof answer);
  } while (result == -EINTR);
  if (result < 0) {
    return failure(result, Step::recv);
  }
  check_answer(result, answer, tag);
  return ok;
}

}  // namespace

Outcome do_wait(Context& context, const Op& op) {
  const int answers = context.answers(op);
  const std::uint64_t tag = op.a;
  if (const std::uint32_t bit = 1U << (tag & 31); (context.early & bit) != 0) {
    context.early &= ~bit;
    return ok;
  }
  tare::wire::Answer answer;
  // Often the answer has arrived already, and the host need not be woken.
  long result = sys::call(__NR_recvfrom, answers, &answer, sizeof answer, msg_dontwait, 0L, 0L);
  if (result == -EAGAIN) {
    result = send(context, make_report(context, tare::wire::ReportKind::waiting, op,
                                       static_cast<std::uint32_t>(tag)));
    return result < 0 ? failure(result, Step::sendmsg) : read_answer(answers, tag);
  }
  if (result < 0) {
    return failure(result, Step::recv);
  }
  check_answer(result, answer, tag);
  return ok;
}

namespace {

// Receives the next answer and the file descriptors that come with it.
long receive_fds(const Context& context, tare::wire::Answer& answer, FdsControl& control,
                 std::size_t& control_size) {
  iovec vector{&answer, sizeof answer};
  MessageHeader header;
  header.vectors = &vector;
  header.vector_count = 1;
  long result = 0;
  do {
    header.control = &control;
    header.control_size = sizeof control;
    result = sys::call(__NR_recvmsg, context.channel, &header, msg_cmsg_cloexec);
  } while (result == -EINTR);
  control_size = header.control_size;
  return result;
}

}  // namespace

Outcome do_request_mounts(Context& context, const Op& op) {
  const bool postpone = (op.flags & tare::wire::op_try_first) != 0;
  context.postponed_request = postpone ? &op : nullptr;
  return postpone ? ok : request_mounts(context, op);
}

Outcome request_mounts(Context& context, const Op& op) {
  constexpr auto tag = static_cast<std::uint32_t>(tare::wire::WaitTag::mounts);
  const std::uint32_t count = op.n;
  context.postponed_request = nullptr;
  if (count > tare::wire::max_requested_mounts) {
    return {0, Step::bad_plan};
  }
  long result = send(context, make_report(context, tare::wire::ReportKind::waiting, op, tag));
  if (result < 0) {
    return failure(result, Step::sendmsg);
  }
  FdsControl control;
  std::size_t control_size = 0;
  for (;;) {
    tare::wire::Answer answer;
    result = receive_fds(context, answer, control, control_size);
    if (result < 0) {
      return failure(result, Step::recv);
    }
    const bool early =
        (op.flags & tare::wire::op_try_first) != 0 && answer.go != tag && answer.go < 32;
    check_answer(result, answer, early ? answer.go : tag);
    if (!early) {
      break;
    }
    // The host sent this answer to a later wait before it read the request.
    context.early |= 1U << answer.go;
  }
  const std::size_t wanted = sizeof(std::size_t) + 2 * sizeof(int) + count * sizeof(int);
  if (control_size < wanted || control.size != wanted) {
    return {EMFILE, Step::recv};  // the kernel drops descriptors for which there is no room
  }
  memcpy(context.requested, control.fds, count * sizeof(int));
  return ok;
}

Outcome do_announce(Context& context, const Op& op) {
  if (context.listener_thread_reported) {
    return ok;
  }
  return check(send(context, make_report(context, tare::wire::ReportKind::executing, op, 0)),
               Step::sendmsg);
}

Outcome report_child(const Context& context, const Op& op, long pid) {
  return check(send(context, make_report(context, tare::wire::ReportKind::forked, op,
                                         static_cast<std::uint32_t>(pid))),
               Step::sendmsg);
}

Outcome report_mount(const Context& context, const Op& op, std::uint64_t number) {
  tare::wire::Report message =
      make_report(context, tare::wire::ReportKind::mounted, op, static_cast<std::uint32_t>(number));
  message.step = static_cast<std::uint32_t>(number >> 32);
  return check(send(context, message), Step::sendmsg);
}

void end_without_host(const Context& context) {
  constexpr long msg_peek = 2;
  char byte = 0;
  const long result = sys::call(__NR_recvfrom, context.channel, &byte, sizeof byte,
                                msg_peek | msg_dontwait, 0L, 0L);
  if (result == 0 || result == -ECONNRESET) {
    sys::exit(1);
  }
}

Outcome send_console(const Context& context, const Op& op, int master) {
  return send_with_fd(context, make_report(context, tare::wire::ReportKind::console, op, 0),
                      master);
}

Outcome send_listener(const Context& context, const Op& op, int listener) {
  constexpr auto tag = static_cast<std::uint32_t>(tare::wire::WaitTag::listener);
  const Outcome sent = send_with_fd(
      context, make_report(context, tare::wire::ReportKind::listener, op, tag), listener);
  return sent.failed() ? sent : read_answer(context.answers(op), tag);
}

}  // namespace init
