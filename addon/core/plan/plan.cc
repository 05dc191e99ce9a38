// The order of operations, and nothing else. What each step adds is in the other sources of plan.
#include "tare/plan.h"

#include <linux/sched.h>

#include <algorithm>
#include <cstring>

#include "plan/builder.h"
#include "plan/start.h"
#include "tare/fd.h"

namespace tare {
namespace {

constexpr std::string_view config_prefix = "config.json: ";

}  // namespace

PlanBuilder::PlanBuilder(const Spec& spec, const Host& host, ProcessSource source)
    : spec_(spec), host_(host), source_(std::move(source)) {
  plan_.strings_.push_back('\0');
  plan_.ops_.reserve(64);
}

wire::Op& PlanBuilder::add(wire::OpCode code, std::string_view origin) {
  wire::Op op;
  op.code = code;
  op.origin = text(origin);
  plan_.ops_.push_back(op);
  return plan_.ops_.back();
}

std::string PlanBuilder::process_origin(std::string_view field) const {
  if (source_.elsewhere.empty() && config_prefix.starts_with(source_.document)) {
    return source_.prefix + std::string(field);
  }
  std::string path = source_.path(field);
  return path.starts_with(config_prefix) ? path.substr(config_prefix.size()) : path;
}

std::uint32_t PlanBuilder::text(std::string_view value) {
  if (value.empty()) {
    return 0;
  }
  const auto [found, inserted] =
      offsets_.try_emplace(std::string(value), static_cast<std::uint32_t>(plan_.strings_.size()));
  if (inserted) {
    plan_.strings_ += value;
    plan_.strings_ += '\0';
  }
  return found->second;
}

std::uint32_t PlanBuilder::blob(std::string_view bytes) {
  plan_.strings_.resize((plan_.strings_.size() + 7) & ~std::size_t{7});
  const auto offset = static_cast<std::uint32_t>(plan_.strings_.size());
  plan_.strings_.append(bytes).push_back('\0');
  return offset;
}

std::uint32_t PlanBuilder::list(const std::vector<std::string>& values) {
  const auto offset = static_cast<std::uint32_t>(plan_.strings_.size());
  for (const std::string& value : values) {
    plan_.strings_.append(value).push_back('\0');
  }
  return offset;
}

int PlanBuilder::pass(Passed passed) {
  plan_.passed_.push_back(std::move(passed));
  return static_cast<int>(plan_.passed_.size()) - 1;
}

void PlanBuilder::keep(const std::string& destination, bool wanted) {
  const std::string path = wanted || !kept_.empty() ? absolute_path(destination) : std::string();
  // A mount on the same destination hides the earlier one.
  std::ranges::replace(kept_, path, std::string());
  if (wanted && kept_.size() < wire::max_kept_mounts) {
    add(wire::OpCode::keep_mount).a = kept_.size();
    kept_.push_back(path);
  }
}

int PlanBuilder::kept(const std::string& destination) const {
  const auto found = std::ranges::find(kept_, absolute_path(destination));
  return found == kept_.end() ? -1 : static_cast<int>(found - kept_.begin());
}

void PlanBuilder::wait(wire::WaitTag tag) {
  const int fd = answers();
  wire::Op& op = add(wire::OpCode::wait);
  op.a = static_cast<std::uint64_t>(tag);
  op.fd = fd;
}

int PlanBuilder::answers() {
  if (plan_.forks_into_pidns_ && answers_ < 0) {
    answers_ = pass({PassedKind::answers, {}, 0, {}});
    for (wire::Op& op : plan_.ops_) {
      if (op.code == wire::OpCode::close_fds) {
        op.fd = answers_;
      }
    }
  }
  return answers_;
}

void PlanBuilder::close_fds() {
  wire::Op& op = add(wire::OpCode::close_fds);
  op.a = plan_.forks_into_pidns_ ? 1 : 0;
  op.fd = answers_;
}

void PlanBuilder::join(int passed, std::uint64_t type) { plan_.joins_.push_back({passed, type}); }

std::string Plan::bytes() const {
  wire::PlanHeader header;
  header.op_count = static_cast<std::uint32_t>(ops_.size());
  header.ops_offset = sizeof header;
  header.strings_offset =
      static_cast<std::uint32_t>(sizeof header + ops_.size() * sizeof(wire::Op));
  header.strings_size = static_cast<std::uint32_t>(strings_.size());
  header.passed_fds = static_cast<std::uint32_t>(passed_.size());
  header.preserved_fds = preserved_fds_;
  header.size = header.strings_offset + header.strings_size;
  std::string bytes(header.size, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + header.ops_offset, ops_.data(), ops_.size() * sizeof(wire::Op));
  std::memcpy(bytes.data() + header.strings_offset, strings_.data(), strings_.size());
  return bytes;
}

namespace {

/// Adds the steps that come before those of the process.
void add_start(PlanBuilder& builder, std::string_view id, const StartOptions& options,
               const std::vector<RootEntry>* root_entries) {
  const Spec& spec = builder.spec();
  const Process& process = *spec.process;
  if (options.reaper) {
    builder.set_reaper();
  }

  add_namespaces(builder);
  add_session(builder, !options.no_new_keyring, id);
  if (proc_handle_needed(spec, process)) {
    builder.add(wire::OpCode::open_proc);
  }

  add_root(builder);
  if (has_mounts(spec)) {
    add_mounts(builder, root_entries != nullptr ? *root_entries : std::vector<RootEntry>());
    add_devices(builder);
  }
  if (process.terminal) {
    add_console(builder, process, has_mounts(spec));
  }
  add_working_directory_itself(builder, process);
  if (has_create_hooks(spec)) {
    builder.wait(wire::WaitTag::hooks);
  }

  add_enter_root(builder, options.no_pivot);
  add_root_finish(builder);
  add_names_and_sysctls(builder);
  add_masked_paths(builder);
}

void add_process(PlanBuilder& builder, const PlanOptions& options) {
  const Process& process = *builder.spec().process;
  builder.preserved_fds(options.preserve_fds);
  add_home_directory(builder, process);
  add_scheduling(builder, process);
  add_credentials(builder, process);
  add_program(
      builder, process, options.extra_env,
      {.host = true, .start_gate = options.start_gate, .ends_with_host = options.ends_with_caller});
}

}  // namespace

Plan make_plan(const Spec& spec, const Host& host, const PlanOptions& options) {
  PlanBuilder builder(spec, host);
  add_start(builder, options.id, start_options(options), options.root_entries.get());
  add_process(builder, options);
  return builder.take();
}

PlanStart make_plan_start(const Spec& spec, PlanFacts facts,
                          const std::vector<RootEntry>* root_entries) {
  PlanBuilder builder(spec, facts.host);
  add_start(builder, {}, facts.options, root_entries);
  Plan plan = builder.take();
  return {std::move(facts), std::move(plan)};
}

Plan make_plan(const PlanStart& start, const Spec& spec, const Host& host,
               const PlanOptions& options, const std::function<void(IdMapping&)>& change_mapping) {
  PlanBuilder builder(start.plan, spec, host);
  builder.name_session(options.id);
  builder.change_working_directory(spec.process->cwd);
  builder.change_id_mappings(change_mapping);
  add_process(builder, options);
  return builder.take();
}

Plan make_exec_plan(const Process& process, const Spec& spec, const Host& host,
                    const ExecPlanOptions& options) {
  PlanBuilder builder(spec, host, options.source);
  builder.preserved_fds(options.preserve_fds);

  const bool in_user_namespace = spec.has_namespace(NamespaceType::user);
  choose_fork_into_pidns(builder, namespace_flags(spec), proc_handle_needed(Spec{}, process));
  add_user_namespace_entry(
      builder, in_user_namespace && (!process.rlimits.empty() || process.oom_score_adj.has_value()),
      true, false);
  add_joined_namespaces(builder, namespace_flags(spec));
  add_cpu_affinity(builder, process);
  add_session(builder, !options.no_new_keyring, options.id);
  add_container_root(builder, options.pass_root);
  if (proc_handle_needed(Spec{}, process)) {
    builder.add(wire::OpCode::open_proc);
  }
  if (process.terminal) {
    builder.add(wire::OpCode::root_here);
    add_console(builder, process, false);
  }

  add_home_directory(builder, process);
  add_scheduling(builder, process);
  add_credentials(builder, process);
  // A wait costs more than all of this, as host and init have to wake each other.
  const bool host_acts = options.host_acts || process.terminal ||
                         process.oom_score_adj.has_value() || spec.linux_.intel_rdt.has_value();
  add_program(builder, process, options.extra_env,
              {.host = host_acts, .cgroup = options.enters_cgroup, .paused = options.paused});
  return builder.take();
}

Plan make_hook_plan(const Hook& hook, const Spec& spec, const Host& host, bool before_pivot,
                    bool pass_root) {
  PlanBuilder builder(spec, host);
  // A createContainer hook is a program of the host and runs with init's own credentials. A
  // startContainer hook is a program of the container and gets no more rights than the container's
  // process.
  Process process = *spec.process;
  process.args = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  if (before_pivot || hook.env.has_value()) {
    process.env = hook.env.value_or(std::vector<std::string>{});
  }
  process.cwd = "/";
  process.terminal = false;
  process.no_new_privileges = process.no_new_privileges && !before_pivot;
  process.scheduler.reset();

  choose_fork_into_pidns(builder, namespace_flags(spec),
                         !before_pivot && proc_handle_needed(Spec{}, process));
  add_user_namespace_entry(builder, false, true, false);
  add_joined_namespaces(builder, namespace_flags(spec));
  add_session(builder, false, {});
  builder.add(wire::OpCode::keyring);
  if (!before_pivot) {
    add_container_root(builder, pass_root);
    if (proc_handle_needed(Spec{}, process)) {
      builder.add(wire::OpCode::open_proc);
    }
    process.rlimits.clear();
    if (!hook.env.has_value()) {
      add_home_directory(builder, process);
    }
    add_credentials(builder, process);
  } else {
    // The path of a createContainer hook is the host's, as init still sees it.
    if (pass_root) {
      add_container_root(builder, true);
    }
    builder.close_fds();
    add_root_as_working_directory(builder);
  }
  add_hook_program(builder, process, hook, !before_pivot);
  return builder.take();
}

Plan make_read_only_plan(const std::vector<std::string>& paths) {
  const Spec spec;
  const Host host;
  PlanBuilder builder(spec, host);
  add_read_only_mounts(builder, paths);
  builder.wait(wire::WaitTag::go);
  add_program_of_host(builder, {}, {}, {});
  return builder.take();
}

namespace {

/// Enters the mount namespace and the root of an existing container. With a user namespace, init
/// first gets a copy of the caller's mounts that belongs to that user namespace. Mounts that are
/// read-only or nosuid on the host are locked in this copy (mount_namespaces(7)), and in clones of
/// them.
void add_mount_namespace_entry(PlanBuilder& builder, bool pass_root) {
  const int space = builder.pass({PassedKind::container_namespace, "ns/mnt", 0, {}});
  wire::Op& enter = builder.add(wire::OpCode::setns);
  enter.fd = space;
  enter.a = CLONE_NEWNS;
  add_container_root(builder, pass_root);
  builder.add(wire::OpCode::root_here);
}

void add_container_user(PlanBuilder& builder) {
  if (builder.spec().has_namespace(NamespaceType::user)) {
    builder.join(builder.pass({PassedKind::container_pidfd, {}, 0, {}}), CLONE_NEWUSER);
    builder.clone_flags(CLONE_NEWNS);
  }
  add_user_namespace_entry(builder, false, true, false);
}

}  // namespace

Plan make_mounts_plan(const Spec& spec, const Host& host, const std::string& list, bool pass_root) {
  PlanBuilder builder(spec, host);
  add_container_user(builder);
  add_further_mounts(builder, list, [&] { add_mount_namespace_entry(builder, pass_root); });
  builder.wait(wire::WaitTag::go);
  add_program_of_host(builder, {}, {}, {});
  return builder.take();
}

Plan make_unmount_plan(const Spec& spec, const Host& host, const std::string& destination,
                       std::uint64_t number, const std::string& origin, bool pass_root) {
  PlanBuilder builder(spec, host);
  add_container_user(builder);
  builder.add(wire::OpCode::open_proc);
  add_mount_namespace_entry(builder, pass_root);
  const std::uint32_t path = builder.text(destination);
  wire::Op& op = builder.add(wire::OpCode::unmount, origin);
  op.str[1] = path;
  op.a = number;
  builder.wait(wire::WaitTag::go);
  add_program_of_host(builder, {}, {}, {});
  return builder.take();
}

Plan make_program_plan(const ProgramPlanOptions& options) {
  const Spec spec;
  const Host host;
  PlanBuilder builder(spec, host);
  builder.preserved_fds(options.preserve_fds);
  if (!options.tree.empty()) {
    add_tree(builder, options.tree, options.mount_directory, options.name);
  }
  builder.close_fds();
  add_program_of_host(builder, options.path, options.args, options.env);
  return builder.take();
}

}  // namespace tare
