// Kernel files that tare reads, with contents that no kernel writes: those of a cgroup, of resctrl,
// and mountinfo. The first byte selects one; a cgroup's files are "NAME\nCONTENT" with a NUL in
// between.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "cgroup/stats.h"
#include "fuzz.h"
#include "host/mountinfo.h"
#include "host/resctrl/text.h"
#include "json/json.h"
#include "tare/container.h"
#include "tare/fd.h"

namespace {

/// A directory for the files of successive inputs.
class Directory {
 public:
  Directory() : path_("/dev/shm/tare-fuzz-XXXXXX") {
    fuzz::require(mkdtemp(path_.data()) != nullptr, "mkdtemp");
    directory_ = tare::open_file(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
  }
  ~Directory() {
    clear();
    rmdir(path_.c_str());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  int fd() const { return directory_.get(); }
  void add(const std::string& name, std::string_view content) {
    if (name.empty() || name.size() > 255 || name.find('/') != std::string::npos || name == "." ||
        name == "..") {
      return;
    }
    const tare::Fd file =
        tare::open_file(fd(), name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    tare::write_all(file.get(), content, name);
    names_.push_back(name);
  }
  void clear() {
    for (const std::string& name : names_) {
      unlinkat(fd(), name.c_str(), 0);
    }
    names_.clear();
  }

 private:
  std::string path_;
  tare::Fd directory_;
  std::vector<std::string> names_;
};

void read_cgroup(std::string_view text) {
  static Directory directory;
  while (!text.empty()) {
    std::string_view file = tare::take_until(text, '\0');
    const std::string name(tare::take_until(file, '\n'));
    directory.add(name, file);
  }
  fuzz::accepts([] {
    const tare::CgroupStats stats = tare::read_cgroup_stats(directory.fd(), "cgroup");
    fuzz::require(stats.cpus.size() <= 65536 + 1, "too many processors");
    const tare::json::Document document(tare::stats_json(stats), "stats");
    fuzz::require(document.root().is_object(), "statistics are no object");
  });
  directory.clear();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text = fuzz::text(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      read_cgroup(text);
      break;
    case 1:
      tare::for_each_mount(text, [](const tare::MountLine& mount) {
        fuzz::require(!mount.point.empty(), "a mount has no point");
        return mount.type != "end";
      });
      break;
    default: {
      std::string_view rest = text;
      const std::string_view line = tare::take_until(rest, '\0');
      tare::joined_lines(rest);
      tare::has_schema(rest, line);
    }
  }
  return 0;
}
