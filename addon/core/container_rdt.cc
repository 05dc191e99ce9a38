// The container's group in resctrl, where linux.intelRdt asks for one.
#include "container_impl.h"
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

void remove_rdt(const StateDir& dir) {
  for (const std::string& path : dir.noted_rdt()) {
    remove_rdt_directory(path);
  }
}

}  // namespace tare
