// crun's mount option "idmap=uids=0-1-10#10-11-10;gids=0-100-10": the mapping of an id-mapped
// mount. Each range consists of an id in the file system, the id on the host, and the count. With
// "@" before a range, the second id is one of the container's user namespace.
#include <array>
#include <charconv>
#include <optional>

#include "spec/sections.h"
#include "tare/error.h"

namespace tare {
namespace {

std::vector<std::string_view> split(std::string_view text, char between) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(between);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

/// Returns the host's id for a container id; none if no mapping covers the whole range of `size`.
std::optional<std::uint32_t> on_host(const std::vector<IdMapping>& mappings, std::uint32_t id,
                                     std::uint32_t size) {
  for (const IdMapping& mapping : mappings) {
    if (id >= mapping.container_id && size <= mapping.size &&
        id - mapping.container_id <= mapping.size - size) {
      return mapping.host_id + (id - mapping.container_id);
    }
  }
  return std::nullopt;
}

/// Returns none if the text is malformed.
std::optional<IdMapping> range(std::string_view text, const std::vector<IdMapping>& container) {
  const bool relative = text.starts_with('@');
  const std::vector<std::string_view> words = split(text.substr(relative ? 1 : 0), '-');
  std::array<std::uint32_t, 3> numbers{};
  if (words.size() != numbers.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const char* end = words[i].data() + words[i].size();
    const auto [rest, error] = std::from_chars(words[i].data(), end, numbers[i]);
    if (error != std::errc() || rest != end || words[i].empty()) {
      return std::nullopt;
    }
  }
  IdMapping mapping;
  mapping.container_id = numbers[0];
  mapping.host_id = numbers[1];
  mapping.size = numbers[2];
  if (relative) {
    const std::optional<std::uint32_t> host = on_host(container, numbers[1], numbers[2]);
    if (!host) {
      return std::nullopt;
    }
    mapping.host_id = *host;
  }
  return mapping;
}

/// Returns false if the text is not a mapping.
bool read_mapping(std::string_view text, const Linux& config, Mount& mount) {
  for (const std::string_view list : split(text, ';')) {
    const bool uids = list.starts_with("uids=");
    if (!uids && !list.starts_with("gids=")) {
      return false;
    }
    std::vector<IdMapping>& mappings = uids ? mount.uid_mappings : mount.gid_mappings;
    for (const std::string_view one : split(list.substr(list.find('=') + 1), '#')) {
      const auto mapping = range(one, uids ? config.uid_mappings : config.gid_mappings);
      if (!mapping) {
        return false;
      }
      mappings.push_back(*mapping);
    }
  }
  return true;
}

}  // namespace

void read_idmap_options(Spec& spec, const std::string& document, const std::string& list) {
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    Mount& mount = spec.mounts[i];
    for (std::size_t j = 0; j < mount.options.size(); ++j) {
      std::string& option = mount.options[j];
      const std::size_t equals = option.find('=');
      const std::string word = option.substr(0, equals);
      if (equals == std::string::npos || (word != "idmap" && word != "ridmap")) {
        continue;
      }
      const std::string path =
          list + "[" + std::to_string(i) + "].options[" + std::to_string(j) + "]";
      const bool has_mappings = !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
      if (has_mappings ||
          !read_mapping(std::string_view(option).substr(equals + 1), spec.linux_, mount)) {
        throw Error(
            ErrorKind::invalid_config,
            document + ": " + path + ": \"" + option + "\": " +
                (has_mappings ? "the mount has uidMappings and gidMappings; remove one of the two"
                              : "expected a mapping such as "
                                "\"uids=0-1-10#10-11-10;gids=0-100-10\"; after \"@\" the second "
                                "number is an id of linux.uidMappings and linux.gidMappings"))
            .with_path(path);
      }
      option = word;
    }
  }
}

}  // namespace tare
