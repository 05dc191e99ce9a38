#include "handle.h"

#include <chrono>
#include <future>
#include <utility>

#include "pool.h"
#include "tare/error.h"

namespace tare::node {

bool Handle::add(std::function<void()>&& task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  return tasks_.size() == 1;
}

void Handle::submit(std::function<void()> task) {
  if (!add(std::move(task))) return;
  try {
    Pool::instance().submit([self = shared_from_this()] { self->run_tasks(); });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    tasks_.pop_back();
    throw;
  }
}

void Handle::submit_here(std::function<void()> task) {
  if (add(std::move(task))) {
    Pool::instance().submit_here([self = shared_from_this()] { self->run_tasks(); });
  }
}

void Handle::run_tasks() {
  std::unique_lock lock(mutex_);
  do {
    std::function<void()> task = std::move(tasks_.front());
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    tasks_.pop_front();
  } while (!tasks_.empty());
}

std::shared_ptr<Watched> Handle::watched_init() {
  const std::lock_guard lock(mutex_);
  return init_;
}

void Handle::set_init(std::shared_ptr<Watched> init) {
  const std::lock_guard lock(mutex_);
  init_ = std::move(init);
}

Handle::Use::Use(Handle& handle) : held_(handle.created_ ? &*handle.created_ : nullptr) {
  if (held_ == nullptr) opened_.emplace(Container::open(handle.runtime_, handle.id_));
}

void Handle::create(const CreateOptions& options) {
  const Pool::Stay stay = options.ends_with_caller ? Pool::stay() : nullptr;
  created_.emplace(Container::create(runtime_, id_, options));
  StartedProcess init = created_->take_init();
  {
    const std::lock_guard lock(mutex_);
    console_ = std::move(init.console);
  }
  const std::shared_ptr<Watched> watched = Watched::watch(std::move(init.pidfd), true);
  if (stay) watched->when_ended([stay](const Exit&) {});
  set_init(watched);
}

int Handle::take_console() {
  const std::lock_guard lock(mutex_);
  return console_ ? console_.release() : -1;
}

std::shared_ptr<Watched> Handle::watch_init() {
  Use container(*this);
  try {
    set_init(Watched::watch(container->pidfd(), false));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_status) throw;
  }
  return watched_init();
}

void Handle::remove(bool force) {
  Use(*this)->remove(force);
  created_.reset();
}

void Handle::end_created() noexcept {
  try {
    if (created_) remove(true);
  } catch (const std::exception&) {
    // remove_orphans() of another program comes for it.
  }
}

CgroupTotals Handle::end() {
  const std::optional<CgroupTotals> totals = Use(*this)->end();
  created_.reset();
  return totals ? *totals : totals_of_init();
}

CgroupTotals Handle::totals_of_init() {
  CgroupTotals totals;
  if (const std::shared_ptr<Watched> init = watched_init()) {
    // It has ended, and is just being reaped; unless somebody took its state away and let it live.
    const auto cpu = std::make_shared<std::promise<CpuStats>>();
    init->when_ended([cpu](const Exit& exit) { cpu->set_value(exit.cpu); });
    std::future<CpuStats> told = cpu->get_future();
    if (told.wait_for(std::chrono::seconds(1)) == std::future_status::ready) {
      totals.cpu = told.get();
    }
  }
  return totals;
}

std::shared_ptr<Conclusion> Handle::conclusion() {
  const std::lock_guard lock(mutex_);
  return conclusion_;
}

void Handle::end_with_init(std::vector<std::shared_ptr<Output>> outputs) {
  const auto conclusion = std::make_shared<Conclusion>(std::move(outputs));
  try {
    conclusion->begin();
  } catch (...) {
    remove(true);
    throw;
  }
  {
    const std::lock_guard lock(mutex_);
    conclusion_ = conclusion;
  }
  watched_init()->when_ended([self = shared_from_this(), conclusion](const Exit& exit) {
    conclusion->process_ended(exit);
    self->submit_here([self, conclusion] { conclusion->removed([&self] { return self->end(); }); });
  });
}

}  // namespace tare::node
