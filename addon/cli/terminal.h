/// \file
/// The container's terminal, attached to the caller's standard streams.
#pragma once

#include <poll.h>
#include <termios.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "tare/container.h"

namespace tare::cli {

/// Prepares the master of a pty for being attached: the size of the caller's terminal, and no
/// translation of newlines, which the caller's terminal does. Must be called before the container's
/// program can write.
void prepare_console(int master);

/// Copies between the standard streams and the master of a pty. While this object exists, standard
/// input is in raw mode if it is a terminal.
class Terminal {
 public:
  static constexpr std::size_t poll_count = 4;

  explicit Terminal(Fd master);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Sets `wanted` to what poll(2) must wait for.
  void fill(std::span<pollfd, poll_count> wanted) const noexcept;
  /// Moves the data that poll(2) has reported as ready.
  void move(std::span<const pollfd, poll_count> ready);
  /// Gives the container's terminal the size of the caller's.
  void resize() const noexcept;
  /// Writes out all that the container has written so far.
  void drain();

 private:
  /// One direction. It reads only when it has nothing to write.
  struct Stream {
    int from;
    int to;
    std::array<char, 4096>
        buffer;  ///< at most PIPE_BUF, so that a write to a pipe that is ready does not block
    std::size_t begin = 0;
    std::size_t end = 0;
    bool open = true;

    void fill(pollfd& source, pollfd& sink) const noexcept;
    void read() noexcept;
    void write() noexcept;
  };

  Fd master_;
  Stream input_;
  Stream output_;
  std::optional<termios> saved_;
};

}  // namespace tare::cli
