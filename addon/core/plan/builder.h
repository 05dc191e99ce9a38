// Collects a plan: ops, their strings, and what is passed to init. Used by the sources of plan
// alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "spec/mount_options.h"
#include "tare/plan.h"

namespace tare {

/// Returns the op's name as in JSON plans: "mount_fs".
const char* op_name(wire::OpCode code) noexcept;
/// Returns what the op does, in the words of mount(8) and similar commands.
std::string op_text(const Plan& plan, const wire::Op& op);
/// Returns the names of the namespaces CLONE_NEW*, separated by commas.
std::string namespace_names(std::uint64_t flags);

class PlanBuilder {
 public:
  /// `source`: where the process to be started is defined.
  PlanBuilder(const Spec& spec, const Host& host, ProcessSource source = {});

  /// Continues a plan that was begun for another command.
  PlanBuilder(const Plan& start, const Spec& spec, const Host& host);
  /// Change the steps of such a plan that depend on the container or the command.
  void name_session(std::string_view id);
  void change_working_directory(const std::string& path);
  void change_id_mappings(const std::function<void(IdMapping&)>& change);

  const Spec& spec() const { return spec_; }
  const Host& host() const { return host_; }
  /// Returns the origin of an op that implements that field of the process ("user.uid").
  std::string process_origin(std::string_view field) const;

  /// Appends an op. The reference is valid until the next one is added.
  wire::Op& add(wire::OpCode code, std::string_view origin = {});
  /// Puts a NUL-terminated string into the pool and returns its offset; equal strings share one.
  std::uint32_t text(std::string_view value);
  /// Puts bytes into the pool, aligned to 8.
  std::uint32_t blob(std::string_view bytes);
  /// Puts strings one behind the other, each NUL-terminated.
  std::uint32_t list(const std::vector<std::string>& values);
  /// Has the host pass a descriptor to init; returns its index.
  int pass(Passed passed);
  void join(int passed, std::uint64_t type);
  /// Has the host open a mount for init; if `late`, only after the ops that the plan has by now.
  /// Returns Op::fd for the op that uses it.
  int source(Passed passed, bool late);
  /// Places the request for the next source() before the op that is added next.
  void request_from_here();
  /// Passes the user namespace of an id-mapped mount; returns its index.
  int pass_id_mapping(const Mount& mount, const std::string& origin);

  /// If `wanted`, has init keep the mount that it makes last: later ops on the mount at
  /// `destination` act on that one.
  void keep(const std::string& destination, bool wanted);
  /// Returns Op::fd of an op on the mount at `destination`.
  int kept(const std::string& destination) const;

  void clone_flags(std::uint64_t flags) { plan_.clone_flags_ |= flags; }
  void preserved_fds(std::uint32_t count) { plan_.preserved_fds_ = count; }
  void set_console() { plan_.has_console_ = true; }
  /// Has init continue as a child in a pid namespace of other processes before the program.
  void set_fork_into_pidns() { plan_.forks_into_pidns_ = true; }
  bool forks_into_pidns() const { return plan_.forks_into_pidns_; }
  /// Has init become the reaper of the program.
  void set_reaper() { plan_.has_reaper_ = true; }
  bool has_reaper() const { return plan_.has_reaper_; }
  void wait(wire::WaitTag tag);
  /// Returns Op::fd of an op that waits for the host. Where init forks into a pid namespace of
  /// other processes, the host identifies a sender by the credentials attached to its message
  /// (SO_PASSCRED of unix(7)). A socket that requests credentials gets a name when it sends, so the
  /// host answers through another one.
  int answers();
  void close_fds();
  Plan take() { return std::move(plan_); }

