/// \file
/// The native side of a JavaScript container object, as pool threads use it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "output.h"
#include "process_watcher.h"
#include "run_completion.h"
#include "tare/container.h"

namespace tare::node {

/// Thrown by create() after cancel_create().
class Cancelled : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Handle : public std::enable_shared_from_this<Handle> {
 public:
  Handle(Runtime runtime, std::string id) : runtime_(std::move(runtime)), id_(std::move(id)) {}

  /// Must be called before create() is submitted.
  void make_cancellable() { cancellation_ = std::make_shared<Cancellation>(); }

  // From any thread, without waiting:

  /// Has a pool thread call `task` when all earlier ones of this container have ended: the calls of
  /// one object are carried out in their order, and none holds a thread by waiting.
  void submit(std::function<void()> task);
  /// The same, but later tasks do not wait for its end: for work that the container's processes can
  /// delay for as long as they like.
  void submit_unordered(std::function<void()> task);
  /// For kill(), which may be needed to end an earlier task that hangs: it waits for earlier tasks
  /// no longer than a moment.
  void submit_kill(std::function<void()> task);
  /// For forced removal: waits a moment for earlier tasks, then kills the container.
  void submit_end(std::function<void()> task);
  /// Sends a signal that only the container's own process is to get. Returns false if other
  /// processes must get it too, if earlier tasks must come first, or if there is no process to
  /// signal. Throws `system`.
  bool signal_in_order(int number);
  /// Makes create() kill what it waits for, undo what it has made, and throw Cancelled; a create()
  /// that has not begun makes nothing. Returns false if it has succeeded already or cannot be
  /// cancelled.
  bool cancel_create() noexcept;
  /// Sends SIGKILL, regardless of earlier tasks. Returns false as signal_in_order() does.
  bool kill_init() noexcept;

  /// Returns the container's own process if it is watched already, else null.
  std::shared_ptr<ProcessWatcher> init_watcher();
  /// Returns what end_with_init() has set up, else null.
  std::shared_ptr<RunCompletion> completion();
  /// Gives the terminal master of a container that this process created to the first caller, and
  /// keeps a duplicate open until the container's process has ended or hang_up() is called; else
  /// -1.
  Fd take_console();
  /// Closes that duplicate.
  void hang_up() noexcept;

  // In a pool thread, within a task or not:

  void kill(int signal, bool all);
  /// Returns the container, for work that runs beside tasks.
  std::shared_ptr<Container> concurrent_container();

  // Within a task:

  void create(const CreateOptions& options);
  /// Has the container, which this process must have created, removed as soon as its process has
  /// ended, and `outputs` collected.
  void end_with_init(std::vector<std::shared_ptr<Output>> outputs);
  /// The container. One that this process created stays open until it is removed; another one is
  /// opened for each call, so that unused objects hold no file descriptors. Throws `not_found` if
  /// this object has removed it, even if the id is in use again.
  class Use {
   public:
    explicit Use(Handle& handle) : container_(handle.find()) {}
    Container* operator->() { return container_.get(); }
    Container& operator*() { return *container_; }

   private:
    std::shared_ptr<Container> container_;
  };
  /// Watches the container's own process; returns null if that has ended and was not watched
  /// before.
  std::shared_ptr<ProcessWatcher> watch_init();
  void remove(bool force);
  /// Kills and removes what create() has made, if it is still there. Ignores errors.
  void end_created() noexcept;
  CgroupTotals end();

 private:
  struct Task {
    std::function<void()> call;
    bool unordered = false;
  };

  /// Returns the totals of a container without a cgroup: the usage that the kernel reports when its
  /// process is reaped.
  CgroupTotals totals_of_init();
  /// end() of a container whose process has ended and which other programs may have removed.
  CgroupTotals end_after_exit();
  /// Container::create(), which cancel_create() may stop.
  std::shared_ptr<Container> make(CreateOptions options);
  /// Removes a container that create() has made but does not return. If that fails, this object
  /// stays alive for end_created() to try again.
  void discard(const std::shared_ptr<Container>& made);
  /// Returns false if another task comes first.
  bool submit_task(Task task);
  /// submit() from within a pool thread.
  void submit_here(std::function<void()> task);
  /// Queues a task. Returns false if another task is running, which must end first.
  bool add(Task&& task);
  void run_tasks();
  void set_init(std::shared_ptr<ProcessWatcher> init);
  /// Returns what create() has made, or null if it was not called. Throws `not_found` after the
  /// removal.
  std::shared_ptr<Container> created();
  std::shared_ptr<Container> find();
  /// Releases the container after its removal.
  void forget();

  const Runtime runtime_;
  const std::string id_;
  std::shared_ptr<Cancellation> cancellation_;  // of create(); may be null

  std::mutex mutex_;
  std::shared_ptr<Container> created_;
  bool ends_with_init_ = false;  // false if unknown
  bool removed_ = false;
  std::shared_ptr<Handle> unremoved_;   // this object, while its discarded container exists
  std::optional<CgroupTotals> totals_;  // once it is removed
  Fd console_;
  std::shared_ptr<ProcessWatcher> init_;
  std::shared_ptr<RunCompletion> completion_;
  std::deque<Task> tasks_;  // the first one is running

  std::mutex concurrent_mutex_;            // locked before mutex_
  std::shared_ptr<Container> concurrent_;  // a second object for created_
};

}  // namespace tare::node
