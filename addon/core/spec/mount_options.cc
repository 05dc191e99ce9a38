// One table for the parser, for `tare features` and for printing.
#include "spec/mount_options.h"

#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>

namespace tare {
namespace {

enum class Kind : std::uint8_t {
  attribute_set,
  attribute_clear,
  propagation,
  member,  // sets a member of MountOptions
  recursive_bind,
  source_within,  // has a value
  id_mapped,
  file_system,  // a superblock flag, passed to fsconfig(2) under the same name; crun's recursive
                // variants mean the same, because a new file system has one mount
  nothing,
};

struct Option {
  std::string_view name;
  Kind kind;
  std::uint64_t flags = 0;
  bool recursive = false;
  bool MountOptions::* member = nullptr;
};

constexpr Option sets(std::string_view name, bool MountOptions::* member) {
  return {name, Kind::member, 0, false, member};
}

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

constexpr std::uint64_t atime = MOUNT_ATTR__ATIME;
// relatime is the absence of the other two; the mark distinguishes it from an absent option.
constexpr std::uint64_t relatime_mark = 1ULL << 63;

constexpr auto options = std::to_array<Option>({
    {"acl", Kind::file_system},
    {"async", Kind::file_system},
    {"atime", Kind::attribute_clear, MOUNT_ATTR_NOATIME},
    sets("bind", &MountOptions::bind),
    sets("copy-symlink", &MountOptions::copy_symlink),
    {"defaults", Kind::nothing},
    sets("dest-nofollow", &MountOptions::target_no_follow),
    {"dev", Kind::attribute_clear, MOUNT_ATTR_NODEV},
    {"diratime", Kind::attribute_clear, MOUNT_ATTR_NODIRATIME},
    {"dirsync", Kind::file_system},
    {"exec", Kind::attribute_clear, MOUNT_ATTR_NOEXEC},
    {"idmap", Kind::id_mapped, MOUNT_ATTR_IDMAP},
    {"iversion", Kind::file_system},
    {"lazytime", Kind::file_system},
    {"loud", Kind::nothing},
    {"mand", Kind::file_system},
    {"noacl", Kind::file_system},
    {"noatime", Kind::attribute_set, MOUNT_ATTR_NOATIME},
    {"nodev", Kind::attribute_set, MOUNT_ATTR_NODEV},
    {"nodiratime", Kind::attribute_set, MOUNT_ATTR_NODIRATIME},
    {"noexec", Kind::attribute_set, MOUNT_ATTR_NOEXEC},
    {"noiversion", Kind::nothing},
    {"nolazytime", Kind::file_system},
    {"nomand", Kind::file_system},
    {"norelatime", Kind::attribute_clear, relatime_mark},
    {"nostrictatime", Kind::attribute_clear, MOUNT_ATTR_STRICTATIME},
    {"nosuid", Kind::attribute_set, MOUNT_ATTR_NOSUID},
    {"nosymfollow", Kind::attribute_set, MOUNT_ATTR_NOSYMFOLLOW},
    {"private", Kind::propagation, MS_PRIVATE},
    {"rasync", Kind::file_system, 0, true},
    {"ratime", Kind::attribute_clear, MOUNT_ATTR_NOATIME, true},
    {"rbind", Kind::recursive_bind},
    {"rdev", Kind::attribute_clear, MOUNT_ATTR_NODEV, true},
    {"rdiratime", Kind::attribute_clear, MOUNT_ATTR_NODIRATIME, true},
    {"rdirsync", Kind::file_system, 0, true},
    {"relatime", Kind::attribute_set, relatime_mark},
    sets("remount", &MountOptions::remount),
    {"rexec", Kind::attribute_clear, MOUNT_ATTR_NOEXEC, true},
    {"ridmap", Kind::id_mapped, MOUNT_ATTR_IDMAP, true},
    {"rmand", Kind::file_system, 0, true},
    {"rnoatime", Kind::attribute_set, MOUNT_ATTR_NOATIME, true},
    {"rnodev", Kind::attribute_set, MOUNT_ATTR_NODEV, true},
    {"rnodiratime", Kind::attribute_set, MOUNT_ATTR_NODIRATIME, true},
    {"rnoexec", Kind::attribute_set, MOUNT_ATTR_NOEXEC, true},
    {"rnomand", Kind::file_system, 0, true},
    {"rnorelatime", Kind::attribute_clear, relatime_mark, true},
    {"rnostrictatime", Kind::attribute_clear, MOUNT_ATTR_STRICTATIME, true},
    {"rnosuid", Kind::attribute_set, MOUNT_ATTR_NOSUID, true},
    {"rnosymfollow", Kind::attribute_set, MOUNT_ATTR_NOSYMFOLLOW, true},
    {"ro", Kind::attribute_set, MOUNT_ATTR_RDONLY},
    {"rprivate", Kind::propagation, MS_PRIVATE | MS_REC},
    {"rrelatime", Kind::attribute_set, relatime_mark, true},
    {"rro", Kind::attribute_set, MOUNT_ATTR_RDONLY, true},
    {"rrw", Kind::attribute_clear, MOUNT_ATTR_RDONLY, true},
    {"rshared", Kind::propagation, MS_SHARED | MS_REC},
    {"rslave", Kind::propagation, MS_SLAVE | MS_REC},
    {"rstrictatime", Kind::attribute_set, MOUNT_ATTR_STRICTATIME, true},
    {"rsuid", Kind::attribute_clear, MOUNT_ATTR_NOSUID, true},
    {"rsymfollow", Kind::attribute_clear, MOUNT_ATTR_NOSYMFOLLOW, true},
    {"rsync", Kind::file_system, 0, true},
    {"runbindable", Kind::propagation, MS_UNBINDABLE | MS_REC},
    {"rw", Kind::attribute_clear, MOUNT_ATTR_RDONLY},
    {"shared", Kind::propagation, MS_SHARED},
    {"silent", Kind::nothing},
    {"slave", Kind::propagation, MS_SLAVE},
    sets("src-no-symlinks", &MountOptions::source_no_symlinks),
    sets("src-nofollow", &MountOptions::source_no_follow),
    {"src-within", Kind::source_within},
    {"strictatime", Kind::attribute_set, MOUNT_ATTR_STRICTATIME},
    {"suid", Kind::attribute_clear, MOUNT_ATTR_NOSUID},
    {"symfollow", Kind::attribute_clear, MOUNT_ATTR_NOSYMFOLLOW},
    {"sync", Kind::file_system},
    sets("tmpcopyup", &MountOptions::copy_up),
    {"unbindable", Kind::propagation, MS_UNBINDABLE},
});
static_assert(std::ranges::is_sorted(options, {}, &Option::name));

const Option* find_option(std::string_view name) {
  const auto* found = std::ranges::lower_bound(options, name, {}, &Option::name);
  return found != options.end() && found->name == name ? found : nullptr;
}

// Returns the name of the only option with a value; any other word is returned unchanged.
std::string_view name_of(std::string_view word) {
  constexpr std::string_view within = "src-within";
  return word.starts_with("src-within=") ? within : word;
}

// The atime options are mutually exclusive, so each clears the whole field (see mount_setattr(2)).
void set_attribute(const Option& option, std::uint64_t& set, std::uint64_t& clear) {
  const bool is_atime = (option.flags & (atime | relatime_mark)) != 0;
  const std::uint64_t flags = option.flags & ~relatime_mark;
  if (option.kind == Kind::attribute_set) {
    if (is_atime) {
      set &= ~atime;
      clear |= atime;
    } else {
      clear &= ~flags;
    }
    set |= flags;
  } else {
    set &= ~flags;
    clear |= is_atime ? atime : flags;
  }
}

void add_data(MountOptions& result, std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    result.data.emplace_back(text, "");
  } else {
    result.data.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
}

void apply(const Option& option, std::string_view word, MountOptions& result) {
  switch (option.kind) {
    case Kind::attribute_set:
      result.names_atime = result.names_atime ||
                           (!option.recursive &&
                            (option.flags & (atime | relatime_mark | MOUNT_ATTR_NODIRATIME)) != 0);
      [[fallthrough]];
    case Kind::attribute_clear:
      set_attribute(option, option.recursive ? result.recursive_set : result.set,
                    option.recursive ? result.recursive_clear : result.clear);
      break;
    case Kind::propagation:
      result.propagation = option.flags;
      break;
    case Kind::member:
      result.*option.member = true;
      break;
    case Kind::recursive_bind:
      result.bind = true;
      result.recursive = true;
      break;
    case Kind::source_within:
      result.source_within = word.substr(std::min(word.find('='), word.size() - 1) + 1);
      break;
    case Kind::id_mapped:
      result.id_mapped = true;
      result.id_mapped_recursively = option.recursive;
      break;
    case Kind::file_system:
      result.data.emplace_back(option.recursive ? word.substr(1) : word, "");
      break;
    case Kind::nothing:
      break;
  }
}

}  // namespace

MountOptions read_mount_options(const Mount& mount) {
  MountOptions result;
  result.bind = mount.type == "bind";
  result.id_mapped = !mount.uid_mappings.empty();
  for (const std::string& word : mount.options) {
    if (const Option* option = find_option(name_of(word))) {
      apply(*option, word, result);
    } else if (!word.empty()) {
      add_data(result, word);
    }
  }
  return result;
}

bool is_mount_option(std::string_view word) { return find_option(word) != nullptr; }

std::vector<std::string> mount_option_words() {
  std::vector<std::string> names;
  for (const Option& option : options) {
    names.emplace_back(option.name);
  }
  return names;
}

std::optional<std::uint64_t> propagation_flags(std::string_view word) {
  const Option* option = find_option(word);
  if (option == nullptr || option->kind != Kind::propagation) {
    return std::nullopt;
  }
  return option->flags;
}

std::string propagation_name(std::uint64_t flags) {
  for (const Option& option : options) {
    if (option.kind == Kind::propagation && option.flags == flags) {
      return std::string(option.name);
    }
  }
  return "propagation " + std::to_string(flags);
}

std::string attribute_names(std::uint64_t set, std::uint64_t clear, bool recursive) {
  std::string names;
  const auto append = [&names](std::string_view name) {
    if (!names.empty()) {
      names += ',';
    }
    names += name;
  };
  for (const Option& option : options) {
    if (option.recursive != recursive || (option.flags & relatime_mark) != 0 || option.flags == 0) {
      continue;
    }
    const bool is_atime = (option.flags & atime) != 0;
    const bool sets = option.kind == Kind::attribute_set || option.kind == Kind::id_mapped;
    if (sets && (set & option.flags) == option.flags) {
      append(option.name);
    } else if (option.kind == Kind::attribute_clear && !is_atime &&
               (clear & option.flags) == option.flags && (set & option.flags) == 0) {
      append(option.name);
    }
  }
  if ((clear & atime) != 0 && (set & atime) == 0) {
    append(recursive ? "rrelatime" : "relatime");
  }
  return names;
}

}  // namespace tare
