// checkpoint, restore.
#include "tare/checkpoint.h"

#include <optional>

#include "commands/commands.h"
#include "foreground.h"
#include "inherited_fds.h"
#include "log.h"
#include "tare/error.h"

namespace tare::cli {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::invalid_argument, what);
}

CgroupsMode manage_cgroups(const Arguments& given) {
  const std::string word = given.text(flag::manage_cgroups_mode);
  if (word.empty()) return CgroupsMode::soft;
  const std::optional<CgroupsMode> mode = cgroups_mode(word);
  if (!mode) {
    refuse("invalid manage-cgroups-mode value \"" + word +
           "\": expected soft, full, strict or ignore");
  }
  return *mode;
}

CriuOptions criu_options(const Arguments& given) {
  for (const std::string& name : given.texts(flag::empty_ns)) {
    if (name != "network") {
      refuse("--empty-ns: namespace \"" + name +
             "\" is not supported: it can only be network, which is always restored empty");
    }
  }
  CriuOptions options;
  options.image_path = given.text(flag::image_path);
  options.work_path = given.text(flag::work_path);
  options.tcp_established = given.is_set(flag::tcp_established);
  options.ext_unix_sk = given.is_set(flag::ext_unix_sk);
  options.shell_job = given.is_set(flag::shell_job);
  options.lazy_pages = given.is_set(flag::lazy_pages);
  options.file_locks = given.is_set(flag::file_locks);
  options.auto_dedup = given.is_set(flag::auto_dedup);
  options.manage_cgroups = manage_cgroups(given);
  return options;
}

/// "10.0.0.1:27", "[fe80::1]:27".
void take_page_server(const std::string& text, CheckpointOptions& options) {
  const std::size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  std::uint32_t port = 0;
  if (colon == std::string::npos || host.empty() ||
      (!bracketed && host.find(':') != std::string::npos) || colon + 1 == text.size()) {
    refuse("--page-server " + text + ": Use --page-server ADDRESS:PORT to specify page server");
  }
  if (!parse_number(text.substr(colon + 1), port) || port == 0 || port > UINT16_MAX) {
    refuse("--page-server " + text + ": Invalid port number, expected 1 to 65535");
  }
  options.page_server = bracketed ? host.substr(1, host.size() - 2) : host;
  options.page_server_port = static_cast<std::uint16_t>(port);
}

CreateOptions container_options(const Arguments& given) {
  CreateOptions options;
  options.bundle = given.text(flag::bundle);
  options.pid_file = given.text(flag::pid_file);
  options.no_pivot = given.is_set(flag::no_pivot);
  options.stdio.console_socket = given.text(flag::console_socket);
  return options;
}

}  // namespace

int checkpoint(const Call& call) {
  const Arguments& given = call.arguments;
  CheckpointOptions options;
  options.criu = criu_options(given);
  options.parent_path = given.text(flag::parent_path);
  options.leave_running = given.is_set(flag::leave_running);
  options.pre_dump = given.is_set(flag::pre_dump);
  options.tcp_skip_in_flight = given.is_set(flag::tcp_skip_in_flight);
  options.link_remap = given.is_set(flag::link_remap);
  if (given.given(flag::status_fd)) {
    options.status_fd = static_cast<int>(given.number(flag::status_fd));
  }
  if (given.given(flag::page_server)) take_page_server(given.text(flag::page_server), options);
  Container::open(call.runtime, call.id()).checkpoint(options);
  return 0;
}

int restore(const Call& call) {
  const Arguments& given = call.arguments;
  check_console_socket(given);
  RestoreOptions from;
  from.criu = criu_options(given);
  from.lsm_profile = given.text(flag::lsm_profile);
  from.lsm_mount_context = given.text(flag::lsm_mount_context);
  CreateOptions options = container_options(given);
  const std::optional<HeldSignals> signals = prepare_foreground(given, options);
  Container container = Container::restore(call.runtime, call.id(), options, from);
  StartedProcess process = container.take_init();
  if (log::debugging()) log::debug("container's process: " + std::to_string(process.pid));
  if (!signals) return 0;
  int status = 0;
  try {
    status = wait_in_foreground(*signals, std::move(process), nullptr);
  } catch (...) {
    remove_failed(container);
    throw;
  }
  remove_failed(container);
  return status;
}

}  // namespace tare::cli
