#include "cgroup_events.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <exception>

#include "convert.h"
#include "module.h"
#include "tare/error.h"

namespace tare::node {

CgroupEvents::CgroupEvents(CgroupWatch watch)
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

void CgroupEvents::next(Callback callback) {
  const std::lock_guard lock(mutex_);
  Pool::instance().watch(epoll_.get(), shared_from_this());
  callback_ = std::move(callback);
}

void CgroupEvents::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  eventfd_write(wake_.get(), 1);
}

void CgroupEvents::ready(WatchId watch) noexcept {
  std::unique_lock lock(mutex_);
  CgroupEvent events{.oom_kills = 0, .ended = true};
  if (!cancelled_) {
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
    try {
      events = watch_.take();
      if (events.oom_kills == 0 && !events.ended) {
        Pool::instance().watch_again(epoll_.get(), watch);
        return;
      }
    } catch (const std::exception&) {
      events.ended = true;
    }
  }
  Pool::instance().forget(epoll_.get(), watch);
  const Callback callback = std::exchange(callback_, nullptr);
  lock.unlock();
  callback(events);
}

Napi::Function CgroupEventsObject::define(Napi::Env env) {
  return DefineClass(env, "CgroupEvents",
                     {InstanceMethod<&CgroupEventsObject::next>("next"),
                      InstanceMethod<&CgroupEventsObject::cancel>("cancel")});
}

Napi::Object CgroupEventsObject::make(Napi::Env env, std::shared_ptr<CgroupEvents> events) {
  return AddonData::of(env).cgroup_events_class.New(
      {Napi::External<std::shared_ptr<CgroupEvents>>::New(env, &events)});
}

CgroupEventsObject::CgroupEventsObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info),
      events_(*info[0].As<Napi::External<std::shared_ptr<CgroupEvents>>>().Data()) {}

Napi::Value CgroupEventsObject::next(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  const std::shared_ptr<EventLoop> loop = AddonData::of(env).loop;
  try {
    events_->next([deferred, loop](const CgroupEvent& events) {
      loop->complete([deferred, events](Napi::Env there) {
        Napi::Object object = Napi::Object::New(there);
        object.Set("oomKills", Napi::Number::New(there, static_cast<double>(events.oom_kills)));
        object.Set("ended", Napi::Boolean::New(there, events.ended));
        deferred.Resolve(object);
      });
    });
    loop->expect();
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  return deferred.Promise();
}

Napi::Value CgroupEventsObject::cancel(const Napi::CallbackInfo& info) {
  events_->cancel();
  return info.Env().Undefined();
}

}  // namespace tare::node
