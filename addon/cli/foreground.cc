#include "foreground.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "log.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "terminal.h"
#include "verbs.h"

namespace tare::cli {

namespace {

enum Polled : std::size_t { process_end, signal_arrival, notification, terminal_begin };

/// Reaps orphans of the container, whose parent is this process as their subreaper. Leaves the
/// container's process alone.
void reap_orphans(pid_t main_pid) {
  while (true) {
    siginfo_t info = {};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
    if (info.si_pid == 0 || info.si_pid == main_pid) return;
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

void pass_on(int signal, const StartedProcess& process) {
  if (log::debugging()) {
    log::debug("forwarding signal " + std::to_string(signal) + " to " +
               std::to_string(process.pid));
  }
  // The process may just have ended: ESRCH.
  const int error = try_signal(process.pidfd.get(), signal);
  if (error != 0 && error != ESRCH) {
    log::warning("forwarding signal " + std::to_string(signal) +
                 ": pidfd_send_signal: " + errno_text(error));
  }
}

void take_signals(const HeldSignals& signals, const StartedProcess& process,
                  const Terminal* terminal) {
  std::array<signalfd_siginfo, 8> infos;
  const ssize_t size = ::read(signals.fd(), infos.data(), sizeof infos);
  for (std::size_t i = 0; size > 0 && i < static_cast<std::size_t>(size) / sizeof infos[0]; i++) {
    const int signal = static_cast<int>(infos[i].ssi_signo);
    if (signal == SIGCHLD) {
      reap_orphans(process.pid);
    } else if (signal == SIGWINCH && terminal != nullptr) {
      terminal->resize();
    } else {
      pass_on(signal, process);
    }
  }
}

void take_notification(const NotifySocket& notify) {
  try {
    // This process stays for as long as the container, so it may be the service manager's main
    // process.
    notify.forward(::getpid());
  } catch (const Error& error) {
    log::warning(error.what());
  }
}

}  // namespace

HeldSignals::HeldSignals() {
  sigset_t held;
  ::sigfillset(&held);
  // SIGPIPE and the two signals of job control concern this process itself; SIGURG is about
  // sockets.
  for (const int signal : {SIGPIPE, SIGTTIN, SIGTTOU, SIGURG}) ::sigdelset(&held, signal);
  if (::sigprocmask(SIG_BLOCK, &held, nullptr) != 0) throw_errno("sigprocmask");
  fd_ = Fd(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) throw_errno("signalfd");
}

std::optional<HeldSignals> prepare_foreground(const Arguments& given, CreateOptions& options) {
  if (given.is_set(flag::detach)) return std::nullopt;
  options.allow_terminal_without_socket = true;
  options.prepare_console = prepare_console;
  std::optional<HeldSignals> signals(std::in_place);
  if (!given.is_set(flag::no_subreaper)) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  return signals;
}

int wait_in_foreground(const HeldSignals& signals, StartedProcess process,
                       const NotifySocket* notify) {
  std::optional<Terminal> terminal;
  if (process.console) terminal.emplace(std::move(process.console));
  std::array<pollfd, terminal_begin + Terminal::poll_count> polled = {};
  const std::span<pollfd, Terminal::poll_count> terminal_polled(polled.data() + terminal_begin,
                                                                Terminal::poll_count);
  const std::size_t count = terminal ? polled.size() : std::size_t{terminal_begin};
  while (true) {
    polled[process_end] = {.fd = process.pidfd.get(), .events = POLLIN, .revents = 0};
    polled[signal_arrival] = {.fd = signals.fd(), .events = POLLIN, .revents = 0};
    polled[notification] = {
        .fd = notify != nullptr ? notify->fd() : -1, .events = POLLIN, .revents = 0};
    if (terminal) terminal->fill(terminal_polled);
    if (::poll(polled.data(), count, -1) < 0) {
      if (errno == EINTR) continue;
      throw_errno("poll");
    }
    if (notify != nullptr && polled[notification].revents != 0) take_notification(*notify);
    if (polled[signal_arrival].revents != 0) {
      take_signals(signals, process, terminal ? &*terminal : nullptr);
    }
    if (terminal) terminal->move(terminal_polled);
    if (polled[process_end].revents != 0) break;
  }
  if (terminal) terminal->drain();
  const int status = reap(process.pidfd.get()).code;
  if (log::debugging()) {
    log::debug("process " + std::to_string(process.pid) + " ended with status " +
               std::to_string(status));
  }
  return status;
}

}  // namespace tare::cli
