#include "checkpoint/criu.h"

#include <criu.pb-c.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <span>
#include <utility>

#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/unix_socket.h"

extern char** environ;

namespace tare {
namespace {

/// The oldest criu with all features used here. The most recent of them is lsm_mount_context;
/// before it came external pid namespaces and the freezer of cgroup v2.
constexpr int oldest_major = 3;
constexpr int oldest_minor = 16;

// Debian installs criu in sbin, which an ordinary PATH does not contain.
constexpr std::string_view more_places = ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin";

std::string find_criu() {
  const char* path = std::getenv("PATH");
  std::string places = path == nullptr ? "" : path;
  places += more_places;
  for (std::size_t begin = 0; begin < places.size();) {
    const std::size_t end = std::min(places.find(':', begin), places.size());
    std::string program = places.substr(begin, end - begin) + "/criu";
    // An empty element of PATH would mean the working directory.
    if (program.starts_with('/') && access(program.c_str(), X_OK) == 0 && end != begin) {
      return program;
    }
    begin = end + 1;
  }
  throw Error(ErrorKind::unsupported,
              "there is no criu(8) in PATH, which does the work: install version 3.16 or newer, on "
              "Debian by `apt-get install criu`");
}

std::vector<std::string> environment() {
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    variables.emplace_back(*at);
  }
  return variables;
}

/// A received message: its bytes, and a descriptor.
struct Received {
  std::vector<char> bytes;
  Fd fd;
};

/// Receives a message; none when criu has closed the connection.
std::optional<Received> receive(int socket) {
  Received received;
  received.bytes.resize(std::size_t{64} << 10);
  std::optional<ReceivedMessage> message =
      receive_message(socket, std::as_writable_bytes(std::span(received.bytes)));
  if (!message && errno != ECONNRESET) {
    throw_errno("recvmsg", "criu");
  }
  if (!message || message->size == 0) {
    return std::nullopt;
  }
  received.bytes.resize(message->size);
  received.fd = std::move(message->fd);
  return received;
}

struct FreeResponse {
  void operator()(Criu__Response* response) const {
    criu__response__free_unpacked(response, nullptr);
  }
};
using Response = std::unique_ptr<Criu__Response, FreeResponse>;

Response unpack(const Received& received) {
  Response response(
      criu__response__unpack(nullptr, received.bytes.size(),
                             reinterpret_cast<const std::uint8_t*>(received.bytes.data())));
  if (!response) {
    throw Error(ErrorKind::system, "criu says what cannot be understood");
  }
  return response;
}

void send(int socket, const Criu__Request& request) {
  std::string bytes(criu__request__get_packed_size(&request), '\0');
  criu__request__pack(&request, reinterpret_cast<std::uint8_t*>(bytes.data()));
  const int error = send_message(socket, bytes);
  // EPIPE: criu has ended, which the next receive() detects.
  if (error != 0 && error != EPIPE && error != ECONNRESET) {
    throw_errno(error, "sendmsg", "criu");
  }
}

Criu__Type type_of(CriuVerb verb) {
  switch (verb) {
    case CriuVerb::dump:
      return CRIU__TYPE__DUMP;
    case CriuVerb::pre_dump:
      return CRIU__TYPE__PRE_DUMP;
    case CriuVerb::restore:
      break;
  }
  return CRIU__TYPE__RESTORE;
}

Criu__CgroupMode mode_of(CgroupsMode mode) {
  switch (mode) {
    case CgroupsMode::soft:
      break;
    case CgroupsMode::full:
      return CRIU__CGROUP_MODE__FULL;
    case CgroupsMode::strict:
      return CRIU__CGROUP_MODE__STRICT;
    case CgroupsMode::ignore:
      return CRIU__CGROUP_MODE__IGNORE;
  }
  return CRIU__CGROUP_MODE__SOFT;
}

/// The options of a request in protobuf-c's format. Refers to the request's strings.
class Options {
 public:
  explicit Options(const CriuRequest& request) {
    criu__options__init(&options_);
    const CriuOptions& given = request.options;
    options_.images_dir_fd = request.images;
    number(options_.has_work_dir_fd, options_.work_dir_fd, request.work, request.work >= 0);
    text(options_.log_file, request.log_file);
    text(options_.config_file, request.config_file);
    text(options_.root, request.root);
    number(options_.has_log_level, options_.log_level, 4, true);
    flag(options_.has_notify_scripts, options_.notify_scripts, true);
    flag(options_.has_orphan_pts_master, options_.orphan_pts_master, true);
    flag(options_.has_tcp_established, options_.tcp_established, given.tcp_established);
    flag(options_.has_ext_unix_sk, options_.ext_unix_sk, given.ext_unix_sk);
    flag(options_.has_shell_job, options_.shell_job, given.shell_job);
    flag(options_.has_lazy_pages, options_.lazy_pages, given.lazy_pages);
    flag(options_.has_file_locks, options_.file_locks, given.file_locks);
    flag(options_.has_auto_dedup, options_.auto_dedup, given.auto_dedup);
    flag(options_.has_manage_cgroups, options_.manage_cgroups, true);
    options_.has_manage_cgroups_mode = 1;
    options_.manage_cgroups_mode = mode_of(given.manage_cgroups);
    // criu leaves network namespaces empty: the engine sets them up, as when the container was
    // created.
    options_.has_empty_ns = 1;
    options_.empty_ns = CLONE_NEWNET;
    for (const std::string& external : request.external) {
      externals_.push_back(const_cast<char*>(external.c_str()));
    }
    options_.n_external = externals_.size();
    options_.external = externals_.data();
    if (request.verb == CriuVerb::restore) {
      add_restore(request);
    } else {
      add_dump(request);
    }
  }
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  Criu__Options* get() { return &options_; }

