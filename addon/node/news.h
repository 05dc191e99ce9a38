/// \file
/// What happens in a container, awaited without a thread.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "pool.h"
#include "tare/container.h"

namespace tare::node {

/// Tells what a watch has to tell, to one who asks at a time.
class News final : public Source, public std::enable_shared_from_this<News> {
 public:
  /// Throws `system`.
  explicit News(CgroupWatch watch);

  using Callback = std::function<void(const CgroupNews&)>;
  /// Calls back once, on a pool thread, when there is something new. Must not be called again
  /// before that. Throws `system`.
  void next(Callback callback);
  /// Who is asking, or asks from now on, is told of the end.
  void cancel() noexcept;

 private:
  void ready() noexcept override;

  CgroupWatch watch_;
  Fd wake_;   // an eventfd: have a look, whether or not the watch has news
  Fd epoll_;  // both
  std::mutex mutex_;
  bool cancelled_ = false;
  Callback callback_;
  std::shared_ptr<News> self_;  // while somebody asks
};

/// The same as JavaScript sees it.
class NewsObject : public Napi::ObjectWrap<NewsObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object make(Napi::Env env, std::shared_ptr<News> news);

  explicit NewsObject(const Napi::CallbackInfo& info);

 private:
  /// A promise of `{oomKills, ended}`.
  Napi::Value next(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<News> news_;
};

}  // namespace tare::node
