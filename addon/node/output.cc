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
#include "descriptors.h"
#include "module.h"
#include "tare/error.h"

namespace tare::node {

namespace {

/// The capacity of a pipe.
constexpr std::size_t chunk_size = std::size_t{64} << 10;

}  // namespace

int Output::writer() {
  const std::lock_guard lock(mutex_);
  make_pipe();
  return writer_.get();
}

/// Called as late as possible: a command that waits for its turn needs no pipe, and a child that is
/// about to execute init copies and closes all descriptors that this process has open.
void Output::make_pipe() {
  if (made_) return;
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) < 0) throw_errno("pipe2");
  Fd reader(fds[0]);
  Fd writer(fds[1]);
  // On the reader's end only: the flag belongs to the open file description, and the program has
  // the other one.
  if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) throw_errno("fcntl(F_SETFL)");
  reader_ = std::move(reader);
  writer_ = std::move(writer);
  made_ = true;
}

/// This object keeps the process's end open too, so that no pool thread wakes when other processes
/// close theirs: finish() determines the end.
void Output::begin(std::function<void()> ended) {
  std::unique_lock lock(mutex_);
  ended_ = std::move(ended);
  if (taken_) {
    writer_.reset();  // the caller of take() must see the end of the file
    end(lock);
    return;
  }
  watch_ = Pool::instance().watch(reader_.get(), shared_from_this());
}

void Output::close() noexcept {
  const std::lock_guard lock(mutex_);
  made_ = true;
  stop_watching();
  writer_.reset();
  reader_.reset();
}

void Output::stop_watching() noexcept {
  if (watch_ != 0) Pool::instance().forget(reader_.get(), std::exchange(watch_, 0));
}

void Output::ready(WatchId /*watch*/) noexcept {
  std::unique_lock lock(mutex_);
  if (watch_ == 0) return;
  try {
    if (read_on() != ReadResult::end) {
      Pool::instance().watch_again(reader_.get(), watch_);
      return;
    }
  } catch (const Error&) {
    // What was read so far is all that is reported.
  }
  stop_watching();
  reader_.reset();
  writer_.reset();
  end(lock);
}

Output::ReadResult Output::read_on() noexcept {
  std::array<char, chunk_size> chunk;
  for (;;) {
    const ssize_t count = ::read(reader_.get(), chunk.data(), chunk.size());
    if (count > 0) {
      keep(chunk.data(), static_cast<std::size_t>(count));
      // A pipe that fills the chunk is likely to have more, but other sources are waiting too.
      return ReadResult::something;
    }
    if (count == 0) return ReadResult::end;
    if (errno != EINTR) return errno == EAGAIN ? ReadResult::nothing : ReadResult::end;
  }
}

void Output::keep(const char* bytes, std::size_t count) noexcept {
  std::size_t room = max_size_ - data_.size();
  try {
    data_.append(bytes, std::min(count, room));
  } catch (const std::exception&) {
    // Out of memory: what was read so far becomes the limit.
    max_size_ = data_.size();
    room = 0;
  }
  if (count <= room || !full_) return;
  try {
    std::exchange(full_, nullptr)();
  } catch (const std::exception&) {
    // Then the process is not ended, and its output is still read.
  }
}

void Output::finish() noexcept {
  std::unique_lock lock(mutex_);
  if (!ended_) return;
  // What other processes write from now on is not part of the output, and may be endless.
  int left = 0;
  if (ioctl(reader_.get(), FIONREAD, &left) != 0) left = 0;
  for (auto chunks = static_cast<std::size_t>(left) / chunk_size + 2; chunks > 0; --chunks) {
    if (read_on() != ReadResult::something) break;
  }
  stop_watching();
  reader_.reset();
  writer_.reset();
  end(lock);
}

void Output::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  ended_ = nullptr;
  stop_watching();
}

void Output::end(std::unique_lock<std::mutex>& lock) noexcept {
  const std::function<void()> ended = std::exchange(ended_, nullptr);
  lock.unlock();
  if (ended) ended();
}

Output::Taken Output::take() {
  std::unique_lock lock(mutex_);
  make_pipe();
  stop_watching();
  taken_ = true;
  Taken taken{std::move(reader_), std::move(data_)};
  data_.clear();
  // Before begin() the process has not received the writer yet.
  if (ended_) writer_.reset();
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

std::shared_ptr<Output> output_from(const Napi::Value& value) {
  const Napi::Env env = value.Env();
  const auto object = value.As<Napi::Object>();
  const std::int64_t key = object.Get("key").As<Napi::Number>().Int64Value();
  std::shared_ptr<Output>& output = AddonData::of(env).outputs[key];
  if (!output) {
    const double max_size = object.Get("maxSize").As<Napi::Number>().DoubleValue();
    output = std::make_shared<Output>(
        static_cast<std::size_t>(max_size), [key, loop = AddonData::of(env).loop] {
          loop->post([key](Napi::Env there) {
            AddonData::of(there).full.Call({Napi::Number::New(there, static_cast<double>(key))});
          });
        });
  }
  return output;
}

namespace {

Napi::Value take_output(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  try {
    Output::Taken taken = output_from(info[0])->take();
    object.Set("fd", descriptor_for_stream(std::move(taken.reader)));
    object.Set("data", bytes_value(env, std::move(taken.data)));
  } catch (const Error&) {
    throw Napi::Error(env, error_value(env, std::current_exception()));
  }
  return object;
}

void close_output(const Napi::CallbackInfo& info) {
  Outputs& outputs = AddonData::of(info.Env()).outputs;
  const auto found = outputs.find(info[0].As<Napi::Number>().Int64Value());
  if (found == outputs.end()) return;
  found->second->close();
  outputs.erase(found);
}

void on_full(const Napi::CallbackInfo& info) {
  AddonData::of(info.Env()).full = Napi::Persistent(info[0].As<Napi::Function>());
}

}  // namespace

void export_outputs(Napi::Env env, Napi::Object exports) {
  exports.Set("takeOutput", Napi::Function::New<take_output>(env, "takeOutput"));
  exports.Set("closeOutput", Napi::Function::New<close_output>(env, "closeOutput"));
  exports.Set("onFull", Napi::Function::New<on_full>(env, "onFull"));
}

}  // namespace tare::node
