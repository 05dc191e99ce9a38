/// \file
/// What a container object of JavaScript stands for, as pool threads use it.
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

#include "conclusion.h"
#include "output.h"
#include "tare/container.h"
#include "watched.h"

namespace tare::node {

/// What cancel_create() makes of create().
class Cancelled : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Handle : public std::enable_shared_from_this<Handle> {
 public:
  Handle(Runtime runtime, std::string id) : runtime_(std::move(runtime)), id_(std::move(id)) {}

  /// To be called before create() is submitted.
  void make_cancellable() { cancellation_ = std::make_shared<Cancellation>(); }

  // From any thread, without waiting:

  /// Has a pool thread call `task` when all earlier ones of this container have ended, so that the
  /// calls of one object are carried out in their order, and none holds a thread by waiting.
  void submit(std::function<void()> task);
  /// The same, but later ones do not wait for its end: for what the container's processes can hold
  /// up for as long as they like.
  void submit_beside(std::function<void()> task);
  /// For kill(), which may be what ends an earlier task that hangs: it does not wait for those
  /// longer than a moment.
  void submit_kill(std::function<void()> task);
  /// For what removes the container by force: it waits for earlier ones, but after a moment the
  /// container is killed.
  void submit_end(std::function<void()> task);
  /// Sends a signal that the container's own process alone is to get; false where that is not so,
  /// where earlier tasks are to come before it, or where there is nobody to get it. Throws
  /// `system`.
  bool signal_in_order(int number);
  /// Has create() kill what it waits for, undo what it has made, and throw Cancelled; one that
  /// has not begun makes nothing. False: it has succeeded before, or cannot be cancelled.
  bool cancel_create() noexcept;
  /// SIGKILL, whatever comes before. False as above.
  bool kill_init() noexcept;

  /// The container's own process, where it is watched already.
  std::shared_ptr<Watched> watched_init();
  /// What there is to tell then.
  std::shared_ptr<Conclusion> conclusion();
  /// The master of the terminal of a container that this process created, for who asks first.
  int take_console();

  // In a pool thread, within a task or not:

  void kill(int signal, bool all);
  /// The container, for what goes on beside tasks.
  std::shared_ptr<Container> beside();

  // Within a task:

  void create(const CreateOptions& options);
  /// Has the container, which this process has created, removed as soon as its process has ended,
  /// and `outputs` collected.
  void end_with_init(std::vector<std::shared_ptr<Output>> outputs);
  /// The container. One that this process created stays open until it is removed; another is opened
  /// for each call, so that objects that nobody uses any more hold no file descriptors. Throws
  /// `not_found` where this object has removed it, whoever has its id since.
  class Use {
   public:
    explicit Use(Handle& handle) : container_(handle.find()) {}
    Container* operator->() { return container_.get(); }
    Container& operator*() { return *container_; }

   private:
    std::shared_ptr<Container> container_;
  };
  /// Watches the container's own process; empty where that has ended and was not watched before.
  std::shared_ptr<Watched> watch_init();
  void remove(bool force);
  /// Kills and removes what create() has made, if it is still there. Fails silently.
  void end_created() noexcept;
  CgroupTotals end();

 private:
  struct Task {
    std::function<void()> call;
    bool beside = false;
  };

  /// Where there is no cgroup to tell: what the kernel tells who reaps its process.
  CgroupTotals totals_of_init();
  /// end() of one whose process has ended, and which others may have removed.
  CgroupTotals conclude();
  /// Container::create(), which cancel_create() may stop.
  std::shared_ptr<Container> make(CreateOptions options);
  /// Removes what create() has made and does not hand out. Where that fails, this object stays for
  /// end_created() to try again.
  void discard(const std::shared_ptr<Container>& made);
  /// False where another one comes first.
  bool submit_task(Task task);
  /// As submit(), within a pool thread.
  void submit_here(std::function<void()> task);
  /// Adds a task; false where another one is running, after which it comes.
  bool add(Task&& task);
  void run_tasks();
  void set_init(std::shared_ptr<Watched> init);
  /// What create() has made; none where that is removed, or was not called.
  std::shared_ptr<Container> created();
  std::shared_ptr<Container> find();
  /// After the removal.
  void forget();

  const Runtime runtime_;
  const std::string id_;
  std::shared_ptr<Cancellation> cancellation_;  // of create(); may be null

  std::mutex mutex_;
  std::shared_ptr<Container> created_;
  bool ends_with_init_ = false;  // where it is known
  bool removed_ = false;
  std::shared_ptr<Handle> unremoved_;   // itself, while a container is left that nobody asks for
  std::optional<CgroupTotals> totals_;  // where it is removed
  Fd console_;
  std::shared_ptr<Watched> init_;
  std::shared_ptr<Conclusion> conclusion_;
  std::deque<Task> tasks_;  // the first one is running

  std::mutex beside_mutex_;            // before mutex_
  std::shared_ptr<Container> beside_;  // of created_
};

}  // namespace tare::node
