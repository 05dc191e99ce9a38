// Collects a plan: ops, their strings, what is passed to init. Used by the plan*.cc files alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mount_options.h"
#include "tare/plan.h"

namespace tare {

/// "mount_fs"; as JSON plans have it.
const char* op_name(wire::OpCode code) noexcept;

class PlanBuilder {
 public:
  /// `source`: where the process is from that is to be started.
  PlanBuilder(const Spec& spec, const Host& host, ProcessSource source = {});

  const Spec& spec() const { return spec_; }
  const Host& host() const { return host_; }
  /// The origin of an op that sees to that field of the process ("user.uid").
  std::string process_origin(std::string_view field) const;

  /// Appends an op. The reference is good until the next one is added.
  wire::Op& add(wire::OpCode code, std::string_view origin = {});
  /// Puts a NUL-terminated string into the pool and gives its offset; equal strings share one.
  std::uint32_t text(std::string_view value);
  /// Puts bytes into the pool, aligned to 8.
  std::uint32_t blob(std::string_view bytes);
  /// Puts strings one behind the other, each NUL-terminated.
  std::uint32_t list(const std::vector<std::string>& values);
  /// Has the host pass something; its index.
  int pass(Passed passed);
  void join(int passed, std::uint64_t type);
  /// Has the host open a mount for init, not before what stands in the plan by now if `late`;
  /// Op::fd of the op that takes it.
  int source(Passed passed, bool late);
  /// Has what source() is asked for next fetched before what is added next.
  void fetch_from_here();
  /// The user namespace of an id-mapped mount; its index.
  int pass_id_mapping(const Mount& mount, const std::string& origin);

  /// Has init keep what it mounts last, if `wanted`: what is then done to the mount at
  /// `destination` is done to that.
  void keep(const std::string& destination, bool wanted);
  /// Op::fd of an op on the mount at `destination`.
  int kept(const std::string& destination) const;

  void clone_flags(std::uint64_t flags) { plan_.clone_flags_ |= flags; }
  void preserved_fds(std::uint32_t count) { plan_.preserved_fds_ = count; }
  void has_console() { plan_.has_console_ = true; }
  /// Has init go on as a child, in a pid namespace of others, before the program.
  void appears() { plan_.appears_ = true; }
  bool must_appear() const { return plan_.appears_; }
  /// Has init become the reaper of the program.
  void reaps() { plan_.reaps_ = true; }
  bool must_reap() const { return plan_.reaps_; }
  void wait(wire::WaitTag tag);
  /// Op::fd of an op that waits for the host. Where init appears among others, the host tells who
  /// speaks by the credentials that come with the words (SO_PASSCRED of unix(7)); a socket that
  /// asks for those and sends gets a name, so the host answers by another one.
  int answers();
  void close_fds();
  Plan take() { return std::move(plan_); }

