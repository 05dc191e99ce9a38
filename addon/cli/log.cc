#include "log.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "tare/error.h"
#include "tare/printable.h"
#include "verbs.h"

namespace tare::cli::log {

namespace {

// Constant-initialised: nothing runs before main.
int log_fd = STDERR_FILENO;
Format log_format = Format::text;
bool log_debug = false;
/// Whether the caller has chosen the format of what is written to standard error.
bool log_form_chosen = false;

void append_padded(std::string& out, std::int64_t number, std::size_t width) {
  const std::string digits = std::to_string(number);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

/// Returns the time as RFC 3339 in UTC. gmtime_r(3) would read the time zone file first.
std::string now() {
  timespec time = {};
  clock_gettime(CLOCK_REALTIME, &time);
  const std::int64_t seconds_of_day = time.tv_sec % 86400;
  // Days since 0000-03-01 of the proleptic Gregorian calendar: the leap day is then the year's
  // last.
  std::int64_t days = time.tv_sec / 86400 + 719468;
  const std::int64_t era = days / 146097;
  days %= 146097;
  const std::int64_t year_of_era = (days - days / 1460 + days / 36524 - days / 146096) / 365;
  const std::int64_t day_of_year = days - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const std::int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const std::int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);

  std::string text;
  append_padded(text, year, 4);
  const std::array<std::int64_t, 5> parts = {month, day, seconds_of_day / 3600,
                                             seconds_of_day / 60 % 60, seconds_of_day % 60};
  const std::string_view separators = "--T::";
  for (std::size_t i = 0; i < parts.size(); i++) {
    text += separators[i];
    append_padded(text, parts[i], 2);
  }
  return text + "Z";
}

/// A log that cannot be written must not stop a container: the result is ignored.
void write_line(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(fd, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

void record(std::string_view level, std::string_view message) {
  std::string line;
  if (log_format == Format::json) {
    line = R"({"level":")" + std::string(level) + R"(","msg":)" + printable_quoted(message) +
           R"(,"time":")" + now() + "\"}\n";
  } else {
    line = "time=\"" + now() + "\" level=" + std::string(level) +
           " msg=" + printable_quoted(message) + "\n";
  }
  write_line(log_fd, line);
}

bool has_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

/// Writes a message that may contain names chosen by an image or another user: no escape sequence
/// of it reaches the terminal, and no further line looks like one of tare's own.
void write_plain(std::string_view before, std::string_view message) {
  std::string text(before);
  for (const char c : printable(message)) {
    text += c;
    if (c == '\n') text += "  ";
  }
  write_line(STDERR_FILENO, text + "\n");
}

/// Returns "tare: ", unless the message begins with it.
std::string prefix_for(std::string_view message) {
  std::string prefix(program_name());
  prefix += ": ";
  return message.starts_with(prefix) ? "" : prefix;
}

}  // namespace

void open(const Options& options) {
  log_format = options.format;
  log_debug = options.debug;
  log_form_chosen = options.has_format || options.debug;
  if (options.path.empty()) return;
  const int fd = ::open(options.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) throw_errno("open", options.path);
  log_fd = fd;
}

void error(std::string_view message, std::string_view sentence) {
  const bool is_plain = is_for_people();
  if (!is_plain) record("error", message);
  if (is_plain || (log_fd != STDERR_FILENO && has_terminal())) {
    const std::string_view told = sentence.empty() ? message : sentence;
    write_plain(prefix_for(told), told);
  } else if (log_fd != STDERR_FILENO) {
    plain(message);
  }
}

bool is_for_people() noexcept {
  return log_fd == STDERR_FILENO && !log_form_chosen && has_terminal();
}

bool is_for_scripts() noexcept {
  return log_fd == STDERR_FILENO && log_format == Format::text && !has_terminal();
}

void plain(std::string_view message) { write_plain({}, message); }

void warning(std::string_view message) {
  if (is_for_people()) {
    write_plain(std::string(program_name()) + ": warning: ", message);
  } else {
    record("warning", message);
  }
}

void debug(std::string_view message) {
  if (log_debug) record("debug", message);
}

bool debugging() noexcept { return log_debug; }

}  // namespace tare::cli::log
