#include "state/start_gate.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>

#include "state/directory.h"
#include "state/file_lock.h"
#include "tare/error.h"

namespace tare {
namespace {

constexpr const char* gate_fifo = "exec.fifo";
constexpr const char* barred_fifo = "paused.fifo";

std::string fifo_path(const StateDir& dir) { return dir.path() + "/" + gate_fifo; }

}  // namespace

void StartGate::make() const {
  if (mkfifoat(dir_.fd(), gate_fifo, 0600) < 0) {
    throw_errno("mkfifo", fifo_path(dir_));
  }
}

Fd StartGate::open_for_init() const {
  Fd gate = open_file(dir_.fd(), gate_fifo, O_RDWR);
  // Held as long as init has the FIFO open.
  lock_file(gate.get(), LOCK_EX, fifo_path(dir_));
  // The smallest capacity of a pipe: a page.
  const int size = fcntl(gate.get(), F_SETPIPE_SZ, 1);
  if (size < 0) {
    throw_errno("fcntl(F_SETPIPE_SZ)", fifo_path(dir_));
  }
  write_all(gate.get(), std::string(static_cast<std::size_t>(size), '.'), gate_fifo);
  return gate;
}

/// Opens for reading only: another writer would keep start from seeing the FIFO's end.
std::optional<Fd> StartGate::open_held() const {
  const std::string path = dir_.path();
  const ErrorContext context("ask for the start gate in", path);
  std::optional<Fd> gate = open_if_exists(dir_.fd(), gate_fifo, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (gate.has_value() && lock_file(gate->get(), LOCK_SH | LOCK_NB, gate_fifo)) {
    return std::nullopt;
  }
  return gate;
}

bool StartGate::is_held() const { return open_held().has_value(); }

StartAnswer StartGate::let_pass() const {
  std::optional<Fd> gate = open_held();
  if (!gate.has_value()) {
    unbar();
    gate = open_held();
  }
  std::string bytes;
  std::size_t fill = 0;
  if (gate.has_value()) {
    if (fcntl(gate->get(), F_SETFL, 0) < 0) {
      throw_errno("fcntl(F_SETFL)", fifo_path(dir_));
    }
    fill = static_cast<std::size_t>(fcntl(gate->get(), F_GETPIPE_SZ));
    bytes = read_all(gate->get(), gate_fifo);
  }
  if (bytes.size() <= fill) {
    throw Error(ErrorKind::bad_status, "init has left the start gate").with_path(dir_.path());
  }
  // gate_passed is missing where init failed at the gate itself.
  StartAnswer result;
  bytes.erase(0, bytes.size() == fill + sizeof result.failure ? fill : fill + 1);
  if (bytes.size() == sizeof result.failure) {
    result.failed = true;
    bytes.copy(reinterpret_cast<char*>(&result.failure), sizeof result.failure);
  }
  return result;
}

void StartGate::bar() const {
  if (is_held() && renameat(dir_.fd(), gate_fifo, dir_.fd(), barred_fifo) < 0) {
    throw_errno("rename", fifo_path(dir_));
  }
}

bool StartGate::is_barred() const noexcept {
  return faccessat(dir_.fd(), barred_fifo, F_OK, 0) == 0;
}

void StartGate::unbar() const noexcept { renameat(dir_.fd(), barred_fifo, dir_.fd(), gate_fifo); }

void StartGate::close() const { unlinkat(dir_.fd(), gate_fifo, 0); }

}  // namespace tare
