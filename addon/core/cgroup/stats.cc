#include "cgroup/stats.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <string_view>

#include "cgroup/cgroup.h"
#include "cgroup/lists.h"
#include "tare/cgroup_stats.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number_of(std::string_view text) {
  if (text.starts_with("max")) {
    return no_limit;
  }
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// The files of one cgroup. A missing file (no controller, an older kernel, or no cgroup any more)
/// has no text.
class Files {
 public:
  Files(int directory, const std::string& path) : directory_(directory), path_(path) {}

  std::optional<std::string> text(const std::string& file) const {
    const Fd fd = open_or_none(directory_, file.c_str(), O_RDONLY);
    if (!fd && is_absence(errno)) {
      return std::nullopt;
    }
    if (!fd) {
      throw_errno("open", path_ + "/" + file);
    }
    try {
      return read_all(fd.get(), file);
    } catch (const Error& error) {
      // The kernel may have been booted without pressure accounting, or the cgroup has just been
      // removed.
      if (is_absence(error.errnum())) {
        return std::nullopt;
      }
      throw;
    }
  }

  std::optional<std::uint64_t> number(const std::string& file) const {
    const auto found = text(file);
    return found ? std::optional(number_of(*found)) : std::nullopt;
  }

  /// Calls `visit(key, value)` for each line "KEY VALUE".
  template <typename Visit>
  void each_key(const std::string& file, Visit visit) const {
    const auto found = text(file);
    for_each_part(found.value_or(""), '\n', [&](std::string_view line) {
      const std::size_t blank = std::min(line.find(' '), line.size());
      visit(line.substr(0, blank), line.substr(std::min(blank + 1, line.size())));
      return true;
    });
  }

  std::vector<std::string> names() const {
    Fd list = open_file(directory_, ".", O_RDONLY | O_DIRECTORY);
    DIR* const stream = fdopendir(list.get());
    if (stream == nullptr) {
      throw_errno("fdopendir", path_);
    }
    list.release();
    std::vector<std::string> names;
    while (const dirent* entry = readdir(stream)) {
      names.emplace_back(entry->d_name);
    }
    closedir(stream);
    return names;
  }

 private:
  static bool is_absence(int errnum) {
    return errnum == ENOENT || errnum == ENODEV || errnum == EOPNOTSUPP;
  }

  int directory_;
  const std::string& path_;
};

/// Returns "12.34" as 1234.
std::uint32_t hundredths(std::string_view text) {
  const std::size_t dot = std::min(text.find('.'), text.size());
  std::string_view fraction = text.substr(std::min(dot + 1, text.size()));
  const auto digit = [&fraction](std::size_t at) {
    return at < fraction.size() ? static_cast<std::uint32_t>(fraction[at] - '0') : 0;
  };
  return static_cast<std::uint32_t>(number_of(text.substr(0, dot))) * 100 + digit(0) * 10 +
         digit(1);
}

/// Parses lines such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=0".
std::optional<Pressure> read_pressure(const Files& files, const std::string& file) {
  std::optional<Pressure> pressure;
  files.each_key(file, [&pressure](std::string_view kind, std::string_view values) {
    if (!pressure) {
      pressure.emplace();
    }
    PressureTimes& times = kind == "full" ? pressure->full : pressure->some;
    for_each_part(values, ' ', [&times](std::string_view pair) {
      const std::size_t equals = std::min(pair.find('='), pair.size() - 1);
      const std::string_view key = pair.substr(0, equals);
      const std::string_view value = pair.substr(equals + 1);
      if (key == "avg10") {
        times.avg10 = hundredths(value);
      } else if (key == "avg60") {
        times.avg60 = hundredths(value);
      } else if (key == "avg300") {
        times.avg300 = hundredths(value);
      } else if (key == "total") {
        times.total = number_of(value);
      }
      return true;
    });
  });
  return pressure;
}

CpuStats read_cpu_times(const Files& files) {
  CpuStats cpu;
  files.each_key("cpu.stat", [&cpu](std::string_view key, std::string_view value) {
    constexpr std::uint64_t nanoseconds = 1000;
    const std::uint64_t number = number_of(value);
    if (key == "usage_usec") {
      cpu.total = number * nanoseconds;
    } else if (key == "user_usec") {
      cpu.user = number * nanoseconds;
    } else if (key == "system_usec") {
      cpu.kernel = number * nanoseconds;
    } else if (key == "nr_periods") {
      cpu.periods = number;
    } else if (key == "nr_throttled") {
      cpu.throttled_periods = number;
    } else if (key == "throttled_usec") {
      cpu.throttled_time = number * nanoseconds;
    }
  });
  return cpu;
}

CpuStats read_cpu(const Files& files) {
  CpuStats cpu = read_cpu_times(files);
  cpu.pressure = read_pressure(files, "cpu.pressure");
  return cpu;
}

