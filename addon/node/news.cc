#include "news.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <exception>

#include "convert.h"
#include "module.h"
#include "tare/error.h"

namespace tare::node {

News::News(CgroupWatch watch)
    // The eventfd starts at 1, so that the first look does not wait: events from before the watch
    // began are not notified.
    : watch_(std::move(watch)),
      wake_(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  for (const int fd : {watch_.fd(), wake_.get()}) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl");
  }
}

void News::next(Callback callback) {
  const std::lock_guard lock(mutex_);
  Pool::instance().watch(epoll_.get(), *this);
  callback_ = std::move(callback);
  self_ = shared_from_this();
}

void News::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  eventfd_write(wake_.get(), 1);
}

void News::ready() noexcept {
  std::unique_lock lock(mutex_);
  Pool::instance().forget(epoll_.get());
  CgroupNews news{.oom_kills = 0, .ended = true};
  if (!cancelled_) {
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
    try {
      news = watch_.take();
      if (news.oom_kills == 0 && !news.ended) {
        Pool::instance().watch(epoll_.get(), *this);
        return;
      }
    } catch (const std::exception&) {
      news.ended = true;
    }
  }
  const std::shared_ptr<News> self = std::move(self_);  // destroyed last
  const Callback callback = std::exchange(callback_, nullptr);
  lock.unlock();
  callback(news);
}

Napi::Function NewsObject::define(Napi::Env env) {
  return DefineClass(
      env, "News",
      {InstanceMethod<&NewsObject::next>("next"), InstanceMethod<&NewsObject::cancel>("cancel")});
}

Napi::Object NewsObject::make(Napi::Env env, std::shared_ptr<News> news) {
  return AddonData::of(env).news_class.New(
      {Napi::External<std::shared_ptr<News>>::New(env, &news)});
}

NewsObject::NewsObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), news_(*info[0].As<Napi::External<std::shared_ptr<News>>>().Data()) {}

Napi::Value NewsObject::next(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  const std::shared_ptr<EventLoop> loop = AddonData::of(env).loop;
  try {
    news_->next([deferred, loop](const CgroupNews& news) {
      loop->complete([deferred, news](Napi::Env there) {
        Napi::Object object = Napi::Object::New(there);
        object.Set("oomKills", Napi::Number::New(there, static_cast<double>(news.oom_kills)));
        object.Set("ended", Napi::Boolean::New(there, news.ended));
        deferred.Resolve(object);
      });
    });
    loop->expect();
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  return deferred.Promise();
}

Napi::Value NewsObject::cancel(const Napi::CallbackInfo& info) {
  news_->cancel();
  return info.Env().Undefined();
}

}  // namespace tare::node
