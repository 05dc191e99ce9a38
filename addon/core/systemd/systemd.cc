// The connection to the service manager, its requests and timeouts.

#include "systemd/systemd.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "tare/error.h"

namespace tare {

namespace {

using dbus::Address;
using dbus::Message;
using dbus::MessageType;
using dbus::Value;
using std::chrono::steady_clock;

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";
constexpr const char* bus_service = "org.freedesktop.DBus";
constexpr const char* bus_path = "/org/freedesktop/DBus";

/// A socket of the manager, reached directly or through a message bus.
struct Candidate {
  Address address;
  bool bus = false;
};

void add_bus(std::vector<Candidate>& candidates, const char* addresses) {
  for (Address& address : dbus::parse_addresses(addresses == nullptr ? "" : addresses)) {
    candidates.push_back({std::move(address), true});
  }
}

/// The private sockets come first: they work without the message bus, and without waking up its
/// process.
std::vector<Candidate> candidates_of(SystemdManager manager) {
  std::vector<Candidate> candidates;
  if (manager == SystemdManager::system) {
    const char* const address = std::getenv("DBUS_SYSTEM_BUS_ADDRESS");
    add_bus(candidates, address);
    candidates.push_back({{"/run/systemd/private"}, false});
    candidates.push_back({{"/run/dbus/system_bus_socket"}, true});
    return candidates;
  }
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  const bool has_runtime = runtime != nullptr && runtime[0] == '/';
  if (has_runtime) {
    candidates.push_back({{std::string(runtime) + "/systemd/private"}, false});
  }
  add_bus(candidates, std::getenv("DBUS_SESSION_BUS_ADDRESS"));
  if (has_runtime) {
    candidates.push_back({{std::string(runtime) + "/bus"}, true});
  }
  return candidates;
}

std::string shown(const Address& address) {
  return (address.abstract ? "unix:abstract=" : "unix:path=") + address.path;
}

[[noreturn]] void fail_absent(SystemdManager manager, const std::string& tried) {
  std::string message = "--systemd-cgroup: cannot connect to systemd: ";
  if (manager == SystemdManager::system) {
    message += tried +
               "; was this host booted with systemd? Run without --systemd-cgroup (containerd: "
               "SystemdCgroup = false; docker: native.cgroupdriver=cgroupfs; podman: "
               "--cgroup-manager=cgroupfs)";
  } else {
    message +=
        (tried.empty() ? std::string("neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set")
                       : tried) +
        "; an ordinary user needs a service manager: log in again, or have "
        "`loginctl enable-linger` keep one and set XDG_RUNTIME_DIR=/run/user/" +
        std::to_string(geteuid()) + "; or run without --systemd-cgroup";
  }
  throw Error(ErrorKind::unsupported, message);
}

bool is_error(const Message& message, std::string_view name) {
  return message.type == MessageType::error && message.error_name.ends_with(name);
}

std::string text_of(const Message& error) {
  const bool has_text = !error.body.empty() && error.body.front().signature == "s";
  return has_text ? error.body.front().text : error.error_name;
}

/// Throws an error with systemd's reply to `what` ("StartTransientUnit of web.scope").
[[noreturn]] void fail_refused(const std::string& what, const Message& reply) {
  std::string message = what + ": " + text_of(reply);
  ErrorKind kind = ErrorKind::system;
  if (is_error(reply, ".UnitExists")) {
    kind = ErrorKind::already_exists;
    message += " Stop it (systemctl stop), or set linux.cgroupsPath to another name";
  } else if (is_error(reply, ".PropertyReadOnly") || is_error(reply, ".UnknownProperty") ||
             is_error(reply, ".InvalidArgs")) {
    kind = ErrorKind::invalid_config;
    message +=
        " (properties come from linux.resources and from annotations org.systemd.property.*)";
  } else if (is_error(reply, ".AccessDenied") ||
             is_error(reply, ".InteractiveAuthorizationRequired")) {
    message += " (run as root, or as the user whose manager it is)";
  }
  throw Error(kind, message);
}

Value property_list(const std::vector<UnitProperty>& properties) {
  std::vector<Value> items;
  for (const UnitProperty& property : properties) {
    items.push_back(dbus::structure({dbus::string(property.name), dbus::variant(property.value)}));
  }
  return dbus::array("(sv)", std::move(items));
}

unsigned parse_version(std::string_view text) {
  text.remove_prefix(text.starts_with('v') ? 1 : 0);
  unsigned version = 0;
  std::from_chars(text.data(), text.data() + text.size(), version);
  return version;
}

std::vector<UnitProperty> scope_properties(const SystemdUnit& unit, pid_t pid,
                                           const std::string& description) {
  return {
      {"Description", dbus::string(description)},
      {"Slice", dbus::string(unit.slice)},
      {"Delegate", dbus::boolean(true)},
      {"PIDs", dbus::array("u", {dbus::uint32(static_cast<std::uint32_t>(pid))})},
      // Otherwise a controller is enabled with the first limit only, and does not count existing
      // processes.
      {"MemoryAccounting", dbus::boolean(true)},
      {"CPUAccounting", dbus::boolean(true)},
      {"IOAccounting", dbus::boolean(true)},
      {"TasksAccounting", dbus::boolean(true)},
      // A container is stopped by its engine, not by the host's shutdown ordering.
      {"DefaultDependencies", dbus::boolean(false)},
  };
}

}  // namespace

dbus::Deadline Systemd::deadline() const { return steady_clock::now() + timeout_; }

void Systemd::fail_late(std::string_view what) const {
  const auto milliseconds = std::to_string(timeout_.count());
  const std::string time = timeout_.count() % 1000 == 0
                               ? std::to_string(timeout_.count() / 1000) + " s"
                               : milliseconds + " ms";
  std::string message = "systemd did not answer within " + time + ": " + std::string(what) +
                        " over " + where_ + "; it may hang: see `systemctl ";
  message += manager_ == SystemdManager::user ? "--user " : "";
  message += "status`; ";
  message += bus_ ? "restart the message bus (systemctl restart dbus)"
                  : "re-execute it (systemctl daemon-reexec)";
  message += ", or run without --systemd-cgroup";
  Error error(ErrorKind::system, message);
  throw error.with_errno(ETIMEDOUT, "poll").with_path(where_);
}

Systemd Systemd::connect(SystemdManager manager, std::chrono::milliseconds timeout) {
  std::string tried;
  for (const Candidate& candidate : candidates_of(manager)) {
    const std::string where = shown(candidate.address);
    try {
      auto connection = dbus::Connection::open(candidate.address, steady_clock::now() + timeout);
      const bool late = !connection.has_value();
      Systemd systemd(manager, timeout, where, late ? dbus::Connection() : std::move(*connection));
      systemd.bus_ = candidate.bus;
      if (late) {
        systemd.fail_late("connecting");
      }
      systemd.greet();
      return systemd;
    } catch (const Error& error) {
      if (error.errnum() == ETIMEDOUT) {
        throw;
      }
      const std::string reason =
          error.errnum() == 0 ? std::string(error.inner_words()) : errno_text(error.errnum());
      tried.append(tried.empty() ? "" : ", ").append(where).append(": ").append(reason);
    }
  }
  fail_absent(manager, tried);
}

/// Registers with the bus, subscribes to the signals for ended jobs, and queries the manager's
/// properties.
void Systemd::greet() {
  if (bus_) {
    Message hello;
    hello.destination = bus_service;
    hello.path = bus_path;
    hello.interface = bus_service;
    hello.member = "Hello";
    Message match = hello;
    match.member = "AddMatch";
    match.body.push_back(dbus::string(
        "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',"
        "interface='org.freedesktop.systemd1.Manager',member='JobRemoved'"));
    for (const Message* each : {&hello, &match}) {
      const Message reply = call(*each);
      if (reply.type == MessageType::error) {
        fail_refused(each->member, reply);
      }
    }
    // On a private socket every client receives the signals.
    const Message reply = manager_call("Subscribe", {});
    if (reply.type == MessageType::error) {
      fail_refused("Subscribe", reply);
    }
  }
  version_ = parse_version(manager_property("Version"));
  control_group_ = manager_property("ControlGroup");
  if (control_group_ == "/") {
    control_group_.clear();
  }
}

Message Systemd::call(Message call) {
  const std::string member = call.member;
  std::optional<Message> reply = connection_.call(std::move(call), deadline());
  if (!reply.has_value()) {
    fail_late(member);
  }
  return std::move(*reply);
}

Message Systemd::manager_call(const char* member, std::vector<Value> arguments) {
  Message message;
  message.destination = bus_ ? service : "";
  message.path = manager_path;
  message.interface = manager_interface;
  message.member = member;
  message.body = std::move(arguments);
  return call(std::move(message));
}

std::string Systemd::manager_property(const char* name) {
  Message message;
  message.destination = bus_ ? service : "";
  message.path = manager_path;
  message.interface = "org.freedesktop.DBus.Properties";
  message.member = "Get";
  message.body = {dbus::string(manager_interface), dbus::string(name)};
  const Message reply = call(std::move(message));
  if (reply.type == MessageType::error) {
    fail_refused(name, reply);
  }
  const bool good = reply.body.size() == 1 && reply.body.front().signature == "v";
  return good ? reply.body.front().items.front().text : std::string();
}

std::string Systemd::job_result(const std::string& job, const std::string& unit) {
  const dbus::Deadline until = deadline();
  for (;;) {
    const std::optional<Message> signal = connection_.next_signal(until);
    if (!signal.has_value()) {
      fail_late("the job for " + unit);
    }
    // id, job, unit, result
    if (signal->member == "JobRemoved" && signal->body.size() == 4 && signal->body[1].text == job) {
      return signal->body[3].text;
    }
  }
}

void Systemd::reset_failed(const std::string& unit) {
  manager_call("ResetFailedUnit", {dbus::string(unit)});
}

void Systemd::start_scope(const SystemdUnit& unit, pid_t pid, const std::string& description,
                          const std::vector<UnitProperty>& properties) {
  std::vector<UnitProperty> all = scope_properties(unit, pid, description);
  all.insert(all.end(), properties.begin(), properties.end());
  const std::vector<Value> arguments = {dbus::string(unit.name), dbus::string("replace"),
                                        property_list(all), dbus::array("(sa(sv))", {})};
  Message reply = manager_call("StartTransientUnit", arguments);
  if (is_error(reply, ".UnitExists")) {
    // The existing unit may be a failed one.
    reset_failed(unit.name);
    reply = manager_call("StartTransientUnit", arguments);
  }
  const std::string what = "unable to start unit \"" + unit.name + "\"";
  if (reply.type == MessageType::error) {
    fail_refused(what, reply);
  }
  const std::string result = job_result(reply.body.empty() ? "" : reply.body[0].text, unit.name);
  if (result != "done") {
    reset_failed(unit.name);
    throw Error(ErrorKind::system, what + ": systemd's job ended with \"" + result +
                                       "\"; its log has the reason (journalctl -u " + unit.name +
                                       ")");
  }
}

void Systemd::set_properties(const std::string& unit, const std::vector<UnitProperty>& properties) {
  if (properties.empty()) {
    return;
  }
  constexpr bool runtime_only = true;
  const Message reply =
      manager_call("SetUnitProperties",
                   {dbus::string(unit), dbus::boolean(runtime_only), property_list(properties)});
  if (reply.type == MessageType::error) {
    fail_refused("unable to set properties of unit \"" + unit + "\"", reply);
  }
}

void Systemd::attach(const std::string& unit, pid_t pid) {
  const Message reply = manager_call(
      "AttachProcessesToUnit", {dbus::string(unit), dbus::string("/"),
                                dbus::array("u", {dbus::uint32(static_cast<std::uint32_t>(pid))})});
  if (reply.type == MessageType::error) {
    fail_refused("unable to move a process into unit \"" + unit + "\"", reply);
  }
}

void Systemd::stop(const std::string& unit) {
  const Message reply = manager_call("StopUnit", {dbus::string(unit), dbus::string("replace")});
  if (reply.type == MessageType::reply && !reply.body.empty()) {
    job_result(reply.body[0].text, unit);
  } else if (!is_error(reply, ".NoSuchUnit")) {
    fail_refused("unable to stop unit \"" + unit + "\"", reply);
  }
  // A failed unit remains until it is reset.
  reset_failed(unit);
}

}  // namespace tare
