#include "container/hooks.h"

#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "host/program.h"
#include "tare/error.h"

namespace tare {
namespace {

/// A hook's location and the prefix of its errors, in runc's wording, which its users search for.
struct HookName {
  std::string path;  ///< "hooks.createRuntime[1]"
  std::string sentence;

  HookName(std::string_view kind, std::size_t index)
      : path("hooks." + std::string(kind) + "[" + std::to_string(index) + "]"),
        sentence("config.json: " + path + ": error running " + std::string(kind) + " hook #" +
                 std::to_string(index) + ": ") {}
};

std::string signal_text(int signal) {
  std::string text = std::to_string(signal);
  if (const char* description = sigdescr_np(signal)) {
    text.append(" (").append(description).append(")");
    char& first = text[text.find('(') + 1];
    first = static_cast<char>(std::tolower(static_cast<unsigned char>(first)));
  }
  return text;
}

void check_result(const ProgramResult& result, const Hook& hook, const HookName& name) {
  std::string message;
  if (!result.found) {
    message = "no such file; check hooks[].path";
  } else if (result.timed_out) {
    message = "ran longer than its timeout of " + std::to_string(hook.timeout.value_or(0)) +
              " s and was killed";
  } else if (result.status > 128) {
    message = "was killed by signal " + signal_text(result.status - 128);
  } else if (result.status != 0) {
    message = "exited with status " + std::to_string(result.status);
  } else {
    return;
  }
  if (!result.output.empty()) {
    message += "; its last output: " + result.output;
  }
  throw Error(ErrorKind::hook_failed, name.sentence + hook.path + ": " + message)
      .with_path(name.path);
}

std::vector<std::string> hook_args(const Hook& hook) {
  return hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
}

}  // namespace

void run_host_hooks(std::string_view kind, const std::vector<Hook>& hooks, std::string_view state,
                    const std::string& working_directory,
                    const std::function<void(pid_t)>& started) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    run_host_hook(kind, i, hooks[i], state, working_directory, started);
  }
}

void run_host_hook(std::string_view kind, std::size_t index, const Hook& hook,
                   std::string_view state, const std::string& working_directory,
                   const std::function<void(pid_t)>& started) {
  ProgramOptions options;
  options.started = started;
  options.path = hook.path;
  options.env = hook.env;
  options.input = state;
  options.timeout = hook.timeout;
  options.working_directory = working_directory;
  options.stdout_file = hook.stdout_file;
  options.stderr_file = hook.stderr_file;
  const HookName name(kind, index);
  ProgramResult result;
  try {
    result = run_program(hook_args(hook), options);
  } catch (const Error& error) {
    throw Error(ErrorKind::hook_failed, name.sentence + std::string(error.inner_words()))
        .with_path(name.path);
  }
  check_result(result, hook, name);
}

namespace {

/// Spawns in the container's cgroup if the caller may: a user's systemd cgroups are closed to
/// processes from a login session. A hook belongs to the engine, so the caller's cgroup is
/// acceptable.
InitProcess spawn_near(const Plan& plan, SpawnOptions& options) {
  try {
    return spawn(plan, options);
  } catch (const Error& error) {
    if (error.errnum() != EACCES || options.cgroup < 0) {
      throw;
    }
  }
  options.cgroup = -1;
  return spawn(plan, options);
}

}  // namespace

void run_container_hooks(std::string_view kind, const std::vector<Hook>& hooks,
                         std::string_view state, const Spec& spec, const Host& host,
                         HookedProcess init_process, int cgroup,
                         const std::function<void(InitProcess&)>& attend,
                         const std::function<void(pid_t)>& started) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const Hook& hook = hooks[i];
    const HookName name(kind, i);
    const Fd root = open_root_of(init_process.pid);
    const Plan plan =
        make_hook_plan(hook, spec, host, kind == "createContainer", static_cast<bool>(root));
    ProgramPipes pipes;
    pipes.redirect(1, hook.stdout_file);
    pipes.redirect(2, hook.stderr_file);
    SpawnOptions options;
    options.stdio[0] = pipes.input_theirs.get();
    options.stdio[1] = pipes.output(1);
    options.stdio[2] = pipes.output(2);
    options.cgroup = cgroup;
    std::vector<Fd> namespaces;
    for (const Passed& passed : plan.passed()) {
      if (passed.kind == PassedKind::container_namespace) {
        namespaces.push_back(open_namespace_of(init_process.pid, init_process.pidfd, passed.path));
        options.passed.push_back(namespaces.back().get());
        continue;
      }
      options.passed.push_back(passed.kind == PassedKind::answers          ? -1
                               : passed.kind == PassedKind::container_root ? root.get()
                                                                           : init_process.pidfd);
    }
    Fd process;
    const auto begin = std::chrono::steady_clock::now();
    try {
      InitProcess init = spawn_near(plan, options);
      started(init.pid());
      if (hook.timeout) {
        init.limit(begin + std::chrono::seconds(*hook.timeout));
      }
      attend(init);
      init.finish();
      // In the container's pid namespace the process is a different one by now.
      started(init.pid());
      process = init.release();
    } catch (const Error& error) {
      if (hook.timeout && error.errnum() == ETIMEDOUT) {
        check_result({.timed_out = true}, hook, name);
      }
      throw Error(ErrorKind::hook_failed, name.sentence + std::string(error.inner_words()))
          .with_path(name.path);
    }
    check_result(attend_program(process.get(), pipes, state, hook.timeout), hook, name);
  }
}

}  // namespace tare
