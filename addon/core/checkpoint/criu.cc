#include "checkpoint/criu.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <utility>

#include "checkpoint/criu_log.h"
#include "checkpoint/criu_messages.h"
#include "checkpoint/criu_options.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"

extern char** environ;

namespace tare {
namespace {

/// The oldest criu with all features used here. The most recent of them is lsm_mount_context;
/// before it came external pid namespaces and the freezer of cgroup v2.
constexpr int oldest_major = 3;
constexpr int oldest_minor = 16;

// Debian installs criu in sbin, which an ordinary PATH does not contain.
constexpr std::string_view fallback_path =
    ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin";

std::string find_criu() {
  const char* path = std::getenv("PATH");
  std::string directories = path == nullptr ? "" : path;
  directories += fallback_path;
  for (std::size_t begin = 0; begin < directories.size();) {
    const std::size_t end = std::min(directories.find(':', begin), directories.size());
    std::string program = directories.substr(begin, end - begin) + "/criu";
    // An empty element of PATH would mean the working directory.
    if (program.starts_with('/') && access(program.c_str(), X_OK) == 0 && end != begin) {
      return program;
    }
    begin = end + 1;
  }
  throw Error(ErrorKind::unsupported,
              "criu(8) is not in PATH; install version 3.16 or newer, on "
              "Debian by `apt-get install criu`");
}

std::vector<std::string> environment() {
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    variables.emplace_back(*at);
  }
  return variables;
}

[[noreturn]] void fail(const Criu__Response& response, const std::string& log) {
  std::string message = "criu failed";
  const bool has_message = response.cr_errmsg != nullptr && response.cr_errmsg[0] != '\0';
  if (has_message) {
    message += std::string(": ") + response.cr_errmsg;
    while (message.back() == '\n') {
      message.pop_back();
    }
  } else if (response.has_cr_errno != 0 && response.cr_errno != 0) {
    message += ": " + errno_text(response.cr_errno);
  }
  const std::string errors = criu_errors(log);
  if (!errors.empty()) {
    message += "; the last errors in its log " + log + ":\n" + errors;
  } else {
    message += "; its log is " + log;
  }
  throw Error(ErrorKind::system, message)
      .with_errno(response.has_cr_errno != 0 ? response.cr_errno : 0, "criu")
      .with_path(log);
}

}  // namespace

Criu::Criu(const CriuStart& start) {
  ProgramPlanOptions options;
  options.path = find_criu();
  options.args = {"criu", "swrk", std::to_string(criu_first_inherited - 1)};
  options.env = environment();
  options.preserve_fds = static_cast<std::uint32_t>(1 + start.inherited.size());
  options.tree = start.root;
  options.mount_directory = start.mount_directory;
  options.name = start.mount_name;
  plan_ = make_program_plan(options);
  auto [ours, theirs] = make_socket_pair("criu");
  socket_ = std::move(ours);
  SpawnOptions spawn_options;
  std::copy(std::begin(start.stdio), std::end(start.stdio), spawn_options.stdio);
  spawn_options.preserved = {theirs.get()};
  spawn_options.preserved.insert(spawn_options.preserved.end(), start.inherited.begin(),
                                 start.inherited.end());
  spawn_options.cgroup = start.cgroup;
  process_.emplace(spawn(plan_, spawn_options));
  process_->finish();
}

void Criu::throw_ended(const std::string& what) {
  socket_.reset();
  const Fd pidfd = process_->release();
  const ExitStatus status = reap(pidfd.get());
  throw Error(
      ErrorKind::system,
      what + (status.signal != 0 ? " was killed by signal " + std::to_string(status.signal)
                                 : " ended early with status " + std::to_string(status.code)));
}

