#include "convert.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "handle.h"
#include "module.h"
#include "tare/error.h"

namespace tare::node {

namespace {

std::string string_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? std::string() : value.As<Napi::String>().Utf8Value();
}

bool flag_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return !value.IsUndefined() && value.As<Napi::Boolean>().Value();
}

std::vector<std::string> strings_of(const Napi::Object& object, const char* name) {
  std::vector<std::string> strings;
  const auto array = object.Get(name).As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    strings.push_back(array.Get(i).As<Napi::String>().Utf8Value());
  }
  return strings;
}

/// Int32Value() would turn 2^32 + 1 into 1. A number that no descriptor has must stay invalid.
int fd_from(const Napi::Value& value) {
  const std::int64_t number = value.As<Napi::Number>().Int64Value();
  return static_cast<int>(std::clamp<std::int64_t>(number, -1, std::numeric_limits<int>::max()));
}

}  // namespace

Stdio stdio_from(const Napi::Value& value) {
  const auto options = value.As<Napi::Object>();
  Stdio stdio;
  const auto fds = options.Get("stdio").As<Napi::Array>();
  for (std::uint32_t i = 0; i < fds.Length(); ++i) {
    const int fd = fd_from(fds.Get(i));
    if (i < 3) {
      stdio.fds[i] = fd;
    } else {
      stdio.preserved.push_back(fd);
    }
  }
  stdio.console_socket = string_of(options, "consoleSocket");
  return stdio;
}

namespace {

void set_if_known(Napi::Object& object, const char* name, const std::string& value) {
  if (!value.empty()) object.Set(name, value);
}

}  // namespace

Runtime runtime_from(const Napi::Value& value) {
  const auto object = value.As<Napi::Object>();
  Runtime runtime;
  runtime.root = string_of(object, "root");
  const Napi::Value rootless = object.Get("rootless");
  if (!rootless.IsUndefined()) runtime.rootless = rootless.As<Napi::Boolean>().Value();
  runtime.systemd_cgroup = object.Get("systemdCgroup").ToBoolean();
  runtime.warn = [loop = AddonData::of(value.Env()).loop](const std::string& text) {
    loop->post(
        [text](Napi::Env env) { AddonData::of(env).warn.Call({Napi::String::New(env, text)}); });
  };
  return runtime;
}

std::vector<SharedFd> shared_fds_from(const Napi::Value& value) {
  std::vector<SharedFd> shared_fds;
  const auto array = value.As<Napi::Object>().Get("keepOpen").As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    shared_fds.push_back(*array.Get(i).As<Napi::External<SharedFd>>().Data());
  }
  return shared_fds;
}

CreateOptions create_options_from(const Napi::Value& value) {
  const auto object = value.As<Napi::Object>();
  CreateOptions options;
  options.bundle = string_of(object, "bundle");
  const Napi::Value config = object.Get("config");
  if (!config.IsUndefined()) options.config = config.As<Napi::String>().Utf8Value();
  options.pid_file = string_of(object, "pidFile");
  options.own_ids = true;
  options.no_pivot = flag_of(object, "noPivot");
  options.no_new_keyring = flag_of(object, "noNewKeyring");
  options.stdio = stdio_from(object);
  options.ends_with_caller = flag_of(object, "endsWithProgram");
  options.start_gate = !flag_of(object, "start");
  options.reaper = flag_of(object, "init");
  options.allow_terminal_without_socket = options.stdio.console_socket.empty();
  return options;
}

std::shared_ptr<PreparedRun> prepared_run_from(const Napi::CallbackInfo& info) {
  const auto object = info[1].As<Napi::Object>();
  auto prepared = std::make_shared<PreparedRun>();
  prepared->runtime = runtime_from(info[0]);
  CreateOptions& options = prepared->options;
  options.prepared = prepare_config(string_of(object, "bundle"), string_of(object, "config"),
                                    string_of(object, "process"), string_of(object, "rootEntries"));
  options.own_ids = true;
  options.ends_with_caller = true;
  options.start_gate = false;
  options.reaper = flag_of(object, "init");
  options.allow_terminal_without_socket = true;
  return prepared;
}

Command command_from(const Napi::Value& value) {
  const auto object = value.As<Napi::Object>();
  return {.args = strings_of(object, "args"),
          .env = strings_of(object, "env"),
          .cwd = string_of(object, "cwd")};
}

