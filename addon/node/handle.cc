#include "handle.h"

#include <signal.h>

#include <chrono>
#include <future>
#include <utility>

#include "pool.h"
#include "tare/error.h"

namespace tare::node {

std::shared_ptr<ProcessWatcher> Handle::init_watcher() {
  const std::lock_guard lock(mutex_);
  return init_;
}

void Handle::set_init(std::shared_ptr<ProcessWatcher> init) {
  const std::lock_guard lock(mutex_);
  init_ = std::move(init);
}

std::shared_ptr<Container> Handle::created() {
  const std::lock_guard lock(mutex_);
  if (removed_) throw no_such_container(runtime_, id_);
  return created_;
}

std::shared_ptr<Container> Handle::find() {
  std::shared_ptr<Container> container = created();
  return container ? container : std::make_shared<Container>(Container::open(runtime_, id_));
}

std::shared_ptr<Container> Handle::concurrent_container() {
  const std::lock_guard lock(concurrent_mutex_);
  const std::shared_ptr<Container> made = created();
  if (!made) return find();
  if (!concurrent_) concurrent_ = std::make_shared<Container>(made->reopen());
  return concurrent_;
}

void Handle::forget() {
  std::shared_ptr<Container> made;  // destroyed after the lock is released
  {
    const std::lock_guard lock(mutex_);
    removed_ = true;
    made.swap(created_);
  }
  const std::lock_guard lock(concurrent_mutex_);
  concurrent_.reset();
}

void Handle::discard(const std::shared_ptr<Container>& made) {
  {
    const std::lock_guard lock(mutex_);
    created_ = made;
  }
  try {
    made->remove(true);
  } catch (const Error&) {
    unremoved_ = shared_from_this();
    throw;
  }
  forget();
}

bool Handle::cancel_create() noexcept { return cancellation_ && cancellation_->cancel(); }

std::shared_ptr<Container> Handle::make(CreateOptions options) {
  if (!cancellation_) {
    return std::make_shared<Container>(Container::create(runtime_, id_, options));
  }
  options.cancellation = cancellation_;
  std::shared_ptr<Container> made;
  try {
    if (!cancellation_->is_cancelled()) {
      made = std::make_shared<Container>(Container::create(runtime_, id_, options));
    }
    if (cancellation_->complete()) return made;
    if (made) discard(made);
  } catch (const Error&) {
    // Killing what create() waits for makes it fail in many ways.
    if (!cancellation_->is_cancelled()) throw;
  }
  throw Cancelled("create " + id_ + ": was cancelled");
}

void Handle::create(const CreateOptions& options) {
  const Pool::Stay stay = options.ends_with_caller ? Pool::stay() : nullptr;
  const std::shared_ptr<Container> made = make(options);
  StartedProcess init = made->take_init();
  std::shared_ptr<ProcessWatcher> watcher;
  try {
    watcher = ProcessWatcher::watch_init(std::move(init.pidfd), true, made->has_reaper(),
                                         std::move(init.ending));
    if (stay) watcher->when_ended([stay](const Exit&) {});
  } catch (...) {
    discard(made);
    throw;
  }
  const std::lock_guard lock(mutex_);
  created_ = made;
  ends_with_init_ = made->ends_with_init();
  console_ = std::move(init.console);
  init_ = watcher;
}

Fd Handle::take_console() {
  const std::lock_guard lock(mutex_);
  if (init_) init_->keep_console(console_);
  return std::move(console_);
}

void Handle::hang_up() noexcept {
  if (const std::shared_ptr<ProcessWatcher> init = init_watcher()) init->hang_up();
}

std::shared_ptr<ProcessWatcher> Handle::watch_init() {
  Use container(*this);
  try {
    set_init(ProcessWatcher::watch_init(container->pidfd(), false, container->has_reaper(), {}));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_status) throw;
  }
  return init_watcher();
}

void Handle::kill(int signal, bool all) {
  bool to_init = !all;
  std::shared_ptr<ProcessWatcher> init;
  {
    const std::lock_guard lock(mutex_);
    if (signal == SIGKILL && !ends_with_init_) to_init = false;
    init = init_;
  }
  if (to_init && init) {
    const ErrorContext context("kill", id_);
    if (init->signal(signal)) return;
  }
  concurrent_container()->kill(signal, all);
}

void Handle::remove(bool force) {
  if (force && completion()) {
    end();  // its resource usage is still to be reported
    return;
  }
  Use(*this)->remove(force);
  forget();
}

void Handle::end_created() noexcept {
  try {
    if (created()) remove(true);
    unremoved_.reset();
  } catch (const std::exception&) {
    // remove_orphans() of another program will remove it.
  }
}

CgroupTotals Handle::end() {
  const std::optional<CgroupTotals> known = Use(*this)->end();
  forget();
  const CgroupTotals totals = known ? *known : totals_of_init();
  const std::lock_guard lock(mutex_);
  totals_ = totals;
  return totals;
}

CgroupTotals Handle::end_after_exit() {
  try {
    return end();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
  }
  {
    const std::lock_guard lock(mutex_);
    if (totals_) return *totals_;
  }
  return totals_of_init();
}

CgroupTotals Handle::totals_of_init() {
  CgroupTotals totals;
  if (const std::shared_ptr<ProcessWatcher> init = init_watcher()) {
    // The process has ended and is about to be reaped, unless another process has removed the
    // container's state and left it running: so this wait is bounded.
    const auto cpu = std::make_shared<std::promise<CpuStats>>();
    init->when_ended([cpu](const Exit& exit) { cpu->set_value(exit.cpu); });
    std::future<CpuStats> told = cpu->get_future();
    if (told.wait_for(std::chrono::seconds(1)) == std::future_status::ready) {
      totals.cpu = told.get();
    }
  }
  return totals;
}

std::shared_ptr<RunCompletion> Handle::completion() {
  const std::lock_guard lock(mutex_);
  return completion_;
}

void Handle::end_with_init(std::vector<std::shared_ptr<Output>> outputs) {
  const auto completion = std::make_shared<RunCompletion>(std::move(outputs));
  try {
    completion->begin();
  } catch (...) {
    remove(true);
    throw;
  }
  {
    const std::lock_guard lock(mutex_);
    completion_ = completion;
  }
  init_watcher()->when_ended([self = shared_from_this(), completion](const Exit& exit) {
    completion->process_ended(exit);
    self->submit_here(
        [self, completion] { completion->removed([&self] { return self->end_after_exit(); }); });
  });
}

}  // namespace tare::node
