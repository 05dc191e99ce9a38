// events.
#include <poll.h>

#include <cerrno>
#include <charconv>
#include <chrono>

#include "commands.h"
#include "log.h"
#include "tare/error.h"

namespace tare::cli {

namespace {

using Clock = std::chrono::steady_clock;
using Interval = std::chrono::nanoseconds;

[[noreturn]] void refuse_interval(const std::string& text) {
  throw UsageError{"invalid value \"" + text +
                   "\" for flag --interval: expected a duration such as 500ms, 5s or 1m30s"};
}

/// Nanoseconds of a unit; 0 where it is none.
double unit_length(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\u00b5s" || unit == "\u03bcs") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  return unit == "h" ? 3600e9 : 0;
}

/// "1m30s", "1.5h", "100ms": decimal numbers, each with its unit.
Interval parse_interval(const std::string& text) {
  std::string_view rest = text;
  double length = 0;
  if (rest.empty()) refuse_interval(text);
  while (!rest.empty()) {
    const auto end_of_number = std::min(rest.find_first_not_of("0123456789."), rest.size());
    const auto end_of_unit =
        std::min(rest.find_first_of("0123456789.", end_of_number), rest.size());
    std::string_view number = rest.substr(0, end_of_number);
    const double unit = unit_length(rest.substr(end_of_number, end_of_unit - end_of_number));
    const auto dot = std::min(number.find('.'), number.size());
    std::uint64_t whole = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + dot, whole);
    if (error != std::errc() || end != number.data() + dot || unit == 0) {
      refuse_interval(text);
    }
    double value = static_cast<double>(whole);
    double place = 0.1;
    for (const char digit : number.substr(std::min(dot + 1, number.size()))) {
      if (digit == '.') refuse_interval(text);
      value += (digit - '0') * place;
      place /= 10;
    }
    length += value * unit;
    rest.remove_prefix(end_of_unit);
  }
  // Some hundred years, what 64 bits of nanoseconds hold.
  if (length > 9e18) refuse_interval(text);
  return Interval(static_cast<std::int64_t>(length));
}

std::string event(const char* type, const std::string& id, const std::string& data) {
  // An id has no characters that JSON would have to escape.
  return std::string(R"({"type":")") + type + R"(","id":")" + id + "\"" +
         (data.empty() ? "" : ",\"data\":" + data) + "}\n";
}

void print_stats(const Container& container) {
  print(event("stats", container.id(), stats_json(container.stats(), container.rdt_stats_json())));
}

/// poll(2) until `when`; whether there is something to read.
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
      const CgroupNews news = watch.take();
      for (std::uint64_t i = 0; i < news.oom_kills; i++) print(event("oom", container.id(), ""));
      if (news.ended) return;
      continue;
    }
    try {
      print_stats(container);
    } catch (const Error& error) {
      // It may just be ending: the watch will tell.
      log::error(error.what());
    }
    // What a slow reader has missed is not made up for.
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
                 ": no notice of OOM kills: the container's cgroup has no memory controller");
  }
  follow(container, watch, interval);
  return 0;
}

}  // namespace tare::cli