 private:
  const Spec& spec_;
  const Host& host_;
  ProcessSource source_;
  Plan plan_;
  std::vector<std::string> kept_;  // destinations, by the numbers of their mounts
  std::size_t request_ = 0;        // the last op request_mounts, 0: none
  int answers_ = -1;
  std::unordered_map<std::string, std::uint32_t> offsets_;
};

// plan/namespaces.cc
void add_namespaces(PlanBuilder& builder);
/// `joined`: the user namespace, if any, is not made by this plan. `starts`: the plan starts a
/// container and makes its time namespace too.
void add_user_namespace_entry(PlanBuilder& builder, bool ask_host, bool joined, bool starts);
/// Decides whether the process goes on as a child in the container's pid namespace once it is set
/// up. Must be called before any wait for the host is added. `has_labels`: the process gets a
/// security label.
void choose_fork_into_pidns(PlanBuilder& builder, std::uint64_t namespaces, bool has_labels);
void add_joined_namespaces(PlanBuilder& builder, std::uint64_t namespaces);
void add_session(PlanBuilder& builder, bool keyring, std::string_view id);
std::string session_name(std::string_view id);

// plan/sources.cc
/// True where init cannot reach the sources of its mounts: a rootful container with a user
/// namespace, whose root may neither walk to nor clone what only the host's root reaches.
bool host_opens_sources(const PlanBuilder& builder);
/// Returns the host path of a bind mount's source.
std::string source_path(const PlanBuilder& builder, const Mount& mount);
/// Whether the host's path `source` lies below the container's root.
bool is_below_root(const PlanBuilder& builder, const std::string& source);

// plan/root.cc
void add_root(PlanBuilder& builder);
void add_enter_root(PlanBuilder& builder, bool no_pivot);
/// Sets the root of a process that has joined the container's mount namespace, where it differs
/// from the namespace's root.
void add_container_root(PlanBuilder& builder, bool can_pass);
/// Enters a container's mount namespace and makes the mounts at these paths read-only.
void add_read_only_mounts(PlanBuilder& builder, const std::vector<std::string>& paths);
/// Mounts a tree of the host below `directory`, in a mount namespace of the process's
/// own.
void add_tree(PlanBuilder& builder, const std::string& tree, const std::string& directory,
              const std::string& name);

// plan/mounts.cc
void add_mounts(PlanBuilder& builder, const std::vector<RootEntry>& root_entries);
/// Adds the mounts of the builder's spec to an existing container, which `enter` enters once all
/// sources are open. init reports each to the host. `list` is their name in messages.
void add_further_mounts(PlanBuilder& builder, const std::string& list,
                        const std::function<void()>& enter);
void add_root_finish(PlanBuilder& builder);

// plan/masked_paths.cc
void add_masked_paths(PlanBuilder& builder);
/// Returns op_in_proc or op_in_sys where the mount is the container's procfs or sysfs at its usual
/// path, else 0. Paths to mask there are looked up from that mount.
std::uint16_t kernel_interface_flag(const Mount& mount);

// plan/devices.cc
void add_devices(PlanBuilder& builder);
void add_console(PlanBuilder& builder, const Process& process, bool bind);

// plan/process.cc
/// True where the seccomp filter asks an agent.
bool has_listener(const PlanBuilder& builder);
void add_names_and_sysctls(PlanBuilder& builder);
void add_labels(PlanBuilder& builder, const Process& process);
void add_cpu_affinity(PlanBuilder& builder, const Process& process);
/// Adds a wait for the host where the process has scheduling settings.
void add_scheduling(PlanBuilder& builder, const Process& process);
void add_credentials(PlanBuilder& builder, const Process& process);
/// Sets the process's capabilities, and adds `more` to the permitted and effective ones.
void add_capabilities(PlanBuilder& builder, const Process& process, std::uint64_t more);
/// Adds the container's filter: only one with a listener if `with_listener`, else only one without.
void add_seccomp(PlanBuilder& builder, bool with_listener);
void add_working_directory_itself(PlanBuilder& builder, const Process& process);
/// The origin of the step that makes it.
inline constexpr std::string_view working_directory_origin = "process.cwd";
/// Makes the container's root, with its mounts, the working directory of a createContainer hook, as
/// under runc; not where it may not enter a directory on the way.
void add_root_as_working_directory(PlanBuilder& builder);
/// Whether a child would not inherit the process's scheduling policy.
bool is_reset_on_fork(const Process& process);
/// Whether the host schedules the process after all other steps: a child does not inherit every
/// policy.
bool is_scheduled_last(const PlanBuilder& builder, const Process& process);
/// True where sysctls or labels are written below /proc.
bool proc_handle_needed(const Spec& spec, const Process& process);
/// True where the supplementary groups stay the caller's.
bool keeps_groups(const PlanBuilder& builder);
/// True where prestart, createRuntime or createContainer hooks exist.
bool has_create_hooks(const Spec& spec);

// plan/fork_into_pidns.cc
/// Adds the op fork_into_pidns and what belongs to it. `waits`: init waits for the host afterwards.
/// Returns true if the container's filter, where there is one, is loaded by then.
bool add_fork_into_pidns(PlanBuilder& builder, const Process& process, bool waits);

// plan/program.cc
/// What happens between the setup of the process and its program.
struct Before {
  bool host = false;        ///< the host finishes its part
  bool start_gate = false;  ///< init waits for `start` after that
  bool cgroup = false;      ///< the host moves the process to its cgroup
  bool paused = false;      ///< the host moves it to where it is stopped; it sends no message then
  bool ends_with_host = false;  ///< from then on the process is killed when the host ends
};
void add_home_directory(PlanBuilder& builder, const Process& process);
void add_program(PlanBuilder& builder, const Process& process,
                 const std::vector<std::string>& extra_env, Before before);
/// Adds the op become_reaper. Throws `unsupported` where a child would not get the config's
/// scheduling policy.
void add_reaper(PlanBuilder& builder, const Process& process);
/// Adds the program of a hook: hook.path with the arguments and environment of `process`.
/// `in_container`: under the container's filter and with its user's HOME.
void add_hook_program(PlanBuilder& builder, const Process& process, const Hook& hook,
                      bool in_container);
/// Adds a program of the host, found by its path.
void add_program_of_host(PlanBuilder& builder, const std::string& path,
                         const std::vector<std::string>& args, const std::vector<std::string>& env);

/// True where the container's root is a mount with mounts below it: in its mount namespace (new or
/// joined), or in the caller's.
bool has_mounts(const Spec& spec);
/// CLONE_NEW* of every namespace that the config gives the container.
std::uint64_t namespace_flags(const Spec& spec);

}  // namespace tare
