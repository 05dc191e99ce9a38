/// \file
/// sd_notify(3) for containers: a socket that the container finds at /run/notify, whose READY=1 is
/// forwarded to the caller's $NOTIFY_SOCKET.
#pragma once

#include <sys/types.h>

#include <string>

#include "tare/container.h"

namespace tare::cli {

/// Returns $NOTIFY_SOCKET, or an empty string if it is not set.
std::string notify_socket_of_caller();

class NotifySocket {
 public:
  /// Binds `directory`/notify.sock, writable for every user. Readiness is reported to `host`.
  NotifySocket(const std::string& directory, std::string host);

  int fd() const noexcept { return socket_.get(); }
  /// Takes one datagram. If it says READY, forwards that with MAINPID=`main_pid`, and returns true.
  /// Nothing else is forwarded: the container must not send other messages in the service's name.
  bool forward(pid_t main_pid) const;
  /// Waits until the container is ready or the process of `pidfd` has ended, then until the service
  /// manager has processed the message: it attributes messages to their sender, which must be alive
  /// then.
  void wait_until_ready(int pidfd, pid_t main_pid) const;

 private:
  void send(std::string_view text, int passed_fd) const;
  void barrier() const;

  Fd socket_;
  std::string host_;
};

}  // namespace tare::cli
