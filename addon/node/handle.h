/// \file
/// What a container object of JavaScript stands for, as pool threads use it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "conclusion.h"
#include "output.h"
#include "tare/container.h"
#include "watched.h"

namespace tare::node {

class Handle : public std::enable_shared_from_this<Handle> {
 public:
  Handle(Runtime runtime, std::string id) : runtime_(std::move(runtime)), id_(std::move(id)) {}

  /// Has a pool thread call `task` when all earlier ones of this container have ended, so that the
  /// calls of one object are carried out in their order, and none holds a thread by waiting.
  void submit(std::function<void()> task);

  /// The container's own process, where it is watched already. From any thread.
  std::shared_ptr<Watched> watched_init();

  /// What there is to tell then. From any thread.
  std::shared_ptr<Conclusion> conclusion();

  // Within a task:
  void create(const CreateOptions& options);
  /// Has the container, which this process has created, removed as soon as its process has ended,
  /// and `outputs` collected.
  void end_with_init(std::vector<std::shared_ptr<Output>> outputs);
  /// The master of the terminal of a container that this process created, for who asks first.
  int take_console();
  /// The container. One that this process created stays open until it is removed; another is opened
  /// for each call, so that objects that nobody uses any more hold no file descriptors.
  class Use {
   public:
    explicit Use(Handle& handle);
    Container* operator->() { return opened_ ? &*opened_ : held_; }
    Container& operator*() { return *operator->(); }

   private:
    std::optional<Container> opened_;
    Container* held_;
  };
  /// Watches the container's own process; empty where that has ended and was not watched before.
  std::shared_ptr<Watched> watch_init();
  void remove(bool force);
  /// Kills and removes what create() has made, if it is still there. Fails silently.
  void end_created() noexcept;
  CgroupTotals end();

 private:
  /// Where there is no cgroup to tell: what the kernel tells who reaps its process.
  CgroupTotals totals_of_init();
  /// As submit(), within a pool thread.
  void submit_here(std::function<void()> task);
  /// Adds a task; false where another one is running, after which it comes.
  bool add(std::function<void()>&& task);
  void run_tasks();
  void set_init(std::shared_ptr<Watched> init);

  const Runtime runtime_;
  const std::string id_;
  std::optional<Container> created_;

  std::mutex mutex_;
  Fd console_;
  std::shared_ptr<Watched> init_;
  std::shared_ptr<Conclusion> conclusion_;
  std::deque<std::function<void()>> tasks_;  // the first one is running
};

}  // namespace tare::node
