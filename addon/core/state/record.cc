#include "state/record.h"

#include <optional>
#include <string_view>

#include "json/fields.h"
#include "json/json.h"

namespace tare {

std::string record_text(const StateRecord& record) {
  json::Writer writer;
  writer.begin_object();
  writer.key("ociVersion").string(record.oci_version);
  writer.key("id").string(record.id);
  writer.key("pid").number(record.pid);
  writer.key("startTime").number_unsigned(record.start_time);
  writer.key("bundle").string(record.bundle);
  writer.key("rootfs").string(record.rootfs);
  writer.key("created").string(record.created);
  writer.key("cgroupPath").string(record.cgroup_path);
  writer.key("systemdUnit").string(record.systemd_unit);
  writer.key("systemdUser").boolean(record.systemd_user);
  writer.key("owner").number_unsigned(record.owner);
  writer.key("mountsOnHost").boolean(record.mounts_on_host);
  writer.key("process").boolean(record.has_process);
  writer.key("hooks").boolean(record.has_hooks);
  writer.key("resctrl").boolean(record.has_rdt);
  writer.key("creating").boolean(record.creating);
  writer.key("ownPidNamespace").boolean(record.own_pid_namespace);
  writer.key("noNewKeyring").boolean(record.no_new_keyring);
  if (record.has_reaper) {
    writer.key("hasReaper").boolean(true);
  }
  if (record.in_time_namespace) {
    writer.key("inTimeNamespace").boolean(true);
  }
  if (record.first_own_id != 0) {
    writer.key("firstOwnId").number_unsigned(record.first_own_id);
  }
  writer.key("annotations").begin_object();
  for (const auto& [key, value] : record.annotations) {
    writer.key(key).string(value);
  }
  writer.end_object();
  writer.end_object();
  return writer.take();
}

bool is_cgroup_path(const std::string& path) {
  return path.starts_with('/') && (path + '/').find("/../") == std::string::npos;
}

StateRecord parse_record(std::string text, const std::string& name, const std::string& id) {
  const json::Document document(std::move(text), name);
  const json::Value& root = document.root();
  StateRecord record;
  record.oci_version = json::c_string(root.at("ociVersion"));
  record.id = json::c_string(root.at("id"));
  record.pid = root.at("pid").as_int32();
  record.start_time = root.at("startTime").as_uint64();
  record.bundle = json::c_string(root.at("bundle"));
  record.rootfs = json::c_string(root.at("rootfs"));
  record.created = json::c_string(root.at("created"));
  record.cgroup_path = json::c_string(root.at("cgroupPath"));
  record.systemd_unit = json::c_string(root.at("systemdUnit"));
  record.systemd_user = root.at("systemdUser").as_bool();
  record.owner = root.at("owner").as_uint32();
  record.mounts_on_host = root.at("mountsOnHost").as_bool();
  record.has_process = root.at("process").as_bool();
  record.has_hooks = root.at("hooks").as_bool();
  record.has_rdt = root.at("resctrl").as_bool();
  record.creating = root.at("creating").as_bool();
  record.own_pid_namespace = root.at("ownPidNamespace").as_bool();
  record.no_new_keyring = root.at("noNewKeyring").as_bool();
  const auto is_set = [&root](const char* key) {
    const std::optional<json::Value> value = root.find(key);
    return value.has_value() && value->as_bool();
  };
  record.has_reaper = is_set("hasReaper");
  record.in_time_namespace = is_set("inTimeNamespace");
  const std::optional<json::Value> first_own_id = root.find("firstOwnId");
  record.first_own_id = first_own_id.has_value() ? first_own_id->as_uint32() : 0;
  root.at("annotations").for_each_member([&record](std::string_view key, const json::Value& value) {
    record.annotations.emplace_back(key, json::c_string(value));
  });
  if (!record.cgroup_path.empty() && !is_cgroup_path(record.cgroup_path)) {
    root.at("cgroupPath")
        .fail("leads out of the cgroup tree; `delete --force` removes what is left");
  }
  if (record.id != id || record.pid < 0) {
    root.fail("is not this container's record; remove it with `delete --force`");
  }
  return record;
}

}  // namespace tare
