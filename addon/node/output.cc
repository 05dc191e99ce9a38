#include "output.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <utility>

#include "convert.h"
#include "module.h"
#include "tare/error.h"

namespace tare::node {

namespace {

/// As much as a pipe holds.
constexpr std::size_t chunk_size = std::size_t{64} << 10;

}  // namespace

std::shared_ptr<Output> Output::make(std::size_t most, std::function<void()> full) {
  std::shared_ptr<Output> output(new Output(most, std::move(full)));
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) < 0) throw_errno("pipe2");
  output->reader_ = Fd(fds[0]);
  output->writer_ = Fd(fds[1]);
  // The reader's end alone: the flag is the open file description's, and the program has the other.
  if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) throw_errno("fcntl(F_SETFL)");
  return output;
}

void Output::begin(std::function<void()> ended) {
  std::unique_lock lock(mutex_);
  ended_ = std::move(ended);
  writer_.reset();
  if (taken_) {
    end(lock);
    return;
  }
  self_ = shared_from_this();
  try {
    Pool::instance().watch(reader_.get(), *this);
  } catch (...) {
    self_.reset();
    throw;
  }
}

void Output::close() noexcept {
  const std::lock_guard lock(mutex_);
  writer_.reset();
  if (!self_) reader_.reset();
}

void Output::ready() noexcept {
  std::unique_lock lock(mutex_);
  if (!taken_ && !finished_ && read_on() != Came::end) {
    try {
      Pool::instance().watch_again(reader_.get(), *this);
      return;
    } catch (const Error&) {
      // Then this is all that is told of it.
    }
  }
  const std::shared_ptr<Output> self = std::move(self_);  // destroyed after the lock
  Pool::instance().forget(reader_.get());
  reader_.reset();
  end(lock);
}

Output::Came Output::read_on() noexcept {
  std::array<char, chunk_size> chunk;
  for (;;) {
    const ssize_t count = ::read(reader_.get(), chunk.data(), chunk.size());
    if (count > 0) {
      keep(chunk.data(), static_cast<std::size_t>(count));
      // What fills the chunk is likely to have more, but others are waiting too.
      return Came::something;
    }
    if (count == 0) return Came::end;
    if (errno != EINTR) return errno == EAGAIN ? Came::nothing : Came::end;
  }
}

void Output::keep(const char* bytes, std::size_t count) noexcept {
  std::size_t room = most_ - data_.size();
  try {
    data_.append(bytes, std::min(count, room));
  } catch (const std::exception&) {
    // More than there is memory for is too much, too.
    most_ = data_.size();
    room = 0;
  }
  if (count <= room || !full_) return;
  try {
    std::exchange(full_, nullptr)();
  } catch (const std::exception&) {
    // Then it is not ended, and what it writes is read on.
  }
}

void Output::finish() noexcept {
  std::unique_lock lock(mutex_);
  if (!ended_ || !self_) return;
  // What others write now is none of it, and may be endless.
  int left = 0;
  if (ioctl(reader_.get(), FIONREAD, &left) != 0) left = 0;
  Came came = Came::something;
  for (auto most = static_cast<std::size_t>(left) / chunk_size + 2; most > 0; --most) {
    came = read_on();
    if (came != Came::something) break;
  }
  finished_ = true;
  if (came != Came::end) wake();
  end(lock);
}

void Output::wake() const noexcept {
  const std::string path = "/proc/self/fd/" + std::to_string(reader_.get());
  const Fd writer(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  // Where it is full, there is enough to read already.
  if (writer && ::write(writer.get(), "", 1) < 0) return;
}

void Output::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  ended_ = nullptr;
}

void Output::end(std::unique_lock<std::mutex>& lock) noexcept {
  const std::function<void()> ended = std::exchange(ended_, nullptr);
  lock.unlock();
  if (ended) ended();
}

Output::Taken Output::take() {
  std::unique_lock lock(mutex_);
  Taken taken{{}, std::move(data_)};
  data_.clear();
  if (taken_ || !reader_) {
    taken_ = true;
    return taken;
  }
  // This object's own goes when the pool is done with it.
  taken.reader = Fd(fcntl(reader_.get(), F_DUPFD_CLOEXEC, 0));
  if (!taken.reader) {
    data_ = std::move(taken.data);
    throw_errno("fcntl(F_DUPFD_CLOEXEC)");
  }
  taken_ = true;
  if (!self_) reader_.reset();
  end(lock);
  return taken;
}

bool Output::collected(std::string& data) {
  const std::lock_guard lock(mutex_);
  if (taken_) return false;
  data = std::move(data_);
  return true;
}

Napi::Value bytes_value(Napi::Env env, std::string&& data) {
  if (data.empty()) return env.Undefined();
  if (data.size() <= chunk_size) return Napi::Buffer<char>::Copy(env, data.data(), data.size());
  auto owned = std::make_unique<std::string>(std::move(data));
  char* const bytes = owned->data();
  const std::size_t size = owned->size();
  return Napi::Buffer<char>::NewOrCopy(env, bytes, size,
                                       [kept = owned.release()](Napi::Env, char*) { delete kept; });
}

Napi::Function OutputObject::define(Napi::Env env) {
  return DefineClass(
      env, "Output",
      {InstanceMethod<&OutputObject::take>("take"), InstanceMethod<&OutputObject::close>("close")});
}

/// (most, key): `key` is what onFull() is called with.
OutputObject::OutputObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  const double most = info[0].As<Napi::Number>().DoubleValue();
  const double key = info[1].As<Napi::Number>().DoubleValue();
  try {
    output_ = Output::make(static_cast<std::size_t>(most), [key, loop = AddonData::of(env).loop] {
      loop->post([key](Napi::Env there) {
        AddonData::of(there).full.Call({Napi::Number::New(there, key)});
      });
    });
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
}

std::shared_ptr<Output> OutputObject::of(const Napi::Value& value) {
  return Unwrap(value.As<Napi::Object>())->output_;
}

Napi::Value OutputObject::take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  try {
    Output::Taken taken = output_->take();
    object.Set("fd", taken.reader ? taken.reader.release() : -1);
    object.Set("data", bytes_value(env, std::move(taken.data)));
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  return object;
}

Napi::Value OutputObject::close(const Napi::CallbackInfo& info) {
  output_->close();
  return info.Env().Undefined();
}

}  // namespace tare::node
