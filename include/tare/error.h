/// \file
/// Errors of the core, and the context frames that complete their messages.
///
/// All failures throw `tare::Error`. Conditions that a caller may reasonably expect (a container
/// that has already stopped, a file that is absent) are return values instead.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace tare {

/// The category of a failure; front ends map it to exit codes and to `TareError.code`.
enum class ErrorKind : std::uint8_t {
  invalid_argument,   ///< a bad flag, id or option of the caller
  invalid_config,     ///< config.json (or process.json, resources) contains an impossible value
  unsupported,        ///< valid by the spec, but not implemented here or not supported by this host
  not_found,          ///< no such container
  already_exists,     ///< the container id is taken
  bad_status,         ///< the container is not in the status that the operation needs
  command_not_found,  ///< the user's program does not exist (engines map it to exit status 127)
  command_not_executable,  ///< the user's program cannot be executed (engines map it to 126)
  hook_failed,             ///< a hook exited non-zero or exceeded its timeout
  system,                  ///< a system call failed
};

/// Returns the stable code of a kind as Node users see it, e.g. `ERR_TARE_NOT_FOUND`. Never null.
const char* error_code(ErrorKind kind) noexcept;

/// A failure with its details. `what()` is the whole message, prefixed by all `ErrorContext` frames
/// that were open when the error was constructed, outermost first.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string_view message);
  const char* what() const noexcept override { return message_.c_str(); }

  ErrorKind kind() const noexcept { return kind_; }
  /// The message without the frames that are still open, for inclusion in another error.
  std::string_view inner_words() const noexcept;
  /// The errno of the failed system call, 0 where none failed.
  int errnum() const noexcept { return errnum_; }
  /// The name of the failed system call, empty where none failed.
  const std::string& syscall() const noexcept { return syscall_; }
  /// The file, or the JSON path (`linux.namespaces[2].type`), that the error is about; may be
  /// empty.
  const std::string& path() const noexcept { return path_; }
  /// The innermost open `ErrorContext` frame ("mount proc on /proc"), else empty.
  const std::string& stage() const noexcept { return stage_; }

  Error& with_errno(int errnum, std::string_view syscall);
  Error& with_path(std::string_view path);

 private:
  ErrorKind kind_;
  int errnum_ = 0;
  std::string message_;
  std::string syscall_;
  std::string path_;
  std::string stage_;
};

/// A context frame: while it is in scope, an Error constructed on this thread begins with "WHAT
/// OBJECT: ". Stores only references, so it costs two stores; both strings must outlive the frame.
class ErrorContext {
 public:
  explicit ErrorContext(std::string_view what, std::string_view object = {}) noexcept;
  ~ErrorContext();
  ErrorContext(const ErrorContext&) = delete;
  ErrorContext& operator=(const ErrorContext&) = delete;

 private:
  friend class Error;
  std::string_view what_;
  std::string_view object_;
  const ErrorContext* outer_;
};

/// "EPERM (Operation not permitted)".
std::string errno_text(int errnum);
/// Returns "operation not permitted", as in the middle of a sentence and in messages of Go
/// programs.
std::string errno_words(int errnum);
/// "EPERM", or "errno 4242" for a number without a name.
std::string errno_name(int errnum);

/// Throws kind `system` with "PATH: SYSCALL: EPERM (Operation not permitted)" (PATH left out if
/// empty).
[[noreturn]] void throw_errno(int errnum, std::string_view syscall, std::string_view path = {});
/// The same from the calling thread's errno.
[[noreturn]] void throw_errno(std::string_view syscall, std::string_view path = {});

}  // namespace tare