 private:
  const Spec& spec_;
  const Host& host_;
  ProcessSource source_;
  Plan plan_;
  std::vector<std::string> kept_;  // destinations, by the numbers of their mounts
  std::size_t fetch_ = 0;          // the last op `fetch`, 0: none
  int answers_ = -1;
  std::unordered_map<std::string, std::uint32_t> offsets_;
};

// plan_namespaces.cc
void add_namespaces(PlanBuilder& builder);
/// `joined`: the user namespace, if there is one, is not made by this plan. `starts`: the plan is a
/// container's, and makes its time namespace too.
void add_user_namespace_entry(PlanBuilder& builder, bool ask_host, bool joined, bool starts);
/// Whether the process, once it is all set up, goes on as a child in the container's pid namespace.
/// Comes before all waits for the host. `has_labels`: the process is to get a security label.
void choose_appearance(PlanBuilder& builder, std::uint64_t namespaces, bool has_labels);
void add_joined_namespaces(PlanBuilder& builder, std::uint64_t namespaces);
void add_session(PlanBuilder& builder, bool keyring, std::string_view id);

// plan_sources.cc
/// True where init cannot reach what it is to mount: a rootful container with a user namespace,
/// whose root may not walk to, or clone, what only the host's root reaches.
bool host_opens_sources(const PlanBuilder& builder);
/// The host's path of what a mount binds.
std::string source_path(const PlanBuilder& builder, const Mount& mount);
/// Whether the host's path `source` lies below the container's root.
bool is_below_root(const PlanBuilder& builder, const std::string& source);

// plan_root.cc
void add_root(PlanBuilder& builder);
void add_enter_root(PlanBuilder& builder, bool no_pivot);
/// For a process that has joined the container's mount namespace: its root, where that is not the
/// namespace's.
void add_container_root(PlanBuilder& builder, bool can_pass);
/// Enters a container's mount namespace, and makes what is mounted at these places read-only.
void add_read_only_mounts(PlanBuilder& builder, const std::vector<std::string>& places);
/// Mounts a tree of the host's, in a mount namespace of the process's own, below the directory
/// `place`.
void add_tree(PlanBuilder& builder, const std::string& tree, const std::string& place,
              const std::string& name);

// plan_mounts.cc
void add_mounts(PlanBuilder& builder, const std::vector<RootEntry>& root_entries);
/// The mounts of the builder's spec in a container that is there, which `enter` enters once all
/// sources are open. The host is told of each. `list` is how messages call them.
void add_further_mounts(PlanBuilder& builder, const std::string& list,
                        const std::function<void()>& enter);
void add_root_finish(PlanBuilder& builder);

// plan_hidden.cc
void add_hidden_paths(PlanBuilder& builder);
/// Whether the mount is the container's procfs or sysfs in its place: then what is hidden there is
/// found from it. op_in_proc, op_in_sys or 0.
std::uint16_t kernel_interface_place(const Mount& mount);

// plan_devices.cc
void add_devices(PlanBuilder& builder);
void add_console(PlanBuilder& builder, const Process& process, bool bind);

// plan_process.cc
/// True where the seccomp filter asks an agent.
bool has_listener(const PlanBuilder& builder);
void add_names_and_sysctls(PlanBuilder& builder);
void add_labels(PlanBuilder& builder, const Process& process);
void add_home_directory(PlanBuilder& builder, const Process& process);
void add_cpu_affinity(PlanBuilder& builder, const Process& process);
void add_credentials(PlanBuilder& builder, const Process& process);
/// The process's capabilities, and `more` permitted and effective ones.
void add_capabilities(PlanBuilder& builder, const Process& process, std::uint64_t more);
/// The container's filter, if it is one `with_listener`, or without.
void add_seccomp(PlanBuilder& builder, bool with_listener);
/// Whether the process is to be scheduled by the host after all else: a child does not inherit
/// every policy.
bool is_scheduled_last(const PlanBuilder& builder, const Process& process);

// plan_appearance.cc
/// The op `appear`, and what belongs to it. `waits`: the host is waited for afterwards. True: under
/// the container's filter, where it has one.
bool add_appearance(PlanBuilder& builder, const Process& process, bool waits);
/// A wait for the host, where the process is to be scheduled in some way.
void add_scheduling(PlanBuilder& builder, const Process& process);
void add_working_directory_itself(PlanBuilder& builder, const Process& process);
/// What comes between a process that is all set up and its program.
struct Before {
  bool host = false;        ///< the host finishes its part
  bool start_gate = false;  ///< then `start` is called
  bool cgroup = false;      ///< the host moves it to its cgroup
  bool paused = false;      ///< the host moves it to where it is stopped, and hears no more of it
  bool ends_with_host = false;  ///< from then on it is killed when the host ends
};
/// The op `reap`. Throws `unsupported` where a child would not be scheduled as the config says.
void add_reaper(PlanBuilder& builder, const Process& process);
void add_program(PlanBuilder& builder, const Process& process,
                 const std::vector<std::string>& extra_env, Before before);
/// The program of a hook: hook.path with the arguments and environment of `process`, `in_container`
/// under the container's filter and with its user's HOME.
void add_hook_program(PlanBuilder& builder, const Process& process, const Hook& hook,
                      bool in_container);
/// A program of the host's, found by its path.
void add_program_of_host(PlanBuilder& builder, const std::string& path,
                         const std::vector<std::string>& args, const std::vector<std::string>& env);
/// A hook of createContainer finds the container's root, with its mounts, in ".", as it does under
/// runc; not where it may not enter the way there.
void add_root_as_working_directory(PlanBuilder& builder);
/// True where sysctls or labels are to be written below /proc.
bool proc_handle_needed(const Spec& spec, const Process& process);
/// True where the supplementary groups stay the caller's.
bool keeps_groups(const PlanBuilder& builder);
/// True where prestart, createRuntime or createContainer hooks exist.
bool has_create_hooks(const Spec& spec);

/// True where the container's root is a mount of its own, with mounts below it: in its mount
/// namespace (new or joined), or in the caller's.
bool has_mounts(const Spec& spec);
/// CLONE_NEW* of every namespace that the config gives the container.
std::uint64_t namespace_flags(const Spec& spec);

}  // namespace tare
