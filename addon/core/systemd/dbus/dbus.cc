// The connection: see "Authentication Protocol" and "Server Addresses" of the specification.

#include "systemd/dbus/dbus.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "tare/error.h"
#include "tare/unix_socket.h"

namespace tare::dbus {

namespace {

using std::chrono::steady_clock;

/// An upper bound for the lines of the authentication.
constexpr std::size_t max_line_size = 16384;

std::chrono::microseconds left_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline - steady_clock::now());
  return std::max(left, std::chrono::microseconds(0));
}

/// Returns false if the socket is not ready until `deadline`.
bool wait_for(int socket, short events, Deadline deadline) {
  pollfd polled{socket, events, 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(left_until(deadline)).count();
    const int ready = poll(&polled, 1, static_cast<int>(std::min<std::int64_t>(left, 1 << 30)));
    if (ready >= 0) {
      return ready > 0;
    }
    if (errno != EINTR) {
      throw_errno("poll", "the D-Bus socket");
    }
  }
}

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    unsigned code = 0;
    const char* const digits = text.data() + at + 1;
    if (text[at] == '%' && at + 2 < text.size() &&
        std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2) {
      plain.push_back(static_cast<char>(code));
      at += 2;
    } else {
      plain.push_back(text[at]);
    }
  }
  return plain;
}

std::optional<UnixAddress> name_of(const Address& address) {
  // unix_address() takes "@" for an abstract socket.
  const std::string path = address.path.starts_with('@') ? "./" + address.path : address.path;
  return unix_address(address.abstract ? "@" + address.path : path);
}

}  // namespace

std::vector<Address> parse_addresses(std::string_view list) {
  std::vector<Address> addresses;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(';'), list.size());
    std::string_view one = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    if (!one.starts_with("unix:")) {
      continue;
    }
    one.remove_prefix(5);
    while (!one.empty()) {
      const std::size_t comma = std::min(one.find(','), one.size());
      const std::string_view pair = one.substr(0, comma);
      one.remove_prefix(std::min(comma + 1, one.size()));
      for (const std::string_view key : {"path=", "abstract="}) {
        if (pair.starts_with(key)) {
          addresses.push_back({unescape(pair.substr(key.size())), key == "abstract="});
        }
      }
    }
  }
  return addresses;
}

std::optional<Connection> Connection::open(const Address& address, Deadline deadline) {
  const std::optional<UnixAddress> name = name_of(address);
  if (!name.has_value()) {
    throw_errno(ENAMETOOLONG, "connect", address.path);
  }
  Connection connection;
  connection.socket_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int socket = connection.socket_.get();
  if (socket < 0) {
    throw_errno("socket", "AF_UNIX");
  }
  // connect(2) blocks while the peer's backlog is full; this limits the time.
  const auto left = std::max(left_until(deadline), std::chrono::microseconds(1));
  const timeval timeout{left.count() / 1000000, static_cast<suseconds_t>(left.count() % 1000000)};
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  while (connect(socket, name->get(), name->size) != 0) {
    if (errno == EAGAIN) {
      return std::nullopt;
    }
    if (errno != EINTR) {
      throw_errno("connect", address.path);
    }
  }
  if (!connection.authenticate(deadline)) {
    return std::nullopt;
  }
  return connection;
}

/// Returns false if there is no answer until `deadline`.
bool Connection::authenticate(Deadline deadline) {
  // The NUL once carried credentials; the peer now takes them from the socket. Everything is sent
  // at once: a peer of systemd that reads BEGIN together with the first message answers that
  // message only when further data arrives.
  constexpr char greeting[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
  if (!send(std::string_view(greeting, sizeof greeting - 1), deadline)) {
    return false;
  }
  for (const std::string_view expected : {"DATA", "OK"}) {
    const std::optional<std::string> answer = line(deadline);
    if (!answer.has_value()) {
      return false;
    }
    if (!answer->starts_with(expected)) {
      Error error(ErrorKind::system, "D-Bus: the peer refuses this user: " + *answer);
      throw error.with_errno(EPROTO, "recv");
    }
  }
  return true;
}

std::optional<std::string> Connection::line(Deadline deadline) {
  for (;;) {
    const std::size_t end = received_.find("\r\n");
    if (end != std::string::npos) {
      std::string result = received_.substr(0, end);
      received_.erase(0, end + 2);
      return result;
    }
    if (received_.size() > max_line_size) {
      Error error(ErrorKind::system, "D-Bus: the peer does not speak D-Bus");
      throw error.with_errno(EPROTO, "recv");
    }
    if (!receive(deadline)) {
      return std::nullopt;
    }
  }
}

bool Connection::send(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!wait_for(socket_.get(), POLLOUT, deadline)) {
        return false;
      }
    } else if (errno != EINTR) {
      throw_errno("send", "the D-Bus socket");
    }
  }
  return true;
}

bool Connection::receive(Deadline deadline) {
  std::array<char, 8192> buffer;
  for (;;) {
    const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      received_.append(buffer.data(), static_cast<std::size_t>(got));
      return true;
    }
    if (got == 0) {
      Error error(ErrorKind::system, "D-Bus: the peer closed the connection");
      throw error.with_errno(ECONNRESET, "recv");
    }
    if (errno == EAGAIN) {
      if (!wait_for(socket_.get(), POLLIN, deadline)) {
        return false;
      }
    } else if (errno != EINTR) {
      throw_errno("recv", "the D-Bus socket");
    }
  }
}

std::optional<Message> Connection::message(Deadline deadline) {
  for (;;) {
    const std::optional<std::size_t> size = message_size(received_);
    if (size.has_value() && received_.size() >= *size) {
      Message result = decode(std::string_view(received_).substr(0, *size));
      received_.erase(0, *size);
      return result;
    }
    if (!receive(deadline)) {
      return std::nullopt;
    }
  }
}

std::optional<Message> Connection::call(Message call, Deadline deadline) {
  call.type = MessageType::call;
  call.serial = ++serial_;
  if (!send(encode(call), deadline)) {
    return std::nullopt;
  }
  for (;;) {
    std::optional<Message> received = message(deadline);
    if (!received.has_value()) {
      return std::nullopt;
    }
    if (received->type == MessageType::signal) {
      signals_.push_back(std::move(*received));
    } else if (received->reply_serial == call.serial) {
      return received;
    }
  }
}

std::optional<Message> Connection::next_signal(Deadline deadline) {
  if (!signals_.empty()) {
    Message signal = std::move(signals_.front());
    signals_.pop_front();
    return signal;
  }
  for (;;) {
    std::optional<Message> received = message(deadline);
    if (!received.has_value() || received->type == MessageType::signal) {
      return received;
    }
  }
}

}  // namespace tare::dbus
