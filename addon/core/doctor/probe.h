// Tests kernel features in a child process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace tare {

/// The progress of a probe.
struct ProbeResult {
  const char* call = "fork";  ///< the last system call
  int errnum = 0;             ///< its errno; 0: the probe succeeded
  int signal = 0;             ///< that killed the probe; 0: none
  bool entering = false;      ///< the probe ended while entering the namespaces that it needed

  bool good() const noexcept { return errnum == 0 && signal == 0; }
  /// Whether the kernel, or a filter in front of it, does not know the call at all.
  bool unknown() const noexcept;
  /// "unshare: EPERM (Operation not permitted)".
  std::string text() const;
};

/// Records the steps of a probe for its parent.
class ProbeSteps {
 public:
  explicit ProbeSteps(ProbeResult& result) : result_(result) {}
  /// Checks the result of a system call and ends the probe if it is negative. `call` must be a
  /// literal.
  long must(const char* call, long result);
  /// Ends the probe as if `call` had failed with `errnum`.
  [[noreturn]] void fail(const char* call, int errnum);
  /// Marks the following steps as preparation of the probe.
  void entering(bool value) { result_.entering = value; }

 private:
  ProbeResult& result_;
};

/// Runs `act` in a child that ends after at most 10 s and dumps no core; everything that it creates
/// or mounts in its own namespaces ends with it.
ProbeResult probe(const std::function<void(ProbeSteps&)>& act);

/// In a probe: enters a user namespace as its root, mapping only the own ids.
void enter_user_namespace(ProbeSteps& steps);
/// In a probe: enters new namespaces of `flags` (CLONE_NEW*) for itself and its children; for an
/// ordinary user, in a user namespace as its root.
void enter_namespaces(ProbeSteps& steps, bool rootless, std::uint64_t flags);
/// In a probe: enters a mount namespace without mount propagation.
void enter_private_mounts(ProbeSteps& steps, bool rootless, std::uint64_t more_flags = 0);
/// In a probe: continues as a child, and so in the new pid namespace; the parent exits as the child
/// does.
void continue_as_child(ProbeSteps& steps);

}  // namespace tare