 private:
  static void flag(protobuf_c_boolean& has, protobuf_c_boolean& field, bool value) {
    has = 1;
    field = value ? 1 : 0;
  }
  static void number(protobuf_c_boolean& has, std::int32_t& field, int value, bool wanted) {
    has = wanted ? 1 : 0;
    field = value;
  }
  static void text(char*& field, const std::string& value) {
    field = value.empty() ? nullptr : const_cast<char*>(value.c_str());
  }

  void add_dump(const CriuRequest& request) {
    const CheckpointOptions& dump = request.dump;
    number(options_.has_pid, options_.pid, request.pid, true);
    text(options_.parent_img, dump.parent_path);
    flag(options_.has_track_mem, options_.track_mem,
         !dump.parent_path.empty() || request.verb == CriuVerb::pre_dump);
    flag(options_.has_leave_running, options_.leave_running, dump.leave_running);
    flag(options_.has_tcp_skip_in_flight, options_.tcp_skip_in_flight, dump.tcp_skip_in_flight);
    flag(options_.has_link_remap, options_.link_remap, dump.link_remap);
    text(options_.freeze_cgroup, request.freeze_cgroup);
    if (!dump.page_server.empty()) {
      criu__page_server__init(&page_server_);
      text(page_server_.address, dump.page_server);
      number(page_server_.has_port, page_server_.port, dump.page_server_port, true);
      options_.page_server = &page_server_;
    }
  }

  void add_restore(const CriuRequest& request) {
    flag(options_.has_evasive_devices, options_.evasive_devices, true);
    // Makes the container's init a child of this process, not of criu.
    flag(options_.has_rst_sibling, options_.rst_sibling, true);
    text(options_.lsm_profile, request.restore.lsm_profile);
    text(options_.lsm_mount_context, request.restore.lsm_mount_context);
    if (!request.cgroup_root.empty()) {
      // For the cgroup v2 hierarchy, which has no controllers in its name.
      criu__cgroup_root__init(&cgroup_root_);
      cgroup_root_.controller = const_cast<char*>("");
      text(cgroup_root_.path, request.cgroup_root);
      cgroup_root_list_ = &cgroup_root_;
      options_.n_cgroup_root = 1;
      options_.cgroup_root = &cgroup_root_list_;
    }
    for (const auto& [key, fd] : request.inherited) {
      Criu__InheritedFd& one = inherited_.emplace_back();
      criu__inherited_fd__init(&one);
      text(one.key, key);
      one.fd = fd;
      inherited_list_.push_back(&one);
    }
    options_.n_inherit_fd = inherited_list_.size();
    options_.inherit_fd = inherited_list_.data();
    for (const auto& [name, file] : request.joined) {
      Criu__JoinedNamespace& one = joined_.emplace_back();
      criu__joined_namespace__init(&one);
      text(one.name, name);
      text(one.file, file);
      joined_list_.push_back(&one);
    }
    options_.n_join_ns = joined_list_.size();
    options_.join_ns = joined_list_.data();
  }

