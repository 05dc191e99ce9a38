// create, start, run.
#include <unistd.h>

#include <optional>

#include "commands/commands.h"
#include "foreground.h"
#include "inherited_fds.h"
#include "log.h"
#include "notify.h"
#include "tare/error.h"

namespace tare::cli {

namespace {

CreateOptions create_options(const Arguments& given) {
  ListenFds listen_fds = listen_fds_of_caller();
  CreateOptions options;
  options.bundle = given.text(flag::bundle);
  options.pid_file = given.text(flag::pid_file);
  options.no_pivot = given.is_set(flag::no_pivot);
  options.no_new_keyring = given.is_set(flag::no_new_keyring);
  options.notify = !notify_socket_of_caller().empty();
  options.stdio = stdio_of_caller(given, listen_fds.count, flag::preserve_fds);
  options.extra_env = std::move(listen_fds.env);
  return options;
}

/// Binds the socket of sd_notify(3), which must exist before the container's program runs.
std::optional<NotifySocket> bind_notify_socket(const Container& container) {
  std::optional<NotifySocket> notify;
  const std::string host = notify_socket_of_caller();
  const std::string directory = host.empty() ? std::string() : container.notify_directory();
  if (!directory.empty()) {
    notify.emplace(directory, host);
  } else if (!host.empty()) {
    log::debug("NOTIFY_SOCKET: the container was created without it");
  }
  return notify;
}

/// Runs a created container. create() used a start gate if there is a socket to bind first.
int run_created(Container& container, const CreateOptions& options, const HeldSignals* signals) {
  std::optional<NotifySocket> notify;
  if (options.start_gate) {
    notify = bind_notify_socket(container);
    container.start();
  }
  StartedProcess process = container.take_init();
  if (log::debugging()) log::debug("container's process: " + std::to_string(process.pid));
  if (signals != nullptr) {
    return wait_in_foreground(*signals, std::move(process), notify ? &*notify : nullptr);
  }
  if (notify) notify->wait_until_ready(process.pidfd.get(), process.pid);
  return 0;
}

}  // namespace

void remove_failed(Container& container) {
  try {
    container.remove(true);
  } catch (const Error& error) {
    log::warning(error.what());
  }
}

int create(const Call& call) {
  Container::create(call.runtime, call.id(), create_options(call.arguments));
  return 0;
}

int start(const Call& call) {
  Container container = Container::open(call.runtime, call.id());
  const auto notify = bind_notify_socket(container);
  // Before the start: the process may end at once.
  const Fd pidfd = notify ? container.pidfd() : Fd();
  const pid_t pid = notify ? container.state().pid : 0;
  container.start();
  if (notify) notify->wait_until_ready(pidfd.get(), pid);
  return 0;
}

int run(const Call& call) {
  const Arguments& given = call.arguments;
  const bool keep = given.is_set(flag::keep);
  check_console_socket(given);
  CreateOptions options = create_options(given);
  options.start_gate = options.notify;
  const std::optional<HeldSignals> signals = prepare_foreground(given, options);
  Container container = Container::create(call.runtime, call.id(), options);
  int status = 0;
  try {
    status = run_created(container, options, signals ? &*signals : nullptr);
  } catch (...) {
    if (!keep) remove_failed(container);
    throw;
  }
  if (signals && !keep) remove_failed(container);
  return status;
}

}  // namespace tare::cli
