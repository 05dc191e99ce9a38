/// \file
/// Requests and replies of rtnetlink(7).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/fd.h"

namespace tare {

/// A message under construction: a fixed part, followed by attributes. Numbers are in host byte
/// order.
class NetlinkMessage {
 public:
  /// `type` is RTM_*, `flags` are NLM_F_* in addition to NLM_F_REQUEST; `fixed` is the type's own
  /// struct.
  template <typename Fixed>
  NetlinkMessage(std::uint16_t type, std::uint16_t flags, const Fixed& fixed)
      : NetlinkMessage(type, flags) {
    append({reinterpret_cast<const char*>(&fixed), sizeof fixed});
  }
  NetlinkMessage& attribute(std::uint16_t type, std::string_view value);
  NetlinkMessage& attribute(std::uint16_t type, std::uint32_t value);
  /// Appends a string with its terminating NUL.
  NetlinkMessage& attribute_name(std::uint16_t type, const std::string& value);

 private:
  friend class NetlinkSocket;
  NetlinkMessage(std::uint16_t type, std::uint16_t flags);
  void append(std::string_view bytes);
  std::string bytes_;
};

/// A reply of the kernel: the type's own struct followed by attributes. Refers to the request's
/// buffer.
class NetlinkReply {
 public:
  explicit NetlinkReply(std::string_view payload) : payload_(payload) {}
  /// Returns the type's own struct; zeros if the message is too short.
  template <typename Fixed>
  Fixed fixed() const {
    Fixed value{};
    payload_.copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  /// Returns the attribute `type` after a struct of `fixed_size` bytes; empty if there is none.
  std::string_view attribute(std::size_t fixed_size, std::uint16_t type) const;

 private:
  std::string_view payload_;
};

/// A NETLINK_ROUTE socket of one network namespace.
class NetlinkSocket {
 public:
  /// Opens a socket in the calling thread's network namespace. Throws `system`.
  NetlinkSocket();
  /// Takes ownership of an existing socket.
  explicit NetlinkSocket(Fd socket) : socket_(std::move(socket)) {}

  /// Sends a request and waits for the answer. Returns 0 or the kernel's errno.
  int request(const NetlinkMessage& message);
  /// The same for a request that is answered by messages (NLM_F_DUMP, or a single RTM_GET*); `take`
  /// is called for each.
  int request(const NetlinkMessage& message, const std::function<void(NetlinkReply)>& take);

 private:
  Fd socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace tare
