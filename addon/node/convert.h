/// \file
/// Conversions between JavaScript values and the core's structures. lib/native/binding.ts has the
/// types of the JavaScript values.
#pragma once

#include <napi.h>

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "descriptors.h"
#include "process_watcher.h"
#include "run_completion.h"
#include "tare/container.h"

namespace tare::node {

/// The Runtime's warnings go to AddonData::warn.
Runtime runtime_from(const Napi::Value& value);
CreateOptions create_options_from(const Napi::Value& value);
/// Returns the descriptors of `stdio` in the options of create() or exec() that must stay open for
/// the call.
std::vector<SharedFd> shared_fds_from(const Napi::Value& value);

/// What calls of run() have in common.
struct PreparedRun {
  Runtime runtime;
  CreateOptions options;  ///< without command and stdio
};
/// From the arguments of prepare().
std::shared_ptr<PreparedRun> prepared_run_from(const Napi::CallbackInfo& info);
/// From `{args, env, cwd}`.
Command command_from(const Napi::Value& value);
Stdio stdio_from(const Napi::Value& value);

/// An output that pool threads are to collect.
struct OutputRequest {
  std::size_t number;  ///< of the process's file descriptor
  std::shared_ptr<Output> output;
};
std::vector<OutputRequest> outputs_from(const Napi::Value& value);

/// The request of one exec() call.
struct ExecRequest {
  std::string process;             ///< JSON of a process object
  std::vector<std::string> given;  ///< names of its properties that do not come from the container
  ExecOptions options;
  std::vector<SharedFd> shared_fds;  ///< see shared_fds_from()
};
ExecRequest exec_request_from(const Napi::Value& value);

/// `{code, message, errno?, syscall?, path?, stage?}`, from which lib makes a TareError.
Napi::Value error_value(Napi::Env env, const std::exception_ptr& failure);
/// `{exitCode, signal}`, numbers or null.
Napi::Value exit_value(Napi::Env env, const Exit& exit);
/// `{exitCode, signal, ageMs, totals, outputs}` of a complete `completion`.
Napi::Value completion_value(Napi::Env env, RunCompletion& completion);
/// `{cpuUserNs, cpuSystemNs, peakMemory?, oomKills?}`
Napi::Value totals_value(Napi::Env env, const CgroupTotals& totals);
/// An array of `{path, message, unsupported}`.
Napi::Value problems_value(Napi::Env env, const std::vector<Problem>& problems);
Napi::Value string_array(Napi::Env env, const std::vector<std::string>& strings);
Napi::Value number_array(Napi::Env env, const std::vector<pid_t>& numbers);

}  // namespace tare::node
