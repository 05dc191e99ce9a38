#include "checkpoint/criu_messages.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "tare/error.h"
#include "tare/unix_socket.h"

namespace tare {

void send_to_criu(int socket, const Criu__Request& request) {
  std::string bytes(criu__request__get_packed_size(&request), '\0');
  criu__request__pack(&request, reinterpret_cast<std::uint8_t*>(bytes.data()));
  const int error = send_message(socket, bytes);
  // EPIPE: criu has ended, which the next receive_from_criu() detects.
  if (error != 0 && error != EPIPE && error != ECONNRESET) {
    throw_errno(error, "sendmsg", "criu");
  }
}

std::optional<CriuMessage> receive_from_criu(int socket) {
  CriuMessage received;
  received.bytes.resize(std::size_t{64} << 10);
  std::optional<ReceivedMessage> message =
      receive_message(socket, std::as_writable_bytes(std::span(received.bytes)));
  if (!message && errno != ECONNRESET) {
    throw_errno("recvmsg", "criu");
  }
  if (!message || message->size == 0) {
    return std::nullopt;
  }
  received.bytes.resize(message->size);
  received.fd = std::move(message->fd);
  return received;
}

CriuResponse unpack_response(const CriuMessage& message) {
  CriuResponse response(criu__response__unpack(
      nullptr, message.bytes.size(), reinterpret_cast<const std::uint8_t*>(message.bytes.data())));
  if (!response) {
    throw Error(ErrorKind::system, "protocol error: invalid response from criu");
  }
  return response;
}

}  // namespace tare
