// What runs between clone3(2) and execveat(2), in the parent's memory. See stub.cc for the rules it
// keeps.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tare {

/// A namespace that the child joins before the clone that counts.
struct StubJoin {
  int fd = -1;
  std::uint64_t type = 0;
};

/// Everything the stub reads and writes. Lives in the parent until the stub is done.
struct StubTask {
  // In.
  std::uint64_t clone_flags = 0;  ///< CLONE_NEW*
  int cgroup = -1;                ///< CLONE_INTO_CGROUP, -1: none
  const StubJoin* joins = nullptr;
  std::size_t join_count =
      0;                   ///< more than 0: an intermediate child joins them and clones once more
  int image = -1;          ///< memfd of init
  int* sources = nullptr;  ///< sources[i] becomes fd i
  std::size_t source_count = 0;
  bool raise_ambient = false;  ///< keep capabilities through an execve(2) as an unmapped user
  char* const* argv = nullptr;
  // Out.
  int pid = -1;
  int pidfd = -1;
  int errnum = 0;              ///< of whatever failed, in either child or in the clone itself
  const char* step = nullptr;  ///< and the name of that system call
};

/// Runs `task`; true where init is executing. Blocks until then (CLONE_VFORK). All signals must be
/// blocked. `stack` is memory of `stack_size` bytes, aligned to 16, for the children to run on.
bool run_stub(StubTask& task, void* stack, std::size_t stack_size) noexcept;

}  // namespace tare