std::vector<OutputRequest> outputs_from(const Napi::Value& value) {
  std::vector<OutputRequest> outputs;
  const auto array = value.As<Napi::Object>().Get("outputs").As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const auto output = array.Get(i).As<Napi::Object>();
    outputs.push_back({.number = output.Get("number").As<Napi::Number>().Uint32Value(),
                       .output = output_from(output)});
  }
  return outputs;
}

ExecRequest exec_request_from(const Napi::Value& value) {
  const auto object = value.As<Napi::Object>();
  ExecRequest request;
  request.process = string_of(object, "process");
  request.given = strings_of(object, "given");
  request.options.ignore_paused = flag_of(object, "ignorePaused");
  request.options.pid_file = string_of(object, "pidFile");
  request.options.stdio = stdio_from(object);
  request.shared_fds = shared_fds_from(value);
  request.options.allow_terminal_without_socket = request.options.stdio.console_socket.empty();
  return request;
}

Napi::Value error_value(Napi::Env env, const std::exception_ptr& failure) {
  Napi::Object object = Napi::Object::New(env);
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    object.Set("code", error_code(error.kind()));
    object.Set("message", error.what());
    // Negative, as in Node's own errors.
    if (error.errnum() != 0) object.Set("errno", -error.errnum());
    set_if_known(object, "syscall", error.syscall());
    set_if_known(object, "path", error.path());
    set_if_known(object, "stage", error.stage());
  } catch (const Cancelled& cancelled) {
    object.Set("code", "ERR_TARE_ABORTED");
    object.Set("message", cancelled.what());
  } catch (const std::exception& error) {
    object.Set("code", error_code(ErrorKind::system));
    object.Set("message", error.what());
  }
  return object;
}

Napi::Value exit_value(Napi::Env env, const Exit& exit) {
  const auto number_or_null = [env](const std::optional<int>& number) {
    return number ? Napi::Value(Napi::Number::New(env, *number)) : env.Null();
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("exitCode", number_or_null(exit.code));
  object.Set("signal", number_or_null(exit.signal));
  return object;
}

Napi::Value totals_value(Napi::Env env, const CgroupTotals& totals) {
  const auto number = [env](std::uint64_t value) {
    return Napi::Number::New(env, static_cast<double>(value));
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("cpuUserNs", number(totals.cpu.user));
  object.Set("cpuSystemNs", number(totals.cpu.kernel));
  if (totals.peak_memory) object.Set("peakMemory", number(*totals.peak_memory));
  if (totals.oom_kills) object.Set("oomKills", number(*totals.oom_kills));
  return object;
}

Napi::Value completion_value(Napi::Env env, RunCompletion& completion) {
  auto object = exit_value(env, completion.exit()).As<Napi::Object>();
  using Milliseconds = std::chrono::duration<double, std::milli>;
  object.Set("ageMs", Milliseconds(completion.age()).count());
  auto totals = totals_value(env, completion.totals()).As<Napi::Object>();
  if (completion.exit().max_rss) {
    totals.Set("maxRss", Napi::Number::New(env, static_cast<double>(*completion.exit().max_rss)));
  }
  object.Set("totals", totals);
  Napi::Array outputs = Napi::Array::New(env, completion.outputs().size());
  for (std::size_t i = 0; i < completion.outputs().size(); ++i) {
    std::string data;
    const bool collected = completion.outputs()[i]->collected(data);
    outputs.Set(static_cast<std::uint32_t>(i),
                collected ? bytes_value(env, std::move(data)) : env.Null());
  }
  object.Set("outputs", outputs);
  return object;
}

Napi::Value problems_value(Napi::Env env, const std::vector<Problem>& problems) {
  Napi::Array array = Napi::Array::New(env, problems.size());
  for (std::size_t i = 0; i < problems.size(); ++i) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("path", problems[i].path);
    object.Set("message", problems[i].message);
    object.Set("unsupported", problems[i].unsupported);
    array.Set(static_cast<std::uint32_t>(i), object);
  }
  return array;
}

Napi::Value string_array(Napi::Env env, const std::vector<std::string>& strings) {
  Napi::Array array = Napi::Array::New(env, strings.size());
  for (std::size_t i = 0; i < strings.size(); ++i) {
    array.Set(static_cast<std::uint32_t>(i), strings[i]);
  }
  return array;
}

Napi::Value number_array(Napi::Env env, const std::vector<pid_t>& numbers) {
  Napi::Array array = Napi::Array::New(env, numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    array.Set(static_cast<std::uint32_t>(i), Napi::Number::New(env, numbers[i]));
  }
  return array;
}

}  // namespace tare::node
