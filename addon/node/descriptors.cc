#include "descriptors.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <utility>

#include "convert.h"
#include "tare/error.h"

namespace tare::node {

namespace {

/// Calls `make` to create two descriptors: the caller's own, and that of a process to be started.
template <class Make>
Napi::Value ends_of(const Napi::CallbackInfo& info, Make make, const char* syscall) {
  const Napi::Env env = info.Env();
  std::array<int, 2> fds{};
  try {
    if (make(fds.data()) < 0) throw_errno(syscall);
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  Napi::Object ends = Napi::Object::New(env);
  ends.Set("ours", Napi::Number::New(env, descriptor_for_stream(Fd(fds[0]))));
  ends.Set("theirs", Napi::Number::New(env, fds[1]));
  ends.Set("keepOpen",
           Napi::External<SharedFd>::New(env, new SharedFd(std::make_shared<Fd>(fds[1])),
                                         [](Napi::Env /*env*/, const SharedFd* fd) { delete fd; }));
  return ends;
}

Napi::Value make_pipe(const Napi::CallbackInfo& info) {
  const bool theirs_is_read = info[0].As<Napi::Boolean>().Value();
  const auto make = [theirs_is_read](int* fds) {
    const int result = pipe2(fds, O_CLOEXEC);
    if (theirs_is_read) std::swap(fds[0], fds[1]);
    return result;
  };
  return ends_of(info, make, "pipe2");
}

Napi::Value make_socket_pair(const Napi::CallbackInfo& info) {
  return ends_of(
      info, [](int* fds) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds); },
      "socketpair");
}

Napi::Value release(const Napi::CallbackInfo& info) {
  info[0].As<Napi::External<SharedFd>>().Data()->reset();
  return info.Env().Undefined();
}

/// ioctl_tty(2): the terminal's foreground processes get SIGWINCH.
Napi::Value resize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  winsize size{};
  size.ws_row = static_cast<unsigned short>(info[1].As<Napi::Number>().Uint32Value());
  size.ws_col = static_cast<unsigned short>(info[2].As<Napi::Number>().Uint32Value());
  try {
    if (ioctl(info[0].As<Napi::Number>().Int32Value(), TIOCSWINSZ, &size) < 0) {
      throw_errno("ioctl", "terminal size");
    }
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  return env.Undefined();
}

}  // namespace

int descriptor_for_stream(Fd fd) noexcept {
  if (fd && fd.get() <= STDERR_FILENO) {
    if (const int moved = fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1); moved >= 0) {
      return moved;
    }
  }
  return fd.release();
}

void export_descriptors(Napi::Env env, Napi::Object exports) {
  exports.Set("pipe", Napi::Function::New<make_pipe>(env, "pipe"));
  exports.Set("socketPair", Napi::Function::New<make_socket_pair>(env, "socketPair"));
  exports.Set("release", Napi::Function::New<release>(env, "release"));
  exports.Set("resize", Napi::Function::New<resize>(env, "resize"));
}

}  // namespace tare::node
