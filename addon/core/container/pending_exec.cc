#include "container/pending_exec.h"

#include <utility>

#include "tare/error.h"

namespace tare {

void rethrow_exec_failure(const Error& failure, const StateRecord& record) {
  if (failure.kind() != ErrorKind::system || open_process(record.pid, record.start_time)) {
    throw;
  }
  throw stopped_error();
}

void PendingExec::Impl::add_steps() {
  const auto schedule = [this] { set_scheduling(*init, *plan, process, source, has_cpuset); };
  const bool scheduled_last = waits_before(*plan, wire::WaitTag::go, wire::WaitTag::scheduling);
  if (!scheduled_last) {
    steps.emplace_back(schedule);
  }
  steps.emplace_back([this] {
    tare::prepare_console(*init, process, prepare_console);
    if (has_wait(*plan, wire::WaitTag::go)) {
      init->answer(wire::WaitTag::go);
    }
  });
  const auto enter = [this] {
    init->await(wire::WaitTag::cgroup);
    enter_cgroup(*init, record, may_fall_back, target);
    init->answer(wire::WaitTag::cgroup);
  };
  if (enters_cgroup && !target.paused) {
    steps.emplace_back(enter);
  }
  if (scheduled_last) {
    steps.emplace_back(schedule);
  }
  if (target.paused) {
    steps.emplace_back(enter);
    return;
  }
  steps.emplace_back(
      [this] { agent->serve(*init, spec_state(record, Status::running, record.pid)); });
  steps.emplace_back(
      [this] { finish(runtime, *init, "setns_init: about to exec ", process.args.front()); });
}

PendingExec::PendingExec(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PendingExec::PendingExec(PendingExec&&) noexcept = default;
PendingExec::~PendingExec() = default;

int PendingExec::fd() const noexcept { return impl_->init->channel(); }

bool PendingExec::advance(std::chrono::steady_clock::time_point deadline) {
  const ErrorContext context("exec in", impl_->record.id);
  impl_->init->limit(deadline);
  try {
    for (; !impl_->steps.empty(); impl_->steps.pop_front()) {
      impl_->steps.front()();
    }
    return true;
  } catch (const InitTimeout&) {
    return false;
  } catch (const Error& error) {
    rethrow_exec_failure(error, impl_->record);
  }
}

StartedProcess PendingExec::take() {
  const ErrorContext context("exec in", impl_->record.id);
  StartedProcess started =
      deliver(*impl_->init, impl_->console_socket.get(), impl_->pidfd_socket.get());
  write_pid_file(impl_->pid_file, started.pid);
  started.pidfd = impl_->init->release();
  return started;
}

}  // namespace tare
