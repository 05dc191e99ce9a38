// The messages of criu(8)'s RPC.
#pragma once

#include <criu.pb-c.h>

#include <memory>
#include <optional>
#include <vector>

#include "tare/fd.h"

namespace tare {

/// A received message: its bytes, and a descriptor.
struct CriuMessage {
  std::vector<char> bytes;
  Fd fd;
};

struct FreeCriuResponse {
  void operator()(Criu__Response* response) const {
    criu__response__free_unpacked(response, nullptr);
  }
};
using CriuResponse = std::unique_ptr<Criu__Response, FreeCriuResponse>;

/// Sends a request. That criu has ended is left to receive_from_criu().
void send_to_criu(int socket, const Criu__Request& request);
/// Receives a message; none when criu has closed the connection.
std::optional<CriuMessage> receive_from_criu(int socket);
/// Throws `system` for a message that is not a response.
CriuResponse unpack_response(const CriuMessage& message);

}  // namespace tare
