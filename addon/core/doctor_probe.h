// Trying what the kernel does, in a child process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace tare {

/// How far a probe has come.
struct ProbeResult {
  const char* call = "fork";  ///< the last system call that was made
  int errnum = 0;             ///< its errno; 0: the probe went well
  int signal = 0;             ///< that ended it; 0: none did
  bool entering = false;      ///< it ended on its way into the namespaces that it needed

  bool good() const noexcept { return errnum == 0 && signal == 0; }
  /// Whether the kernel, or what stands before it, does not know the call at all.
  bool unknown() const noexcept;
  /// "unshare: EPERM (Operation not permitted)".
  std::string text() const;
};

/// What a probe writes down as it goes, for its parent.
class ProbeSteps {
 public:
  explicit ProbeSteps(ProbeResult& result) : result_(result) {}
  /// Takes the result of a system call; ends the probe where that is negative. `call` must be a
  /// literal.
  long must(const char* call, long result);
  /// Ends the probe as if `call` had failed so.
  [[noreturn]] void fail(const char* call, int errnum);
  /// What comes next only prepares the probe.
  void entering(bool value) { result_.entering = value; }

 private:
  ProbeResult& result_;
};

/// Runs `act` in a child, which ends after 10 s at the latest and dumps no core; what it makes and
/// mounts in namespaces of its own ends with it.
ProbeResult probe(const std::function<void(ProbeSteps&)>& act);

/// In a probe: a user namespace in which it is root, with no more than its own ids.
void enter_user_namespace(ProbeSteps& steps);
/// In a probe: CLONE_NEW* of `flags` for it and its children; for an ordinary user in a user
/// namespace in which it is root.
void enter_namespaces(ProbeSteps& steps, bool rootless, std::uint64_t flags);
/// In a probe: a mount namespace whose mounts nobody else gets.
void enter_private_mounts(ProbeSteps& steps, bool rootless, std::uint64_t more_flags = 0);
/// In a probe: goes on as a child, and so in the pid namespace that was made; the parent ends as
/// that does.
void continue_as_child(ProbeSteps& steps);

}  // namespace tare
