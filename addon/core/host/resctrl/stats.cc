// The settings and the usage of a resctrl group, for `events`.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/resctrl/resctrl.h"
#include "host/resctrl/text.h"
#include "json/json.h"
#include "tare/fd.h"

namespace tare {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  const std::string text = read_file_if_exists(AT_FDCWD, path).value_or("");
  const std::string_view digits = trimmed(text);
  std::uint64_t value = 0;
  // Monitoring files contain "Unavailable" or "Error" where the hardware has no value.
  if (digits.empty() ||
      std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) {
    return std::nullopt;
  }
  return value;
}

/// Writes the numbers of info/RESOURCE; nothing where the processor lacks the resource.
void write_info(json::Writer& writer, std::string_view key, const std::string& directory,
                std::initializer_list<const char*> numbers) {
  if (access(directory.c_str(), F_OK) < 0) {
    return;
  }
  writer.key(key).begin_object();
  if (const auto mask = read_file_if_exists(AT_FDCWD, directory + "/cbm_mask")) {
    writer.key("cbm_mask").string(trimmed(*mask));
  }
  for (const char* name : numbers) {
    if (const auto value = read_number(directory + "/" + name)) {
      writer.key(name).number_unsigned(*value);
    }
  }
  writer.end_object();
}

/// Returns the trimmed lines of a schemata file.
std::vector<std::string> schemata_of(const std::string& group) {
  const auto text = read_file_if_exists(AT_FDCWD, group + "/schemata");
  std::string_view rest = text.has_value() ? std::string_view(*text) : std::string_view();
  std::vector<std::string> lines;
  while (!rest.empty()) {
    const std::string_view line = trimmed(take_until(rest, '\n'));
    if (!line.empty()) {
      lines.emplace_back(line);
    }
  }
  return lines;
}

void write_line(json::Writer& writer, std::string_view key, const std::vector<std::string>& lines,
                std::string_view resource) {
  const auto found = std::ranges::find_if(
      lines, [=](const std::string& line) { return line.starts_with(resource); });
  if (found != lines.end()) {
    writer.key(key).string(*found);
  }
}

/// Returns the directories of the monitored domains: mon_data/mon_L3_00, ….
std::vector<std::string> monitored(const std::string& group) {
  const std::string directory = group + "/mon_data";
  const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(directory.c_str()), closedir);
  std::vector<std::string> paths;
  while (const dirent* entry = list ? readdir(list.get()) : nullptr) {
    if (std::string_view(entry->d_name).starts_with("mon_L3_")) {
      paths.push_back(directory + "/" + entry->d_name);
    }
  }
  std::ranges::sort(paths);
  return paths;
}

void write_monitored(json::Writer& writer, std::string_view key,
                     const std::vector<std::string>& domains,
                     std::initializer_list<const char*> files) {
  if (domains.empty() || access((domains.front() + "/" + *files.begin()).c_str(), F_OK) < 0) {
    return;
  }
  writer.key(key).begin_array();
  for (const std::string& domain : domains) {
    writer.begin_object();
    for (const char* file : files) {
      if (const auto value = read_number(domain + "/" + file)) {
        writer.key(file).number_unsigned(*value);
      }
    }
    writer.end_object();
  }
  writer.end_array();
}

}  // namespace

void RdtGroup::write_stats(json::Writer& writer) const {
  const std::vector<std::string> lines = schemata_of(path_);
  const std::vector<std::string> root_lines = schemata_of(root_);
  writer.begin_object();
  write_info(writer, "l3_cache_info", root_ + "/info/L3", {"min_cbm_bits", "num_closids"});
  write_line(writer, "l3_cache_schema_root", root_lines, "L3");
  write_line(writer, "l3_cache_schema", lines, "L3");
  write_info(writer, "mem_bw_info", root_ + "/info/MB",
             {"bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"});
  write_line(writer, "mem_bw_schema_root", root_lines, "MB");
  write_line(writer, "mem_bw_schema", lines, "MB");
  if (!lines.empty()) {
    writer.key("schemata").begin_array();
    for (const std::string& line : lines) {
      writer.string(line);
    }
    writer.end_array();
  }
  const std::vector<std::string> domains = monitored(monitor_.empty() ? path_ : monitor_);
  write_monitored(writer, "mbm_stats", domains, {"mbm_total_bytes", "mbm_local_bytes"});
  write_monitored(writer, "cmt_stats", domains, {"llc_occupancy"});
  writer.end_object();
}

}  // namespace tare
