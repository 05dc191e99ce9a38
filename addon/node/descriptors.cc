#include "descriptors.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <exception>

#include "convert.h"
#include "tare/error.h"

namespace tare::node {

namespace {

/// Calls `make` for two descriptors, which become the caller's.
template <class Make>
Napi::Value pair_of(const Napi::CallbackInfo& info, Make make, const char* syscall) {
  const Napi::Env env = info.Env();
  std::array<int, 2> fds{};
  try {
    if (make(fds.data()) < 0) throw_errno(syscall);
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  Napi::Array pair = Napi::Array::New(env, fds.size());
  for (std::uint32_t i = 0; i < fds.size(); ++i) pair.Set(i, Napi::Number::New(env, fds[i]));
  return pair;
}

Napi::Value make_pipe(const Napi::CallbackInfo& info) {
  return pair_of(info, [](int* fds) { return pipe2(fds, O_CLOEXEC); }, "pipe2");
}

Napi::Value make_socket_pair(const Napi::CallbackInfo& info) {
  return pair_of(
      info, [](int* fds) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds); },
      "socketpair");
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

void export_descriptors(Napi::Env env, Napi::Object exports) {
  exports.Set("pipe", Napi::Function::New<make_pipe>(env, "pipe"));
  exports.Set("socketPair", Napi::Function::New<make_socket_pair>(env, "socketPair"));
  exports.Set("resize", Napi::Function::New<resize>(env, "resize"));
}

}  // namespace tare::node
