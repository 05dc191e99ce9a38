// events.
#include <poll.h>

#include <cerrno>
#include <chrono>

#include "commands/commands.h"
#include "log.h"
#include "parse/parse.h"
#include "tare/error.h"

namespace tare::cli {

namespace {

using Clock = std::chrono::steady_clock;
using Interval = std::chrono::nanoseconds;

std::string event(const char* type, const std::string& id, const std::string& data) {
  // An id has no characters that JSON would have to escape.
  return std::string(R"({"type":")") + type + R"(","id":")" + id + "\"" +
         (data.empty() ? "" : ",\"data\":" + data) + "}\n";
}

void print_stats(const Container& container) {
  print(event("stats", container.id(), stats_json(container.stats(), container.rdt_stats_json())));
}

/// Polls until `when`; returns whether there is something to read.
bool wait_readable(int fd, Clock::time_point when) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - Clock::now()).count();
    constexpr std::int64_t most = 24L * 60 * 60 * 1000;
    pollfd polled = {.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, most)));
    if (ready > 0) return true;
    if (ready == 0 && left <= most) return false;
    if (ready < 0 && errno != EINTR) throw_errno("poll");
  }
}

void follow(const Container& container, CgroupWatch& watch, Interval interval) {
  Clock::time_point next = Clock::now() + interval;
  while (true) {
    if (wait_readable(watch.fd(), next)) {
      const CgroupEvent happened = watch.take();
      for (std::uint64_t i = 0; i < happened.oom_kills; i++)
        print(event("oom", container.id(), ""));
      if (happened.ended) return;
      continue;
    }
    try {
      print_stats(container);
    } catch (const Error& error) {
      // The container may be ending: the watch reports that.
      log::error(error.what());
    }
    // Intervals that a slow reader has missed are skipped.
    const auto now = Clock::now();
    if (next <= now) next += interval * ((now - next) / interval + 1);
  }
}

}  // namespace

int events(const Call& call) {
  const Arguments& given = call.arguments;
  const Interval interval = given.given(flag::interval) ? parse_interval(given.text(flag::interval))
                                                        : std::chrono::seconds(5);
  const Container container = Container::open(call.runtime, call.id());
  if (interval <= Interval::zero()) {
    throw Error(ErrorKind::invalid_argument, "--interval " + given.text(flag::interval) +
                                                 ": duration interval must be greater than 0");
  }
  CgroupWatch watch = container.watch();
  if (given.is_set(flag::stats)) {
    print_stats(container);
    return 0;
  }
  if (!watch.tells_oom()) {
    log::warning("events " + container.id() +
                 ": OOM kills are not reported: the container's cgroup has no memory controller");
  }
  follow(container, watch, interval);
  return 0;
}

}  // namespace tare::cli
