// state.json of a container, or, if the first byte is not "{", the text of /proc/PID/stat.
#include "base/process_stat.h"
#include "fuzz.h"
#include "state/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::text(data, size);
  if (!text.starts_with('{')) {
    tare::parse_process_stat(text);
    return 0;
  }
  fuzz::accepts([&] {
    const tare::StateRecord record = tare::parse_record(text, "state.json", "c");
    fuzz::require(record.id == "c" && record.pid >= 0, "another container's record");
    for (const std::string* path : {&record.bundle, &record.rootfs, &record.cgroup_path}) {
      fuzz::require(path->find('\0') == std::string::npos, "a path with a NUL");
    }
    const std::string written = tare::record_text(record);
    const tare::StateRecord again = tare::parse_record(written, "state.json", "c");
    fuzz::require(tare::record_text(again) == written, "a record is read otherwise");
  });
  return 0;
}