  Criu__Options options_;
  Criu__PageServer page_server_;
  Criu__CgroupRoot cgroup_root_;
  Criu__CgroupRoot* cgroup_root_list_ = nullptr;
  std::vector<char*> externals_;
  std::deque<Criu__InheritedFd> inherited_;
  std::vector<Criu__InheritedFd*> inherited_list_;
  std::deque<Criu__JoinedNamespace> joined_;
  std::vector<Criu__JoinedNamespace*> joined_list_;
};

[[noreturn]] void fail(const Criu__Response& response, const std::string& log) {
  std::string message = "criu failed";
  const bool says = response.cr_errmsg != nullptr && response.cr_errmsg[0] != '\0';
  if (says) {
    message += std::string(": ") + response.cr_errmsg;
    while (message.back() == '\n') {
      message.pop_back();
    }
  } else if (response.has_cr_errno != 0 && response.cr_errno != 0) {
    message += ": " + errno_text(response.cr_errno);
  }
  const std::string errors = criu_errors(log);
  if (!errors.empty()) {
    message += "; the last errors in its log " + log + ":\n" + errors;
  } else {
    message += "; its log is " + log;
  }
  throw Error(ErrorKind::system, message)
      .with_errno(response.has_cr_errno != 0 ? response.cr_errno : 0, "criu")
      .with_path(log);
}

}  // namespace

Criu::Criu(const CriuStart& start) {
  ProgramPlanOptions options;
  options.path = find_criu();
  options.args = {"criu", "swrk", std::to_string(criu_first_inherited - 1)};
  options.env = environment();
  options.preserve_fds = static_cast<std::uint32_t>(1 + start.inherited.size());
  options.tree = start.root;
  options.place = start.place;
  options.name = start.name;
  plan_ = make_program_plan(options);
  auto [ours, theirs] = make_socket_pair("criu");
  socket_ = std::move(ours);
  SpawnOptions spawn_options;
  std::copy(std::begin(start.stdio), std::end(start.stdio), spawn_options.stdio);
  spawn_options.preserved = {theirs.get()};
  spawn_options.preserved.insert(spawn_options.preserved.end(), start.inherited.begin(),
                                 start.inherited.end());
  spawn_options.cgroup = start.cgroup;
  process_.emplace(spawn(plan_, spawn_options));
  process_->finish();
}

void Criu::throw_ended(const std::string& what) {
  socket_.reset();
  const Fd pidfd = process_->release();
  const ExitStatus status = reap(pidfd.get());
  throw Error(
      ErrorKind::system,
      what + (status.signal != 0 ? " was killed by signal " + std::to_string(status.signal)
                                 : " ended early with status " + std::to_string(status.code)));
}

