// The container's group in resctrl, if linux.intelRdt asks for one.
#include <utility>

#include "container/impl.h"
#include "json/json.h"
#include "tare/error.h"

namespace tare {

std::string required_resctrl(const Spec& spec) {
  if (!spec.linux_.intel_rdt.has_value()) {
    return {};
  }
  std::string root = find_resctrl();
  if (root.empty()) {
    throw Error(
        ErrorKind::unsupported,
        "config.json: linux.intelRdt: intelRdt is specified in config, but Intel RDT is not "
        "enabled: no resctrl file system is mounted; `mount -t resctrl resctrl "
        "/sys/fs/resctrl` where the processor and the kernel have it, or remove intelRdt")
        .with_path("linux.intelRdt");
  }
  return root;
}

RdtGroup container_rdt_group(const Spec& spec, const std::string& id) {
  return spec.linux_.intel_rdt.has_value()
             ? RdtGroup::open(required_resctrl(spec), *spec.linux_.intel_rdt, id)
             : RdtGroup();
}

std::string Container::rdt_stats_json() const {
  json::Writer writer;
  // The record avoids reading the config: most containers have no group.
  if (impl_->record.has_rdt) {
    container_rdt_group(spec(), id()).write_stats(writer);
  } else {
    writer.begin_object().end_object();
  }
  return writer.take();
}

void Container::update_rdt(const std::string& l3_cache_schema, const std::string& mem_bw_schema) {
  if (l3_cache_schema.empty() && mem_bw_schema.empty()) {
    return;
  }
  const ErrorContext context("update", id());
  const Locked locked(impl_->dir, impl_->runtime);
  const std::pair<std::string_view, const std::string*> lines[] = {
      {"--l3-cache-schema", &l3_cache_schema}, {"--mem-bw-schema", &mem_bw_schema}};
  for (const auto& [flag, line] : lines) {
    if (line->empty()) {
      continue;
    }
    if (find_resctrl().empty()) {
      throw Error(ErrorKind::unsupported,
                  std::string(flag) +
                      (line == &l3_cache_schema ? ": Intel RDT/CAT: l3 cache schema is not enabled"
                                                : ": Intel RDT/MBA: memory bandwidth schema is not "
                                                  "enabled") +
                      ": no resctrl file system is mounted");
    }
    if (!impl_->record.has_rdt) {
      throw Error(ErrorKind::unsupported,
                  std::string(flag) +
                      ": updating a non-existent Intel RDT configuration is not supported; create "
                      "the container with linux.intelRdt");
    }
    container_rdt_group(spec(), id()).write_schema(*line, flag);
  }
}

void remove_rdt(const StateDir& dir) {
  for (const std::string& path : dir.journal().rdt()) {
    remove_rdt_directory(path);
  }
}

}  // namespace tare
