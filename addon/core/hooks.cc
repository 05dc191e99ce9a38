#include "tare/hooks.h"

#include "program.h"
#include "tare/error.h"
#include "tare/spawn.h"

namespace tare {
namespace {

std::string hook_name(std::string_view kind, std::size_t index) {
  return "config.json: hooks." + std::string(kind) + "[" + std::to_string(index) + "]";
}

void check_result(const ProgramResult& result, const Hook& hook, const std::string& name) {
  std::string message;
  if (!result.found) {
    message = "no such file; check hooks[].path";
  } else if (result.timed_out) {
    message = "ran longer than its timeout of " + std::to_string(hook.timeout.value_or(0)) +
              " s and was killed";
  } else if (result.status > 128) {
    message = "was killed by signal " + std::to_string(result.status - 128);
  } else if (result.status != 0) {
    message = "exited with status " + std::to_string(result.status);
  } else {
    return;
  }
  if (!result.output.empty()) {
    message += "; its last output: " + result.output;
  }
  throw Error(ErrorKind::hook_failed, name + ": " + hook.path + ": " + message)
      .with_path(name.substr(name.find(' ') + 1));
}

std::vector<std::string> hook_args(const Hook& hook) {
  return hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
}

}  // namespace

void run_host_hooks(std::string_view kind, const std::vector<Hook>& hooks, std::string_view state,
                    const std::string& working_directory) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    run_host_hook(kind, i, hooks[i], state, working_directory);
  }
}

void run_host_hook(std::string_view kind, std::size_t index, const Hook& hook,
                   std::string_view state, const std::string& working_directory) {
  ProgramOptions options;
  options.path = hook.path;
  if (!hook.env.empty()) {
    options.env = hook.env;
  }
  options.input = state;
  options.timeout = hook.timeout;
  options.working_directory = working_directory;
  check_result(run_program(hook_args(hook), options), hook, hook_name(kind, index));
}

void run_container_hooks(std::string_view kind, const std::vector<Hook>& hooks,
                         std::string_view state, const Spec& spec, const Host& host,
                         HookedProcess init_process, int cgroup) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const Hook& hook = hooks[i];
    const std::string name = hook_name(kind, i);
    const Fd root = open_root_of(init_process.pid);
    const Plan plan =
        make_hook_plan(hook, spec, host, kind == "createContainer", static_cast<bool>(root));
    ProgramPipes pipes;
    SpawnOptions options;
    options.stdio[0] = pipes.input_theirs.get();
    options.stdio[1] = pipes.output_theirs.get();
    options.stdio[2] = pipes.output_theirs.get();
    options.cgroup = cgroup;
    for (const Passed& passed : plan.passed()) {
      options.passed.push_back(passed.kind == PassedKind::container_root ? root.get()
                                                                         : init_process.pidfd);
    }
    Fd process;
    try {
      InitProcess init = spawn(plan, options);
      init.finish();
      process = init.release();
    } catch (const Error& error) {
      throw Error(ErrorKind::hook_failed, name + ": " + error.what()).with_path(hook.path);
    }
    check_result(attend_program(process.get(), pipes, state, hook.timeout), hook, name);
  }
}

}  // namespace tare
