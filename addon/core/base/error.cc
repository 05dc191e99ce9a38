#include "tare/error.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace tare {

namespace {

thread_local const ErrorContext* innermost = nullptr;

}  // namespace

const char* error_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return "ERR_TARE_INVALID_ARGUMENT";
    case ErrorKind::invalid_config:
      return "ERR_TARE_INVALID_CONFIG";
    case ErrorKind::unsupported:
      return "ERR_TARE_UNSUPPORTED";
    case ErrorKind::not_found:
      return "ERR_TARE_NOT_FOUND";
    case ErrorKind::already_exists:
      return "ERR_TARE_ALREADY_EXISTS";
    case ErrorKind::bad_status:
      return "ERR_TARE_BAD_STATUS";
    case ErrorKind::command_not_found:
      return "ERR_TARE_COMMAND_NOT_FOUND";
    case ErrorKind::command_not_executable:
      return "ERR_TARE_COMMAND_NOT_EXECUTABLE";
    case ErrorKind::hook_failed:
      return "ERR_TARE_HOOK_FAILED";
    case ErrorKind::system:
      break;
  }
  return "ERR_TARE_SYSTEM";
}

ErrorContext::ErrorContext(std::string_view what, std::string_view object) noexcept
    : what_(what), object_(object), outer_(innermost) {
  innermost = this;
}

ErrorContext::~ErrorContext() { innermost = outer_; }

Error::Error(ErrorKind kind, std::string_view message) : kind_(kind) {
  for (const ErrorContext* frame = innermost; frame != nullptr; frame = frame->outer_) {
    std::string words(frame->what_);
    if (!frame->object_.empty()) {
      words.append(" ").append(frame->object_);
    }
    message_.insert(0, words + ": ");
    if (frame == innermost) {
      stage_ = std::move(words);
    }
  }
  message_.append(message);
}

std::string_view Error::inner_words() const noexcept {
  // The order of the chain does not matter, because only the total length of the frames is needed.
  std::size_t size = 0;
  for (const ErrorContext* frame = innermost; frame != nullptr; frame = frame->outer_) {
    size += frame->what_.size() + (frame->object_.empty() ? 0 : frame->object_.size() + 1) + 2;
  }
  return std::string_view(message_).substr(std::min(size, message_.size()));
}

Error& Error::with_errno(int errnum, std::string_view syscall) {
  errnum_ = errnum;
  syscall_ = syscall;
  return *this;
}

Error& Error::with_path(std::string_view path) {
  path_ = path;
  return *this;
}

std::string errno_name(int errnum) {
  if (const char* name = strerrorname_np(errnum); name != nullptr) {
    return name;
  }
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), errnum).ptr;
  return "errno " + std::string(digits.data(), end);
}

std::string errno_text(int errnum) {
  std::string text = errno_name(errnum);
  // Not translated: engines and tests compare the text, whatever the locale.
  if (const char* description = strerrordesc_np(errnum); description != nullptr) {
    text.append(" (").append(description).append(")");
  }
  return text;
}

std::string errno_words(int errnum) {
  const char* description = strerrordesc_np(errnum);
  std::string words = description != nullptr ? description : errno_name(errnum);
  // "RFS specific error" remains unchanged.
  const auto is_capital = [&](std::size_t i) { return words[i] >= 'A' && words[i] <= 'Z'; };
  if (words.size() > 1 && is_capital(0) && !is_capital(1)) {
    words[0] = static_cast<char>(words[0] - 'A' + 'a');
  }
  return words;
}

void throw_errno(int errnum, std::string_view syscall, std::string_view path) {
  std::string message;
  if (!path.empty()) {
    message.append(path).append(": ");
  }
  message.append(syscall).append(": ").append(errno_text(errnum));
  Error error(ErrorKind::system, message);
  error.with_errno(errnum, syscall).with_path(path);
  throw error;
}

void throw_errno(std::string_view syscall, std::string_view path) {
  throw_errno(errno, syscall, path);
}

}  // namespace tare
