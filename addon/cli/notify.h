/// \file
/// sd_notify(3) for containers: a socket that the container finds at /run/notify, whose READY=1 is
/// passed on to the $NOTIFY_SOCKET of the caller.
#pragma once

#include <sys/types.h>

#include <string>

#include "tare/container.h"

namespace tare::cli {

/// $NOTIFY_SOCKET; empty where it is not set.
std::string notify_socket_of_caller();

class NotifySocket {
 public:
  /// Binds `directory`/notify.sock, for anyone to write to. `host` is where readiness is reported
  /// to.
  NotifySocket(const std::string& directory, std::string host);

  int fd() const noexcept { return socket_.get(); }
  /// Takes one datagram. If it says READY, passes that on with MAINPID=`main_pid`, and returns
  /// true. Nothing else is passed on: the container may not speak for the service in other matters.
  bool forward(pid_t main_pid) const;
  /// Waits until the container is ready or the process of `pidfd` has ended, then until the service
  /// manager has taken the news: it attributes messages to their sender, which must be alive then.
  void wait_until_ready(int pidfd, pid_t main_pid) const;

 private:
  void send(std::string_view text, int passed_fd) const;
  void barrier() const;

  Fd socket_;
  std::string host_;
};

}  // namespace tare::cli