void Criu::check(const CriuFeatures& wanted) {
  Criu__Request request = CRIU__REQUEST__INIT;
  request.has_keep_open = 1;
  request.keep_open = 1;
  const auto ask = [&](Criu__Type type) {
    request.type = type;
    send_to_criu(socket_.get(), request);
    const std::optional<CriuMessage> answer = receive_from_criu(socket_.get());
    if (!answer) {
      throw_ended("criu, asked for its version (see `criu check`),");
    }
    return unpack_response(*answer);
  };
  const CriuResponse version = ask(CRIU__TYPE__VERSION);
  const Criu__Version* number = version->version;
  if (number == nullptr || number->major_number < oldest_major ||
      (number->major_number == oldest_major && number->minor_number < oldest_minor)) {
    throw Error(ErrorKind::unsupported,
                "criu " +
                    (number == nullptr ? std::string("of unknown version")
                                       : std::to_string(number->major_number) + "." +
                                             std::to_string(number->minor_number)) +
                    " is too old; install 3.16 or newer");
  }
  if (!wanted.mem_track && !wanted.lazy_pages) {
    return;
  }
  Criu__Features features = CRIU__FEATURES__INIT;
  features.has_mem_track = wanted.mem_track ? 1 : 0;
  features.mem_track = features.has_mem_track;
  features.has_lazy_pages = wanted.lazy_pages ? 1 : 0;
  features.lazy_pages = features.has_lazy_pages;
  request.features = &features;
  const CriuResponse answer = ask(CRIU__TYPE__FEATURE_CHECK);
  const Criu__Features* has = answer->features;
  const char* lack = nullptr;
  if (wanted.mem_track && (has == nullptr || has->mem_track == 0)) {
    lack =
        "--pre-dump: the kernel does not track memory changes; use one with CONFIG_MEM_SOFT_DIRTY";
  } else if (wanted.lazy_pages && (has == nullptr || has->lazy_pages == 0)) {
    lack =
        "--lazy-pages: the kernel's userfaultfd(2) lacks the required features; use a newer kernel";
  }
  if (lack != nullptr) {
    throw Error(ErrorKind::unsupported, lack);
  }
}

pid_t Criu::carry_out(const CriuRequest& wanted, const std::string& log,
                      const std::function<void(CriuNotice&)>& notice) {
  CriuRequestOptions options(wanted);
  Criu__Request request = CRIU__REQUEST__INIT;
  request.type = criu_type(wanted.verb);
  request.options = options.get();
  send_to_criu(socket_.get(), request);
  pid_t pid = 0;
  std::exception_ptr failure;
  for (;;) {
    std::optional<CriuMessage> received = receive_from_criu(socket_.get());
    if (!received && failure == nullptr) {
      throw_ended("criu (its log is " + log + ")");
    }
    const CriuResponse response = received ? unpack_response(*received) : nullptr;
    if (failure != nullptr && (response == nullptr || response->type != CRIU__TYPE__NOTIFY)) {
      std::rethrow_exception(failure);
    }
    if (response->success == 0) {
      fail(*response, log);
    }
    if (response->type != CRIU__TYPE__NOTIFY) {
      pid = response->restored != nullptr ? response->restored->pid : 0;
      break;
    }
    CriuNotice told;
    if (response->notice != nullptr) {
      told.script = response->notice->script == nullptr ? "" : response->notice->script;
      told.pid = response->notice->pid;
    }
    told.fd = std::move(received->fd);
    try {
      if (failure == nullptr) {
        notice(told);
      }
    } catch (...) {
      // Told of the failure, criu undoes what it has done so far, and then reports that it failed.
      failure = std::current_exception();
    }
    Criu__Request go_on = CRIU__REQUEST__INIT;
    go_on.type = CRIU__TYPE__NOTIFY;
    go_on.has_notify_success = 1;
    go_on.notify_success = failure == nullptr ? 1 : 0;
    send_to_criu(socket_.get(), go_on);
  }
  // After a pre-dump criu waits for a further request, and exits with an error when the socket
  // closes.
  socket_.reset();
  const Fd pidfd = process_->release();
  const ExitStatus status = reap(pidfd.get());
  if (status.code != 0 && wanted.verb != CriuVerb::pre_dump) {
    throw Error(ErrorKind::system,
                "criu ended with status " + std::to_string(status.code) + "; its log is " + log)
        .with_path(log);
  }
  return pid;
}

}  // namespace tare
