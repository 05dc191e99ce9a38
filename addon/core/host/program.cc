#include "host/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/signals.h"

extern char** environ;

namespace tare {
namespace {

constexpr std::size_t output_limit = 4096;
constexpr std::int64_t milliseconds = 1000;

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * milliseconds + now.tv_nsec / 1'000'000;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& string : strings) {
    result.push_back(const_cast<char*>(string.c_str()));
  }
  result.push_back(nullptr);
  return result;
}

std::array<Fd, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) < 0) {
    throw_errno("pipe2", "the pipes of a program");
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

/// Appends to a program's output, which a person reads as lines, and keeps only its end.
void append_output(std::string& output, std::string_view more) {
  output += more;
  if (output.size() > output_limit) {
    output.erase(0, output.size() - output_limit);
  }
}

class SpawnActions {
 public:
  SpawnActions() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnActions() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;

  void stdio(const ProgramPipes& pipes) {
    posix_spawn_file_actions_adddup2(&actions_, pipes.input_theirs.get(), 0);
    posix_spawn_file_actions_adddup2(&actions_, pipes.output(1), 1);
    posix_spawn_file_actions_adddup2(&actions_, pipes.output(2), 2);
  }
  void working_directory(const std::string& path) {
    posix_spawn_file_actions_addchdir_np(&actions_, path.c_str());
  }
  int run(pid_t& pid, const std::string& path, char* const* argv, char* const* env) {
    return posix_spawnp(&pid, path.c_str(), &actions_, &attributes_, argv, env);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

ProgramPipes::ProgramPipes() {
  auto [input_read, input_write] = make_pipe();
  auto [output_read, output_write] = make_pipe();
  input_theirs = std::move(input_read);
  input_ours = std::move(input_write);
  output_ours = std::move(output_read);
  output_theirs = std::move(output_write);
  for (const Fd* end : {&input_ours, &output_ours}) {
    if (fcntl(end->get(), F_SETFL, O_NONBLOCK) < 0) {
      throw_errno("fcntl(F_SETFL)", "the pipes of a program");
    }
  }
}

void ProgramPipes::redirect(int fd, const std::string& file) {
  if (!file.empty()) {
    // Does not wait for a process to open a FIFO for reading.
    files_.at(static_cast<std::size_t>(fd - 1)) =
        open_file(AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK, 0600);
  }
}

int ProgramPipes::output(int fd) const {
  const Fd& file = files_.at(static_cast<std::size_t>(fd - 1));
  return file ? file.get() : output_theirs.get();
}

namespace {

/// Reads what is available; returns false at the end of the file.
bool drain(int fd, std::string& output) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got > 0) {
      append_output(output, {buffer.data(), static_cast<std::size_t>(got)});
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else {
      return got < 0 && errno == EAGAIN;
    }
  }
}

ProgramResult attend(int pidfd, ProgramPipes& pipes, std::string_view input,
                     std::optional<int> timeout) {
  const IgnoredPipeSignal ignored;
  pipes.input_theirs.reset();
  pipes.output_theirs.reset();
  ProgramResult result;
  const std::int64_t deadline = now_ms() + std::int64_t{timeout.value_or(0)} * milliseconds;
  bool reading = true;
  for (;;) {
    if (input.empty()) {
      pipes.input_ours.reset();
    }
    std::array<pollfd, 3> polled = {{{pidfd, POLLIN, 0},
                                     {pipes.input_ours ? pipes.input_ours.get() : -1, POLLOUT, 0},
                                     {reading ? pipes.output_ours.get() : -1, POLLIN, 0}}};
    const std::int64_t left = std::clamp<std::int64_t>(deadline - now_ms(), 0, INT_MAX);
    const int ready = poll(polled.data(), polled.size(),
                           timeout.has_value() && !result.timed_out ? static_cast<int>(left) : -1);
    if (ready < 0 && errno != EINTR) {
      throw_errno("poll", "the end of a program");
    }
    if (ready == 0 && left < INT_MAX) {
      result.timed_out = true;
      try_signal(pidfd, SIGKILL);
      continue;
    }
    if (polled[1].revents != 0) {
      const ssize_t put = write(pipes.input_ours.get(), input.data(), input.size());
      if (put >= 0) {
        input.remove_prefix(static_cast<std::size_t>(put));
      } else if (errno != EAGAIN && errno != EINTR) {
        input = {};  // the program need not read its input
      }
    }
    if (polled[2].revents != 0) {
      reading = drain(pipes.output_ours.get(), result.output);
    }
    if (polled[0].revents != 0) {
      // Does not wait for later output of processes that the program left behind.
      drain(pipes.output_ours.get(), result.output);
      result.status = reap(pidfd).code;
      while (!result.output.empty() && result.output.back() == '\n') {
        result.output.pop_back();
      }
      return result;
    }
  }
}

}  // namespace

ProgramResult attend_program(int pidfd, ProgramPipes& pipes, std::string_view input,
                             std::optional<int> timeout) {
  try {
    return attend(pidfd, pipes, input, timeout);
  } catch (const Error&) {
    // No other code waits for this process.
    try_signal(pidfd, SIGKILL);
    reap(pidfd);
    throw;
  }
}

ProgramResult run_program(const std::vector<std::string>& args, const ProgramOptions& options) {
  ProgramPipes pipes;
  pipes.redirect(1, options.stdout_file);
  pipes.redirect(2, options.stderr_file);
  SpawnActions actions;
  actions.stdio(pipes);
  if (!options.working_directory.empty()) {
    actions.working_directory(options.working_directory);
  }
  std::vector<char*> argv = pointers(args);
  std::vector<char*> env;
  if (options.env.has_value()) {
    env = pointers(*options.env);
  }
  const std::string& path = options.path.empty() ? args.front() : options.path;
  pid_t pid = -1;
  const int error =
      actions.run(pid, path, argv.data(), options.env.has_value() ? env.data() : environ);
  // EACCES is also returned where $PATH names a directory that the caller may not enter.
  if (error == ENOENT || (error == EACCES && path.find('/') == std::string::npos)) {
    ProgramResult result;
    result.found = false;
    return result;
  }
  if (error != 0) {
    throw_errno(error, "posix_spawn", path);
  }
  const Fd pidfd = open_pidfd(pid);
  if (!pidfd) {
    const int failure = errno;
    kill_and_reap_by_pid(pid, 0);
    throw_errno(failure, "pidfd_open", path);
  }
  if (options.started) {
    options.started(pid);
  }
  return attend_program(pidfd.get(), pipes, options.input, options.timeout);
}

}  // namespace tare
