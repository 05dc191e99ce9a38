// The flags of update that name one limit each.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>
#include <type_traits>

#include "parse/parse.h"
#include "tare/error.h"
#include "verbs.h"

namespace tare::cli {

namespace {

[[noreturn]] void refuse(const Flag& flag, const std::string& text, const char* expected) {
  throw Error(ErrorKind::invalid_argument, "invalid value for " + std::string(flag.name) + ": \"" +
                                               text + "\": expected " + expected);
}

/// Returns the factor of a unit: "", "b", "k", "kb", "kib", … in any case; 0 if there is no such
/// unit.
double unit_factor(std::string_view unit) {
  static constexpr std::string_view letters = "kmgtp";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (unit.empty() || (unit.size() == 1 && lower(unit.front()) == 'b')) return 1;
  const auto power = letters.find(lower(unit.front()));
  const std::string_view rest = unit.substr(1);
  const bool is_plain = rest.empty() || (rest.size() == 1 && lower(rest[0]) == 'b') ||
                        (rest.size() == 2 && lower(rest[0]) == 'i' && lower(rest[1]) == 'b');
  return power == letters.npos || !is_plain ? 0
                                            : std::ldexp(1.0, 10 * (static_cast<int>(power) + 1));
}

/// Parses bytes: "50M", "1.5g", "64 KiB"; -1 means no limit.
std::int64_t parse_bytes(const Flag& flag, const std::string& text) {
  if (text == "-1") return -1;
  std::string_view number = std::string_view(text).substr(0, text.find_first_not_of("0123456789."));
  std::string_view unit = std::string_view(text).substr(number.size());
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  // Whole bytes are parsed without floating point, so that they are exact.
  std::uint64_t whole = 0;
  double fraction = 0;
  const auto dot = number.find('.');
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + std::min(dot, number.size()), whole);
  bool is_number = error == std::errc() && end != number.data();
  if (dot != number.npos) {
    double digit_value = 0.1;
    for (const char digit : number.substr(dot + 1)) {
      is_number = is_number && digit != '.';
      fraction += (digit - '0') * digit_value;
      digit_value /= 10;
    }
  }
  const double factor = unit_factor(unit);
  const double bytes = (static_cast<double>(whole) + fraction) * factor;
  if (!is_number || factor == 0 || bytes >= std::ldexp(1.0, 63)) {
    refuse(flag, text, "bytes, with a unit such as k, m or g after them if need be, or -1");
  }
  return static_cast<std::int64_t>(whole) * static_cast<std::int64_t>(factor) +
         static_cast<std::int64_t>(fraction * factor);
}

using SetLimit = void (*)(Resources&, const Flag&, const std::string& text);

/// Sets the member of Resources at `path`, such as <&Resources::cpu, &CpuResources::quota>.
template <auto... path>
void set_number(Resources& resources, const Flag& flag, const std::string& text) {
  auto& number = (resources.*....*path).emplace();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    constexpr bool is_signed = std::numeric_limits<std::decay_t<decltype(number)>>::is_signed;
    refuse(flag, text, is_signed ? "an integer" : "a number that is not negative");
  }
}

template <auto... path>
void set_bytes(Resources& resources, const Flag& flag, const std::string& text) {
  (resources.*....*path) = parse_bytes(flag, text);
}

template <auto... path>
void set_text(Resources& resources, const Flag&, const std::string& text) {
  (resources.*....*path) = text;
}

struct Limit {
  const Flag* flag;
  SetLimit set;
};

constexpr auto cpu = &Resources::cpu;
constexpr auto memory = &Resources::memory;

constexpr Limit limits[] = {
    {&flag::blkio_weight, set_number<&Resources::block_io, &BlockIoResources::weight>},
    {&flag::cpu_period, set_number<cpu, &CpuResources::period>},
    {&flag::cpu_quota, set_number<cpu, &CpuResources::quota>},
    {&flag::cpu_burst, set_number<cpu, &CpuResources::burst>},
    {&flag::cpu_share, set_number<cpu, &CpuResources::shares>},
    {&flag::cpu_rt_period, set_number<cpu, &CpuResources::realtime_period>},
    {&flag::cpu_rt_runtime, set_number<cpu, &CpuResources::realtime_runtime>},
    {&flag::cpuset_cpus, set_text<cpu, &CpuResources::cpus>},
    {&flag::cpuset_mems, set_text<cpu, &CpuResources::mems>},
    {&flag::cpu_idle, set_number<cpu, &CpuResources::idle>},
    {&flag::memory, set_bytes<memory, &MemoryResources::limit>},
    {&flag::memory_reservation, set_bytes<memory, &MemoryResources::reservation>},
    {&flag::memory_swap, set_bytes<memory, &MemoryResources::swap>},
    {&flag::kernel_memory, set_bytes<memory, &MemoryResources::kernel>},
    {&flag::kernel_memory_tcp, set_bytes<memory, &MemoryResources::kernel_tcp>},
    {&flag::pids_limit, set_number<&Resources::pids_limit>},
};

}  // namespace

Resources parse_limits(const Arguments& given) {
  Resources resources;
  for (const Limit& limit : limits) {
    const std::string text = given.text(*limit.flag);
    if (!text.empty()) limit.set(resources, *limit.flag, text);
  }
  return resources;
}

const Flag* find_limit(const Arguments& given) {
  const auto* found =
      std::ranges::find_if(limits, [&](const Limit& limit) { return given.given(*limit.flag); });
  return found == std::end(limits) ? nullptr : found->flag;
}

}  // namespace tare::cli
