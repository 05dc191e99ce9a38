#include "container/new_container.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "container/impl.h"
#include "tare/unix_socket.h"

namespace tare {
namespace {

/// Returns the current time in RFC 3339 format, in UTC. gmtime(3) would read the time zone's file.
std::string timestamp() {
  using std::chrono::floor;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::chrono::sys_seconds seconds{std::chrono::seconds{now.tv_sec}};
  const auto day = floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{seconds - day};
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02ld:%02ld:%02ld.%09ldZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<long>(time.hours().count()),
                static_cast<long>(time.minutes().count()),
                static_cast<long>(time.seconds().count()), now.tv_nsec);
  return text.data();
}

}  // namespace

StateRecord make_record(const Bundle& bundle, const std::string& id, uid_t owner,
                        bool no_new_keyring) {
  StateRecord record;
  record.id = id;
  record.bundle = bundle.path;
  record.rootfs = rootfs_path(bundle);
  record.created = timestamp();
  record.owner = owner;
  record.oci_version = bundle.spec.oci_version;
  record.annotations.assign(bundle.spec.annotations.begin(), bundle.spec.annotations.end());
  const Hooks& hooks = bundle.spec.hooks;
  record.has_process = bundle.has_process;
  record.has_hooks =
      !hooks.start_container.empty() || !hooks.poststart.empty() || !hooks.poststop.empty();
  record.no_new_keyring = no_new_keyring;
  record.own_pid_namespace = bundle.spec.makes_namespace(NamespaceType::pid);
  return record;
}

void delegate_cgroup(Cgroup& cgroup, const Spec& spec, const Host& host) {
  const bool sees_it = spec.has_namespace(NamespaceType::user) &&
                       spec.makes_namespace(NamespaceType::cgroup) && !host.rootless &&
                       std::ranges::any_of(spec.mounts, [](const Mount& mount) {
                         return mount.type.starts_with("cgroup") &&
                                std::ranges::find(mount.options, "ro") == mount.options.end();
                       });
  if (!sees_it) {
    return;
  }
  const auto root_of = [](const std::vector<IdMapping>& mappings) -> std::optional<std::uint32_t> {
    for (const IdMapping& mapping : mappings) {
      if (mapping.container_id == 0) {
        return mapping.host_id;
      }
    }
    return std::nullopt;
  };
  const auto uid = root_of(spec.linux_.uid_mappings);
  const auto gid = root_of(spec.linux_.gid_mappings);
  if (uid.has_value() && gid.has_value()) {
    cgroup.delegate(*uid, *gid);
  }
}

void limit_nesting(Cgroup& cgroup, const Spec& spec) {
  if (!cgroup || !may_write_cgroups(spec)) {
    return;
  }
  // systemd in a container nests about ten levels, an engine or a Kubernetes node about ten more.
  for (const auto& [file, value] :
       {std::pair("cgroup.max.depth", "64"), std::pair("cgroup.max.descendants", "8192")}) {
    // Any other value is from linux.resources.unified, or from other processes: an existing cgroup
    // is used as it is. If this user may not write the file, the container runs without these
    // limits.
    if (read_file_if_exists(cgroup.fd(), file) == "max\n") {
      write_kernel_file(cgroup.fd(), file, value);
    }
  }
}

RdtGroup make_rdt_group(const std::string& resctrl, const Spec& spec, const std::string& id,
                        const StateDir& dir) {
  return RdtGroup::create(
      resctrl, *spec.linux_.intel_rdt, id,
      {[&dir](const std::string& directory) { dir.journal().note_rdt(directory); },
       [&dir] { dir.journal().forget_rdt(); }});
}

Fd connect_pidfd_socket(const std::string& given, const Spec& spec) {
  if (given.empty() && spec.pidfd_receiver.empty()) {
    return Fd();
  }
  return given.empty() ? connect_fd_socket(spec.pidfd_receiver,
                                           "config.json: annotations[\"run.oci.pidfd_receiver\"]")
                       : connect_fd_socket(given, "--pidfd-socket");
}

}  // namespace tare
