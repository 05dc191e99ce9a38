// The flags of update that name one limit each.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "given.h"
#include "tare/error.h"
#include "verbs.h"

namespace tare::cli {

namespace {

[[noreturn]] void refuse(const Flag& flag, const std::string& text, const char* expected) {
  throw Error(ErrorKind::invalid_argument, "invalid value for " + std::string(flag.name) + ": \"" +
                                               text + "\": expected " + expected);
}

template <typename Number>
std::optional<Number> number_of(const Arguments& given, const Flag& flag) {
  const std::string text = given.text(flag);
  if (text.empty()) return std::nullopt;
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    refuse(flag, text,
           std::numeric_limits<Number>::is_signed ? "an integer" : "a number that is not negative");
  }
  return number;
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
std::optional<std::int64_t> bytes_of(const Arguments& given, const Flag& flag) {
  const std::string text = given.text(flag);
  if (text.empty()) return std::nullopt;
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
    double place = 0.1;
    for (const char digit : number.substr(dot + 1)) {
      is_number = is_number && digit != '.';
      fraction += (digit - '0') * place;
      place /= 10;
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

}  // namespace

Resources resources_by_flags(const Arguments& given) {
  Resources resources;
  if (const auto weight = number_of<std::uint16_t>(given, flag::blkio_weight)) {
    resources.block_io.weight = weight;
  }
  CpuResources& cpu = resources.cpu;
  cpu.period = number_of<std::uint64_t>(given, flag::cpu_period);
  cpu.quota = number_of<std::int64_t>(given, flag::cpu_quota);
  cpu.burst = number_of<std::uint64_t>(given, flag::cpu_burst);
  cpu.shares = number_of<std::uint64_t>(given, flag::cpu_share);
  cpu.realtime_period = number_of<std::uint64_t>(given, flag::cpu_rt_period);
  cpu.realtime_runtime = number_of<std::int64_t>(given, flag::cpu_rt_runtime);
  cpu.cpus = given.text(flag::cpuset_cpus);
  cpu.mems = given.text(flag::cpuset_mems);
  cpu.idle = number_of<std::int64_t>(given, flag::cpu_idle);
  MemoryResources& memory = resources.memory;
  memory.limit = bytes_of(given, flag::memory);
  memory.reservation = bytes_of(given, flag::memory_reservation);
  memory.swap = bytes_of(given, flag::memory_swap);
  memory.kernel = bytes_of(given, flag::kernel_memory);
  memory.kernel_tcp = bytes_of(given, flag::kernel_memory_tcp);
  resources.pids_limit = number_of<std::int64_t>(given, flag::pids_limit);
  return resources;
}

}  // namespace tare::cli
