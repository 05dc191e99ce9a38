// The status of a container, and its state as JSON (runtime.md "State").
#include "container/impl.h"
#include "json/json.h"

namespace tare {

const char* status_name(Status status) noexcept {
  switch (status) {
    case Status::creating:
      return "creating";
    case Status::created:
      return "created";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::stopped:
      break;
  }
  return "stopped";
}

void write_state(json::Writer& writer, const ContainerState& state, bool full) {
  writer.begin_object();
  writer.key("ociVersion").string(state.oci_version);
  writer.key("id").string(state.id);
  if (full || state.status != Status::stopped) {
    writer.key("pid").number(state.pid);
  }
  writer.key("status").string(status_name(state.status));
  writer.key("bundle").string(state.bundle);
  if (full) {
    writer.key("rootfs").string(state.rootfs);
    writer.key("created").string(state.created);
  }
  if (!state.annotations.empty()) {
    writer.key("annotations").begin_object();
    for (const auto& [key, value] : state.annotations) {
      writer.key(key).string(value);
    }
    writer.end_object();
  }
  if (full) {
    writer.key("owner").string(state.owner == 0 ? "root" : std::to_string(state.owner));
  }
  writer.end_object();
}

std::string state_json(const ContainerState& state, bool full, int indent) {
  json::Writer writer(indent);
  write_state(writer, state, full);
  return writer.take();
}

ContainerState spec_state(const StateRecord& record, Status status, pid_t pid) {
  ContainerState state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status;
  state.pid = pid;
  state.bundle = record.bundle;
  state.annotations = record.annotations;
  return state;
}

std::string hook_state(const StateRecord& record, Status status, pid_t pid) {
  return state_json(spec_state(record, status, pid), false, 0);
}

Status Container::Impl::status() const {
  if (record.creating) {
    return is_alive(record.pid, record.start_time) ? Status::creating : Status::stopped;
  }
  // Other processes may change the container between these checks. In this order a created
  // container never appears to be running: its gate is held, or pause() has barred it since, or its
  // init is ending.
  const bool was_barred = dir.start_gate().is_barred();
  const bool held = !was_barred && dir.start_gate().is_held();
  const bool barred = was_barred || (!held && dir.start_gate().is_barred());
  const bool frozen = !held && cgroup().frozen();
  if (!is_alive(record.pid, record.start_time)) {
    return Status::stopped;
  }
  if (held) {
    return Status::created;
  }
  if (frozen) {
    return Status::paused;
  }
  // Barred but not frozen: another process thawed the cgroup by writing to cgroup.freeze.
  return barred ? Status::created : Status::running;
}

ContainerState Container::Impl::state() const {
  ContainerState state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status();
  state.pid = state.status == Status::stopped ? 0 : record.pid;
  state.bundle = record.bundle;
  state.rootfs = record.rootfs;
  state.created = record.created;
  state.owner = record.owner;
  state.annotations = record.annotations;
  return state;
}

}  // namespace tare
