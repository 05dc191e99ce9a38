// The last steps: the program, its environment, and the reaper.
#include <linux/capability.h>
#include <linux/sched.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "plan/builder.h"
#include "tare/error.h"

namespace tare {

using wire::OpCode;

namespace {

/// Returns the value of the last entry of that name.
std::string_view value_of(const std::vector<std::string>& env, std::string_view name) {
  for (auto entry = env.rbegin(); entry != env.rend(); ++entry) {
    if (entry->starts_with(name) && entry->substr(name.size(), 1) == "=") {
      return std::string_view(*entry).substr(name.size() + 1);
    }
  }
  return {};
}

/// Returns the program's environment: of several variables with one name, the last, in its
/// position. "HOME=" counts as absent, as under runc.
std::vector<std::string> environment(const std::vector<std::string>& given) {
  std::vector<std::string> env;
  env.reserve(given.size());
  std::unordered_set<std::string_view> seen;
  for (auto entry = given.rbegin(); entry != given.rend(); ++entry) {
    const std::string_view text = *entry;
    if (seen.insert(text.substr(0, text.find('='))).second && text != "HOME=") {
      env.push_back(*entry);
    }
  }
  std::ranges::reverse(env);
  return env;
}

bool has_home(const std::vector<std::string>& env) { return !value_of(env, "HOME").empty(); }

void add_exec(PlanBuilder& builder, const std::vector<std::string>& args,
              const std::vector<std::string>& env, const std::string& origin, bool add_home) {
  const std::uint32_t arguments = builder.list(args);
  const std::uint32_t variables = builder.list(env);
  const std::uint32_t pointers =
      builder.blob(std::string((args.size() + env.size() + 3) * sizeof(char*), '\0'));
  wire::Op& op = builder.add(OpCode::exec, origin);
  op.str[0] = arguments;
  op.n = static_cast<std::uint32_t>(args.size());
  op.str[1] = variables;
  op.a = env.size();
  op.b = pointers;
  op.flags = add_home ? wire::op_add_home : 0;
}

}  // namespace

void add_home_directory(PlanBuilder& builder, const Process& process) {
  if (!has_home(process.env)) {
    builder.add(OpCode::home_directory, builder.process_origin("env")).a = process.user.uid;
  }
}

void add_program(PlanBuilder& builder, const Process& process,
                 const std::vector<std::string>& extra_env, Before before) {
  // A process without arguments is never started.
  if (!process.args.empty()) {
    const std::uint32_t name = builder.text(process.args.front());
    const std::uint32_t search = builder.text(value_of(process.env, "PATH"));
    wire::Op& op = builder.add(OpCode::find_program, builder.process_origin("args"));
    op.str[0] = name;
    op.str[1] = search;
    op.a = builder.forks_into_pidns() && !before.paused ? 1 : 0;
  }
  builder.add(OpCode::default_signals);
  if (before.host) {
    builder.wait(wire::WaitTag::go);
  }
  if (before.cgroup && !before.paused) {
    builder.wait(wire::WaitTag::cgroup);
  }
  const bool is_filtered =
      builder.forks_into_pidns() && add_fork_into_pidns(builder, process, before.paused);
  if (before.paused) {
    builder.wait(wire::WaitTag::cgroup);
  }
  if (before.ends_with_host) {
    builder.add(OpCode::end_with_host);
  }
  if (builder.has_reaper()) {
    add_reaper(builder, process);
  }
  add_seccomp(builder, true);
  if (before.start_gate) {
    const int gate = builder.pass({PassedKind::start_gate, {}, 0, {}});
    builder.add(OpCode::start_gate).fd = gate;
  } else if (!before.paused) {
    builder.add(OpCode::announce);
  }
  if (!is_filtered) {
    add_seccomp(builder, false);
  }
  std::vector<std::string> env = environment(process.env);
  env.insert(env.end(), extra_env.begin(), extra_env.end());
  add_exec(builder, process.args, env, builder.process_origin("args"), !has_home(process.env));
}

// Comes before the filter, which must not apply to the reaper, and after PR_SET_PDEATHSIG, which
// applies to the reaper: when it ends, the kernel ends all other processes. The reaper needs no
// capability but CAP_KILL, to end processes that the program leaves behind with other uids.
void add_reaper(PlanBuilder& builder, const Process& process) {
  if (is_reset_on_fork(process)) {
    const std::string path = builder.process_origin("scheduler");
    throw Error(ErrorKind::unsupported,
                path +
                    ": a child of the reaper would not inherit SCHED_DEADLINE or a policy that is "
                    "reset on fork; set init to false")
        .with_path(path);
  }
  const std::uint64_t permitted = process.capabilities.value_or(Capabilities{}).permitted;
  const int ending = builder.pass({PassedKind::ending, {}, 0, {}});
  wire::Op& op = builder.add(OpCode::become_reaper);
  op.fd = ending;
  op.a = process.terminal ? 1 : 0;
  op.b = permitted & std::uint64_t{1} << CAP_KILL;
}

void add_hook_program(PlanBuilder& builder, const Process& process, const Hook& hook,
                      bool in_container) {
  const std::uint32_t path = builder.text(hook.path);
  builder.add(OpCode::find_program, "hook").str[0] = path;
  builder.add(OpCode::default_signals);
  bool is_filtered = !in_container;
  if (builder.forks_into_pidns()) {
    if (in_container) {
      is_filtered = add_fork_into_pidns(builder, process, false);
    } else {
      builder.add(OpCode::fork_into_pidns);
    }
  }
  if (in_container) {
    add_seccomp(builder, true);
  }
  builder.add(OpCode::announce);
  if (!is_filtered) {
    add_seccomp(builder, false);
  }
  if (in_container && !hook.env.has_value()) {
    add_exec(builder, process.args, environment(process.env), "hook", !has_home(process.env));
  } else {
    add_exec(builder, process.args, process.env, "hook", false);
  }
}

void add_program_of_host(PlanBuilder& builder, const std::string& path,
                         const std::vector<std::string>& args,
                         const std::vector<std::string>& env) {
  const std::uint32_t text = builder.text(path);
  builder.add(OpCode::find_program).str[0] = text;
  builder.add(OpCode::default_signals);
  builder.add(OpCode::announce);
  add_exec(builder, args, env, {}, false);
}

}  // namespace tare
