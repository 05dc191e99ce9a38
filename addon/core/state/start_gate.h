/// \file
/// The start gate of a container: the FIFO at which init waits for `start`.
#pragma once

#include <optional>

#include "tare/fd.h"
#include "tare/wire.h"

namespace tare {

class StateDir;

/// init's answer at the start gate.
struct StartAnswer {
  bool failed = false;
  wire::StartFailure failure;
};

/// The gate in a container's state directory, to which this refers.
class StartGate {
 public:
  explicit StartGate(const StateDir& dir) noexcept : dir_(dir) {}

  /// Makes the FIFO.
  void make() const;
  /// Opens the FIFO for init, locks it (flock(2)) and fills it, so that init blocks in write(2)
  /// until a process reads.
  Fd open_for_init() const;
  /// Whether init holds the gate, according to the kernel (its lock on the FIFO) instead of stored
  /// state.
  bool is_held() const;
  /// Lets init pass the gate, barred or not, and waits until it has executed the user's program,
  /// failed or ended. Throws `bad_status` if init does not hold the gate.
  StartAnswer let_pass() const;
  /// Renames the FIFO, so that no process waits in vain at the gate of a paused container. Does
  /// nothing if init does not hold the gate.
  void bar() const;
  bool is_barred() const noexcept;
  /// Reverts bar(); does nothing if the gate is not barred.
  void unbar() const noexcept;
  /// Removes the FIFO, so that the container can no longer be started.
  void close() const;

 private:
  /// Opens the FIFO for reading; none if init does not hold the gate.
  std::optional<Fd> open_held() const;

  const StateDir& dir_;
};

}  // namespace tare
