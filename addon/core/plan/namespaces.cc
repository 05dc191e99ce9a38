// Namespaces: which ones the clone makes, which are joined before it, and which init enters itself.
#include <linux/sched.h>

#include "plan/builder.h"

namespace tare {

using wire::OpCode;

namespace {

int pass_namespace(PlanBuilder& builder, const Namespace& entry) {
  return builder.pass(
      {PassedKind::namespace_file, entry.path, 0, builder.spec().config_path(entry) + ".path"});
}

void add_setns(PlanBuilder& builder, const Namespace& entry) {
  const int passed = pass_namespace(builder, entry);
  wire::Op& op = builder.add(OpCode::setns, builder.spec().config_path(entry));
  op.fd = passed;
  op.a = namespace_clone_flag(entry.type);
}

/// A time namespace cannot be made together with CLONE_VM, and contains only children until it is
/// joined by name; see time_namespaces(7). Its offsets are set before that.
void add_time_namespace(PlanBuilder& builder) {
  builder.add(OpCode::unshare).a = CLONE_NEWTIME;
  std::string text;
  for (const TimeOffset& offset : builder.spec().linux_.time_offsets) {
    text += offset.clock + " " + std::to_string(offset.secs) + " " +
            std::to_string(offset.nanosecs) + "\n";
  }
  if (!text.empty()) {
    const std::uint32_t blob = builder.blob(text);
    wire::Op& op = builder.add(OpCode::time_offsets, "linux.timeOffsets");
    op.str[0] = blob;
    op.n = static_cast<std::uint32_t>(text.size());
  }
  builder.add(OpCode::enter_time);
}

}  // namespace

std::uint64_t namespace_flags(const Spec& spec) {
  std::uint64_t flags = 0;
  for (const Namespace& entry : spec.linux_.namespaces) {
    flags |= namespace_clone_flag(entry.type);
  }
  return flags;
}

void add_namespaces(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  const Namespace* user = spec.find_namespace(NamespaceType::user);
  std::vector<const Namespace*> inner;
  for (const Namespace& entry : spec.linux_.namespaces) {
    const std::uint64_t flag = namespace_clone_flag(entry.type);
    if (entry.path.empty()) {
      // A new cgroup namespace is rooted at the cgroup of CLONE_INTO_CGROUP, or at the one that
      // init has been moved to by the time it makes the namespace.
      const std::uint64_t late =
          CLONE_NEWTIME | (builder.host().enters_cgroup ? CLONE_NEWCGROUP : 0);
      builder.clone_flags(flag & ~late);
    } else if (&entry == user) {
      continue;
    } else if (entry.type != NamespaceType::pid &&
               (user == nullptr || (builder.host().inner_namespaces & flag) != 0)) {
      inner.push_back(&entry);
    } else if ((builder.host().inner_namespaces & flag) == 0) {
      builder.join(pass_namespace(builder, entry), flag);
    }
  }
  if (user != nullptr && !user->path.empty()) {
    builder.join(pass_namespace(builder, *user), CLONE_NEWUSER);
    const Namespace* pid = spec.find_namespace(NamespaceType::pid);
    if (pid != nullptr && !pid->path.empty() &&
        (builder.host().inner_namespaces & CLONE_NEWPID) != 0) {
      builder.join(pass_namespace(builder, *pid), CLONE_NEWPID);
    }
  }
  const bool wants_host =
      (user != nullptr) && (user->path.empty() || !spec.process->rlimits.empty() ||
                            spec.process->oom_score_adj.has_value());
  // A network device must be in the namespace before its sysctls are set.
  add_user_namespace_entry(builder, wants_host || !spec.linux_.net_devices.empty(),
                           user == nullptr || !user->path.empty(), true);
  for (const Namespace* entry : inner) {
    add_setns(builder, *entry);
  }
  if (builder.host().enters_cgroup) {
    builder.wait(wire::WaitTag::cgroup);
    if (spec.makes_namespace(NamespaceType::cgroup)) {
      builder.add(OpCode::unshare, "linux.namespaces").a = CLONE_NEWCGROUP;
    }
  }
  if (spec.makes_namespace(NamespaceType::network)) {
    builder.add(OpCode::loopback_up, "linux.namespaces");
  }
}

void add_user_namespace_entry(PlanBuilder& builder, bool ask_host, bool joined, bool starts) {
  const Spec& spec = builder.spec();
  const bool new_time = starts && spec.makes_namespace(NamespaceType::time);
  // Processes in joined namespaces could access this one from the first moment on. A new user
  // namespace has no others yet, and the host must first write the id maps: the /proc files of an
  // undumpable process do not belong to an ordinary user (proc(5)). The same goes for the process
  // that writes an ordinary user's time offsets.
  const bool at_once = joined && !((ask_host || new_time) && builder.host().rootless);
  if (at_once) {
    builder.add(OpCode::undumpable);
  }
  if (new_time) {
    // Before the uid changes: as the user namespace's root, init could not reach its offsets file.
    add_time_namespace(builder);
  }
  if (ask_host) {
    builder.wait(wire::WaitTag::host_rights);
  }
  if (spec.has_namespace(NamespaceType::user)) {
    wire::Op& op = builder.add(OpCode::become_root);
    op.flags = keeps_groups(builder) ? wire::op_no_setgroups : 0;
  }
  if (!at_once) {
    builder.add(OpCode::undumpable);
  }
}

void choose_fork_into_pidns(PlanBuilder& builder, std::uint64_t namespaces, bool has_labels) {
  if ((namespaces & CLONE_NEWPID) == 0) {
    return;
  }
  if ((namespaces & CLONE_NEWUSER) == 0) {
    builder.set_fork_into_pidns();
    return;
  }
  // A process that has joined the container's user namespace has no rights in a pid namespace of
  // another user namespace. A label is written through a procfs of the process's own pid namespace,
  // and the container's user namespace gives no right to mount that of the host's.
  const bool own_pids = builder.spec().makes_namespace(NamespaceType::pid) ||
                        (builder.host().inner_namespaces & CLONE_NEWPID) != 0;
  if (own_pids && !has_labels) {
    builder.set_fork_into_pidns();
  }
}

void add_joined_namespaces(PlanBuilder& builder, std::uint64_t namespaces) {
  const int container = builder.pass({PassedKind::container_pidfd, {}, 0, {}});
  const Namespace* time = builder.spec().find_namespace(NamespaceType::time);
  if (time != nullptr && !time->path.empty() && (namespaces & CLONE_NEWUSER) != 0 &&
      (builder.host().inner_namespaces & CLONE_NEWTIME) == 0) {
    // It is the host's, and cannot be joined once the user namespace is joined.
    builder.join(container, CLONE_NEWTIME);
    namespaces &= ~std::uint64_t{CLONE_NEWTIME};
  }
  // A process in a pid namespace can be traced from there with CAP_SYS_PTRACE in its user namespace
  // and stopped with CAP_KILL. While stopped it blocks its caller, and until it has executed init
  // it holds copies of the caller's descriptors, among them pipes of other containers. So init
  // joins the pid namespace for its child alone, and makes that child once it has no rights left
  // but the program's.
  //
  // With a user namespace, all others are joined together with it: some may belong to it and some
  // to the host, and setns(2) checks the caller's rights from before. Only a time namespace does
  // not accept a process that shares its memory.
  //
  // A process in the container's cgroup namespace may not be moved into the container's cgroup from
  // outside of that namespace (ENOENT, with nsdelegate). A cgroup namespace that belongs to the
  // container's user namespace can be joined from inside of it.
  const bool own_cgroups = builder.spec().makes_namespace(NamespaceType::cgroup) ||
                           (builder.host().inner_namespaces & CLONE_NEWCGROUP) != 0;
  const std::uint64_t later = CLONE_NEWTIME | (own_cgroups ? CLONE_NEWCGROUP : 0) |
                              (builder.forks_into_pidns() ? CLONE_NEWPID : 0);
  const std::uint64_t before = (namespaces & CLONE_NEWUSER) != 0 ? namespaces & ~later : 0;
  if (before != 0) {
    builder.join(container, before);
  }
  const std::uint64_t inside = namespaces & ~before;
  if (inside == 0) {
    return;
  }
  if ((namespaces & CLONE_NEWUSER) == 0) {
    wire::Op& op = builder.add(OpCode::setns);
    op.fd = container;
    op.a = inside;
    return;
  }
  // setns(2) with a pidfd would require access to the container's init besides rights in the
  // namespace. Where the user namespace was joined, init's memory belongs to the host until it
  // executes its program.
  for (const NamespaceType type :
       {NamespaceType::time, NamespaceType::cgroup, NamespaceType::pid}) {
    const std::uint64_t flag = namespace_clone_flag(type);
    if ((inside & flag) != 0) {
      const int passed = builder.pass(
          {PassedKind::container_namespace, std::string("ns/") + namespace_proc_name(type), 0, {}});
      wire::Op& op = builder.add(OpCode::setns);
      op.fd = passed;
      op.a = flag;
    }
  }
}

std::string session_name(std::string_view id) { return "_ses." + std::string(id); }

void add_session(PlanBuilder& builder, bool keyring, std::string_view id) {
  if (!builder.forks_into_pidns()) {
    builder.add(OpCode::new_session);
  }
  if (keyring) {
    const std::uint32_t name = builder.text(session_name(id));
    builder.add(OpCode::keyring).str[0] = name;
  }
}

}  // namespace tare