void Criu::check(const CriuFeatures& wanted) {
  Criu__Request request = CRIU__REQUEST__INIT;
  request.has_keep_open = 1;
  request.keep_open = 1;
  const auto ask = [&](Criu__Type type) {
    request.type = type;
    send(socket_.get(), request);
    const std::optional<Received> answer = receive(socket_.get());
    if (!answer) {
      throw_ended("criu, asked for its version (`criu check` says more),");
    }
    return unpack(*answer);
  };
  const Response version = ask(CRIU__TYPE__VERSION);
  const Criu__Version* number = version->version;
  if (number == nullptr || number->major_number < oldest_major ||
      (number->major_number == oldest_major && number->minor_number < oldest_minor)) {
    throw Error(ErrorKind::unsupported,
                "criu " +
                    (number == nullptr ? std::string("of unknown version")
                                       : std::to_string(number->major_number) + "." +
                                             std::to_string(number->minor_number)) +
                    " is too old: 3.16 or newer is needed");
  }
  if (!wanted.mem_track && !wanted.lazy_pages) {
    return;
  }
  Criu__Features features = CRIU__FEATURES__INIT;
  features.has_mem_track = wanted.mem_track ? 1 : 0;
  features.mem_track = features.has_mem_track;
  features.has_lazy_pages = wanted.lazy_pages ? 1 : 0;
  features.lazy_pages = features.has_lazy_pages;
  request.features = &features;
  const Response answer = ask(CRIU__TYPE__FEATURE_CHECK);
  const Criu__Features* has = answer->features;
  const char* lack = nullptr;
  if (wanted.mem_track && (has == nullptr || has->mem_track == 0)) {
    lack =
        "the kernel does not track which memory changes (CONFIG_MEM_SOFT_DIRTY), so that there "
        "can be no --pre-dump";
  } else if (wanted.lazy_pages && (has == nullptr || has->lazy_pages == 0)) {
    lack =
        "the kernel's userfaultfd(2) tells too little of what changes, so that there can be no "
        "--lazy-pages";
  }
  if (lack != nullptr) {
    throw Error(ErrorKind::unsupported, lack);
  }
}

pid_t Criu::carry_out(const CriuRequest& wanted, const std::string& log,
                      const std::function<void(CriuNotice&)>& notice) {
  Options options(wanted);
  Criu__Request request = CRIU__REQUEST__INIT;
  request.type = type_of(wanted.verb);
  request.options = options.get();
  send(socket_.get(), request);
  pid_t pid = 0;
  std::exception_ptr failure;
  for (;;) {
    std::optional<Received> received = receive(socket_.get());
    if (!received && failure == nullptr) {
      throw_ended("criu (its log is " + log + ")");
    }
    const Response response = received ? unpack(*received) : nullptr;
    if (failure != nullptr && (response == nullptr || response->type != CRIU__TYPE__NOTIFY)) {
      std::rethrow_exception(failure);
    }
    if (response->success == 0) {
      fail(*response, log);
    }
    if (response->type != CRIU__TYPE__NOTIFY) {
      pid = response->restored != nullptr ? response->restored->pid : 0;
      break;
    }
    CriuNotice told;
    if (response->notice != nullptr) {
      told.script = response->notice->script == nullptr ? "" : response->notice->script;
      told.pid = response->notice->pid;
    }
    told.fd = std::move(received->fd);
    try {
      if (failure == nullptr) {
        notice(told);
      }
    } catch (...) {
      // Told of the failure, criu undoes what it has done so far, and then reports that it failed.
      failure = std::current_exception();
    }
    Criu__Request go_on = CRIU__REQUEST__INIT;
    go_on.type = CRIU__TYPE__NOTIFY;
    go_on.has_notify_success = 1;
    go_on.notify_success = failure == nullptr ? 1 : 0;
    send(socket_.get(), go_on);
  }
  // After a pre-dump criu waits for a further request, and exits with an error when the socket
  // closes.
  socket_.reset();
  const Fd pidfd = process_->release();
  const ExitStatus status = reap(pidfd.get());
  if (status.code != 0 && wanted.verb != CriuVerb::pre_dump) {
    throw Error(ErrorKind::system,
                "criu ended with status " + std::to_string(status.code) + "; its log is " + log)
        .with_path(log);
  }
  return pid;
}

std::string criu_errors(const std::string& log) {
  constexpr std::size_t most = 8;
  std::optional<std::string> text;
  try {
    text = read_file_if_exists(AT_FDCWD, log);
  } catch (const Error&) {
    // The failure that the log would explain is the one to report.
  }
  std::deque<std::string_view> errors;
  for (std::string_view rest = text.has_value() ? std::string_view(*text) : std::string_view();
       !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find("Error ") == std::string_view::npos) {
      continue;
    }
    errors.push_back(line);
    if (errors.size() > most) {
      errors.pop_front();
    }
  }
  std::string result;
  for (const std::string_view line : errors) {
    result.append(result.empty() ? "" : "\n").append(line);
  }
  return result;
}

}  // namespace tare
