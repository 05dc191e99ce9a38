/// \file
/// Waits for events of a container without a thread.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "pool.h"
#include "tare/container.h"

namespace tare::node {

/// Reports the events of a CgroupWatch, to one caller at a time.
class CgroupEvents final : public Source, public std::enable_shared_from_this<CgroupEvents> {
 public:
  /// Throws `system`.
  explicit CgroupEvents(CgroupWatch watch);

  using Callback = std::function<void(const CgroupEvent&)>;
  /// Calls back once, on a pool thread, when there is something new. Must not be called again
  /// before that. Throws `system`.
  void next(Callback callback);
  /// Makes the pending next() and all later ones report the end.
  void cancel() noexcept;

 private:
  void ready(WatchId watch) noexcept override;

  CgroupWatch watch_;
  Fd wake_;   // an eventfd: look at the watch even if it reports nothing
  Fd epoll_;  // the other two
  std::mutex mutex_;
  bool cancelled_ = false;
  Callback callback_;
};

/// The JavaScript object of CgroupEvents.
class CgroupEventsObject : public Napi::ObjectWrap<CgroupEventsObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object make(Napi::Env env, std::shared_ptr<CgroupEvents> events);

  explicit CgroupEventsObject(const Napi::CallbackInfo& info);

 private:
  /// A promise of `{oomKills, ended}`.
  Napi::Value next(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<CgroupEvents> events_;
};

}  // namespace tare::node
