// Namespaces: which are made by the clone, which are joined before it, and which init enters
// itself.
#include <linux/sched.h>

#include "plan_builder.h"

namespace tare {

using wire::OpCode;

namespace {

int pass_namespace(PlanBuilder& builder, const Namespace& entry) {
  return builder.pass(
      {PassedKind::namespace_file, entry.path, 0, builder.spec().namespace_place(entry) + ".path"});
}

void add_setns(PlanBuilder& builder, const Namespace& entry) {
  const int passed = pass_namespace(builder, entry);
  wire::Op& op = builder.add(OpCode::setns, builder.spec().namespace_place(entry));
  op.fd = passed;
  op.a = namespace_clone_flag(entry.type);
}

/// A time namespace cannot be made together with CLONE_VM, and takes in only children until it is
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
      // A new cgroup namespace is rooted at the cgroup that CLONE_INTO_CGROUP names, or at the one
      // that init has been moved to when it makes it.
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
  // A network device must have arrived before its sysctls are set.
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
  // In namespaces that are joined there are others, who could look into this process from the first
  // moment on. In a new user namespace nobody is yet, and the host must first write the id maps:
  // the files in /proc of a process that is not dumpable are not an ordinary user's. See proc(5).
  // So are those of the process that writes an ordinary user's time offsets.
  const bool at_once = joined && !((ask_host || new_time) && builder.host().rootless);
  if (at_once) {
    builder.add(OpCode::undumpable);
  }
  if (new_time) {
    // With another uid, those of the user namespace's root would be out of its reach.
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

void choose_appearance(PlanBuilder& builder, std::uint64_t namespaces, bool has_labels) {
  if ((namespaces & CLONE_NEWPID) == 0) {
    return;
  }
  if ((namespaces & CLONE_NEWUSER) == 0) {
    builder.appears();
    return;
  }
  // Of another user namespace's pid namespace, one who has joined the container's has no right to.
  // A label is written by way of a procfs of the process's own pid namespace, and to mount that of
  // the host's is not a right of the container's user namespace.
  const bool own_pids = builder.spec().makes_namespace(NamespaceType::pid) ||
                        (builder.host().inner_namespaces & CLONE_NEWPID) != 0;
  if (own_pids && !has_labels) {
    builder.appears();
  }
}

void add_joined_namespaces(PlanBuilder& builder, std::uint64_t namespaces) {
  const int container = builder.pass({PassedKind::container_pidfd, {}, 0, {}});
  const Namespace* time = builder.spec().find_namespace(NamespaceType::time);
  if (time != nullptr && !time->path.empty() && (namespaces & CLONE_NEWUSER) != 0 &&
      (builder.host().inner_namespaces & CLONE_NEWTIME) == 0) {
    // It is the host's, and out of reach once the user namespace is joined.
    builder.join(container, CLONE_NEWTIME);
    namespaces &= ~std::uint64_t{CLONE_NEWTIME};
  }
  // A process in a pid namespace can be traced from there by CAP_SYS_PTRACE of its user namespace,
  // and stopped by CAP_KILL: then it holds up its caller, and until it has executed init it has
  // copies of the caller's descriptors, other containers' pipes among them. So init joins the pid
  // namespace for its child alone, and has that when it has no rights left but the program's.
  // Where there is a user namespace, all others are joined together with it, as some may belong to
  // it and some to the host, and setns(2) looks at the caller's rights from before. Only a time
  // namespace does not take in a process that shares its memory.
  // Whoever is in the container's cgroup namespace may not be moved to it from outside of that
  // (ENOENT, with nsdelegate). A namespace that belongs to the container's user namespace can be
  // joined from there.
  const bool own_cgroups = builder.spec().makes_namespace(NamespaceType::cgroup) ||
                           (builder.host().inner_namespaces & CLONE_NEWCGROUP) != 0;
  const std::uint64_t later = CLONE_NEWTIME | (own_cgroups ? CLONE_NEWCGROUP : 0) |
                              (builder.must_appear() ? CLONE_NEWPID : 0);
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
  // A pidfd would need more than a right to the namespace: to look into the container's init, whose
  // memory is the host's until it executes its program, where the user namespace was joined.
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

void add_session(PlanBuilder& builder, bool keyring, std::string_view id) {
  if (!builder.must_appear()) {
    builder.add(OpCode::new_session);
  }
  if (keyring) {
    const std::uint32_t name = builder.text("_ses." + std::string(id));
    builder.add(OpCode::keyring).str[0] = name;
  }
}

}  // namespace tare
