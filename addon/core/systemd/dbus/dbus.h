/// \file
/// The part of D-Bus that a client of systemd needs: values and their text format, messages, and a
/// connection whose operations all have a deadline. See the D-Bus specification
/// (dbus.freedesktop.org/doc). Messages use the host's byte order, which every peer on a unix
/// socket shares.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tare/fd.h"

namespace tare::dbus {

/// A value of one complete type of the specification.
struct Value {
  std::string signature;     ///< "s", "t", "a(ss)", "v", …
  std::uint64_t number = 0;  ///< y b n q i u x t h; negative ones in two's complement
  double real = 0;           ///< d
  std::string text;          ///< s o g
  std::vector<Value> items;  ///< members of a struct or dict entry, elements of an array, the one
                             ///< value of a variant
};

Value string(std::string_view text);
Value boolean(bool value);
Value uint32(std::uint32_t value);
Value uint64(std::uint64_t value);
/// ay
Value bytes(std::string_view bytes);
/// `element` is the elements' signature.
Value array(std::string_view element, std::vector<Value> items);
Value structure(std::vector<Value> members);
Value variant(Value value);

/// The first complete type of a signature; empty where there is none (the signature is bad).
std::string_view first_type(std::string_view signature) noexcept;
/// Appends the marshalled value to `out`, whose beginning must be aligned to 8 bytes.
void marshal(std::string& out, const Value& value);
/// Reads values of the types of `signature`. Throws `system` for malformed bytes.
std::vector<Value> unmarshal(std::string_view bytes, std::string_view signature);

/// Parses a value in GVariant's text format (docs.gtk.org/glib/gvariant-text-format.html):
/// `'text'`, `uint64 5`, `true`, `['a', 'b']`, `@as []`, `(1, 'x')`, `{'a': <1>}`, `b'bytes'`.
/// Throws `invalid_argument` with the error and its position.
Value parse_text(std::string_view text);

enum class MessageType : std::uint8_t { call = 1, reply = 2, error = 3, signal = 4 };

struct Message {
  MessageType type = MessageType::call;
  std::uint32_t serial = 0;
  std::uint32_t reply_serial = 0;  ///< of a reply or an error: the call's serial
  std::string path;                ///< object
  std::string interface;
  std::string member;
  std::string error_name;
  std::string destination;
  std::string sender;
  std::vector<Value> body;
};

std::string encode(const Message& message);
/// Returns the size of the message that begins with `bytes`; none until its fixed header is
/// complete. Throws `system` for malformed messages and for ones of more than 16 MiB.
std::optional<std::size_t> message_size(std::string_view bytes);
/// Throws `system` for a malformed message.
Message decode(std::string_view bytes);

using Deadline = std::chrono::steady_clock::time_point;

/// A unix socket of an address list of the specification ("unix:path=/run/user/1000/bus").
struct Address {
  std::string path;
  bool abstract = false;
};
/// Returns the unix sockets of an address list in its order; skips other transports.
std::vector<Address> parse_addresses(std::string_view list);

/// A connection to a bus or to a peer. Not thread-safe.
class Connection {
 public:
  /// No connection.
  Connection() = default;
  /// Connects and authenticates as this process's user, which the peer determines from the socket
  /// (EXTERNAL without a name, which works in a user namespace too). None: no answer until
  /// `deadline`. Throws `system` with the errno of connect(2), or EPROTO if the peer refuses.
  static std::optional<Connection> open(const Address& address, Deadline deadline);

  /// Sends a call and waits for its reply, which may be an error. None: no answer until `deadline`.
  /// Queues signals that arrive meanwhile. Throws `system` (ECONNRESET) if the peer closes.
  std::optional<Message> call(Message call, Deadline deadline);
  /// Returns the next signal, queued ones first. None: no signal until `deadline`.
  std::optional<Message> next_signal(Deadline deadline);

 private:
  bool send(std::string_view bytes, Deadline deadline);
  /// Reads available bytes; returns false if there are none until `deadline`.
  bool receive(Deadline deadline);
  bool authenticate(Deadline deadline);
  std::optional<std::string> line(Deadline deadline);
  std::optional<Message> message(Deadline deadline);

  Fd socket_;
  std::string received_;
  std::deque<Message> signals_;
  std::uint32_t serial_ = 0;
};

}  // namespace tare::dbus