/// Parses a list such as "0-3,7".
std::vector<std::uint16_t> read_list(const Files& files, const std::string& file) {
  std::string list = files.text(file).value_or("");
  std::replace(list.begin(), list.end(), '\n', ',');
  std::vector<std::uint16_t> numbers;
  for_each_part(list, ',', [&numbers](std::string_view range) {
    const std::size_t dash = range.find('-');
    constexpr std::uint64_t max_number = std::numeric_limits<std::uint16_t>::max();
    const std::uint64_t first = number_of(range);
    const std::uint64_t last =
        std::min(dash == range.npos ? first : number_of(range.substr(dash + 1)), max_number);
    for (std::uint64_t number = first; number <= last && numbers.size() <= max_number; ++number) {
      numbers.push_back(static_cast<std::uint16_t>(number));
    }
    return true;
  });
  return numbers;
}

MemoryUse read_use(const Files& files, const std::string& controller) {
  MemoryUse use;
  use.usage = files.number(controller + ".current").value_or(0);
  use.limit = files.number(controller + ".max").value_or(0);
  use.max = files.number(controller + ".peak").value_or(0);
  return use;
}

MemoryStats read_memory(const Files& files) {
  MemoryStats memory;
  files.each_key("memory.stat", [&memory](std::string_view key, std::string_view value) {
    memory.raw.emplace_back(key, number_of(value));
    if (key == "file") {
      memory.cache = memory.raw.back().second;
    }
  });
  std::sort(memory.raw.begin(), memory.raw.end());
  memory.usage = read_use(files, "memory");
  memory.swap = read_use(files, "memory.swap");
  memory.swap.usage += memory.usage.usage;
  if (memory.swap.limit != no_limit) {
    memory.swap.limit =
        memory.usage.limit == no_limit ? no_limit : memory.swap.limit + memory.usage.limit;
  }
  // The peak of the sum is not the sum of the peaks.
  memory.swap.max = 0;
  memory.pressure = read_pressure(files, "memory.pressure");
  return memory;
}

/// Parses lines such as "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
IoStats read_io(const Files& files) {
  IoStats io;
  files.each_key("io.stat", [&io](std::string_view device, std::string_view counts) {
    const std::size_t colon = device.find(':');
    if (colon == device.npos) {
      return;
    }
    IoCount count;
    count.major = number_of(device);
    count.minor = number_of(device.substr(colon + 1));
    for_each_part(counts, ' ', [&](std::string_view pair) {
      const std::size_t equals = std::min(pair.find('='), pair.size() - 1);
      const std::string_view key = pair.substr(0, equals);
      count.value = number_of(pair.substr(equals + 1));
      count.write = key.starts_with('w');
      if (key == "rbytes" || key == "wbytes") {
        io.bytes.push_back(count);
      } else if (key == "rios" || key == "wios") {
        io.operations.push_back(count);
      }
      return true;
    });
  });
  io.pressure = read_pressure(files, "io.pressure");
  return io;
}

/// The page sizes are in the files' names: "hugetlb.2MB.current".
std::vector<HugetlbStats> read_hugetlb(const Files& files) {
  constexpr std::string_view prefix = "hugetlb.";
  constexpr std::string_view suffix = ".current";
  std::vector<HugetlbStats> all;
  for (const std::string& name : files.names()) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.ends_with(".rsvd.current")) {
      continue;
    }
    HugetlbStats stats;
    stats.page_size = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
    const std::string stem = std::string(prefix) + stats.page_size;
    stats.usage =
        files.number(stem + ".rsvd.current").value_or(files.number(stem + ".current").value_or(0));
    files.each_key(stem + ".events", [&stats](std::string_view key, std::string_view value) {
      stats.failures = key == "max" ? number_of(value) : stats.failures;
    });
    all.push_back(std::move(stats));
  }
  std::ranges::sort(all, {}, &HugetlbStats::page_size);
  return all;
}

}  // namespace

CgroupStats read_cgroup_stats(int directory, const std::string& path) {
  const Files files(directory, path);
  CgroupStats stats;
  stats.cpu = read_cpu(files);
  stats.cpus = read_list(files, "cpuset.cpus.effective");
  stats.mems = read_list(files, "cpuset.mems.effective");
  stats.memory = read_memory(files);
  stats.pids = files.number("pids.current").value_or(no_limit);
  const std::uint64_t limit = files.number("pids.max").value_or(no_limit);
  stats.pids_limit = limit == no_limit ? 0 : limit;
  stats.io = read_io(files);
  stats.hugetlb = read_hugetlb(files);
  return stats;
}

CgroupStats Cgroup::stats() const {
  CgroupStats stats = read_cgroup_stats(required_fd(), shown_path());
  if (stats.pids == no_limit) {
    stats.pids = processes().size();
  }
  return stats;
}

CgroupTotals Cgroup::totals() const {
  const int directory = required_fd();
  const std::string shown = shown_path();
  const Files files(directory, shown);
  CgroupTotals totals;
  totals.cpu = read_cpu_times(files);
  totals.peak_memory = files.number("memory.peak");
  files.each_key("memory.events", [&totals](std::string_view key, std::string_view value) {
    if (key == "oom_kill") {
      totals.oom_kills = number_of(value);
    }
  });
  return totals;
}

}  // namespace tare
