// Answers the requests of init for mounts that the host has to open (op request_mounts).
#include <algorithm>

#include "spawn/requested_mounts.h"

namespace tare {
namespace {

/// Whether init sends this request only if it cannot open one of the mounts itself.
bool is_optional(const wire::Op& op) {
  return op.code == wire::OpCode::request_mounts && (op.flags & wire::op_try_first) != 0;
}

void open_and_send(InitProcess& init, const Plan& plan, const std::vector<int>& passed,
                   const wire::Op& op) {
  const std::vector<Fd> opened = open_requested_mounts(init, plan, passed, op.a, op.n);
  std::vector<int> fds;
  for (const Fd& fd : opened) {
    fds.push_back(fd.get());
  }
  init.send_mounts(fds);
}

}  // namespace

void answer_mount_requests(InitProcess& init, const Plan& plan, const std::vector<int>& passed) {
  for (const wire::Op& op : plan.ops()) {
    if (op.code == wire::OpCode::request_mounts && !is_optional(op)) {
      init.await(wire::WaitTag::mounts);
      open_and_send(init, plan, passed, op);
    }
  }
}

bool InitProcess::may_request_mounts() const {
  return std::ranges::any_of(plan_->ops(), is_optional);
}

bool InitProcess::handle_request(const Message& message) {
  if (!message.trusted || message.report.op >= plan_->ops().size()) {
    return false;
  }
  const wire::Op& op = plan_->ops()[message.report.op];
  if (!is_optional(op)) {
    return false;
  }
  // None of these mounts is id-mapped.
  open_and_send(*this, *plan_, {}, op);
  return true;
}

}  // namespace tare
