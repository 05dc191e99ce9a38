// The document of `update --resources`: what is parsed, refused, merged into a container's
// resources, recorded, and written to cgroups.
#include "cgroup/cgroup.h"
#include "fuzz.h"
#include "systemd/systemd.h"
#include "tare/spec.h"
#include "tare/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string name = "resources";
  fuzz::accepts([&] {
    const tare::Resources changes = tare::parse_resources(fuzz::text(data, size), name);
    tare::Resources before;
    before.memory.limit = std::int64_t{1} << 30;
    before.cpu.quota = 50000;
    before.unified = {{"memory.high", "1000000"}};
    tare::validate_resources(tare::updated_resources(before, changes), name);
    const tare::ResourcesChange change = tare::change_of_resources(before, changes);
    // The next update starts from the recorded resources.
    const std::string json = tare::resources_json(change.after);
    const tare::Resources again = tare::parse_resources(json, name);
    fuzz::require(tare::resources_json(again) == json, "resources are read otherwise");
    auto settings = tare::cgroup_settings(again);
    for (const tare::CgroupSetting& setting : settings) {
      fuzz::require(setting.file.find('/') == std::string::npos, "a setting leaves its directory");
    }
    tare::adapt_to_systemd(settings, 257);
    tare::resource_properties(settings, 257);
    tare::device_properties(again.devices);
    tare::device_filter_program(again.devices);
  });
  return 0;
}
