#include "tare/spec.h"

#include <algorithm>
#include <cstddef>

#include "json/fields.h"
#include "json/json.h"
#include "spec/sections.h"
#include "tare/error.h"

namespace tare {

using json::Field;
using json::read_fields;
using json::read_member;
using json::required;

namespace {

/// Three orders of magnitude more than any engine writes. The kernel would not accept the result
/// anyway.
constexpr std::size_t text_limit = std::size_t{16} << 20;

constexpr Field<Box> box_fields[] = {
    {"height", read_member<&Box::height>, required},
    {"width", read_member<&Box::width>, required},
};

constexpr Field<User> user_fields[] = {
    {"uid", read_member<&User::uid>},
    {"gid", read_member<&User::gid>},
    {"umask", read_member<&User::umask>},
    {"additionalGids", read_member<&User::additional_gids>},
};

void read_rlimit_type(Rlimit& rlimit, const json::Value& value) {
  const std::optional<int> resource = rlimit_number(value.as_string());
  if (!resource) {
    json::fail_unknown(value, "resource limit", rlimit_names());
  }
  rlimit.resource = *resource;
}

constexpr Field<Rlimit> rlimit_fields[] = {
    {"type", read_rlimit_type, required},
    {"soft", read_member<&Rlimit::soft>, required},
    {"hard", read_member<&Rlimit::hard>, required},
};

constexpr Field<Mount> mount_fields[] = {
    {"destination", read_member<&Mount::destination>, required},
    {"type", read_member<&Mount::type>},
    {"source", read_member<&Mount::source>},
    {"options", read_member<&Mount::options>},
    {"uidMappings", read_member<&Mount::uid_mappings>},
    {"gidMappings", read_member<&Mount::gid_mappings>},
};

constexpr Field<Root> root_fields[] = {
    {"path", read_member<&Root::path>, required},
    {"readonly", read_member<&Root::readonly>},
};

constexpr Field<Hook> hook_fields[] = {
    {"path", read_member<&Hook::path>, required},
    {"args", read_member<&Hook::args>},
    {"env", read_member<&Hook::env>},
    {"timeout", read_member<&Hook::timeout>},
};

constexpr Field<Hooks> hooks_fields[] = {
    {"prestart", read_member<&Hooks::prestart>},
    {"createRuntime", read_member<&Hooks::create_runtime>},
    {"createContainer", read_member<&Hooks::create_container>},
    {"startContainer", read_member<&Hooks::start_container>},
    {"poststart", read_member<&Hooks::poststart>},
    {"poststop", read_member<&Hooks::poststop>},
};

/// "CAP_CHOWN, CAP_KILL".
std::string names_of(std::uint64_t set) {
  std::string names;
  for (int number = 0; number < 64; ++number) {
    if ((set >> number & 1) != 0) {
      names.append(names.empty() ? "" : ", ").append(capability_name(number));
    }
  }
  return names;
}

/// Removes capabilities from `set` that are not in `allowed`, with a warning: the spec requires
/// that capabilities that cannot be granted are not an error, and the kernel would refuse the whole
/// set because of one of them.
void restrict_set(std::uint64_t& set, std::uint64_t allowed, std::string_view reason,
                  const std::string& path, Process& process) {
  if (const std::uint64_t excess = set & ~allowed; excess != 0) {
    set &= allowed;
    process.warnings.push_back(path + ": ignoring " + names_of(excess) + ", which " +
                               std::string(reason));
  }
}

/// Uses runc's wording, which its users search for.
void drop_ambient(Capabilities& sets, const std::string& path, Process& process) {
  for (int number = 0; number < 64; ++number) {
    const std::uint64_t bit = std::uint64_t{1} << number;
    if ((sets.ambient & bit & ~(sets.permitted & sets.inheritable)) != 0) {
      sets.ambient &= ~bit;
      process.warnings.push_back(
          path + ": can't raise ambient capability " + capability_name(number) + ": the " +
          ((sets.permitted & bit) == 0 ? "permitted" : "inheritable") + " set lacks it");
    }
  }
}

/// Reads the five sets. Omits unknown names, with one warning for all sets.
void read_capabilities(Process& process, const json::Value& value) {
  Capabilities& sets = process.capabilities.emplace();
  std::vector<std::string_view> unknown;
  const auto read_set = [&unknown](std::uint64_t& set, const json::Value& names) {
    json::check_count(names);
    names.for_each_element([&](const json::Value& element) {
      const std::string_view name = element.as_string();
      if (const std::optional<int> number = capability_number(name)) {
        set |= std::uint64_t{1} << *number;
      } else if (std::find(unknown.begin(), unknown.end(), name) == unknown.end()) {
        unknown.push_back(name);
      }
    });
  };
  const std::pair<std::string_view, std::uint64_t Capabilities::*> fields[] = {
      {"bounding", &Capabilities::bounding},       {"effective", &Capabilities::effective},
      {"inheritable", &Capabilities::inheritable}, {"permitted", &Capabilities::permitted},
      {"ambient", &Capabilities::ambient},
  };
  value.for_each_member([&](std::string_view key, const json::Value& member) {
    for (const auto& [name, set] : fields) {
      if (name == key && !member.is_null()) {
        read_set(sets.*set, member);
      }
    }
  });

  const std::string path = unknown.empty() ? "" : value.path();
  if (!unknown.empty()) {
    json::Writer list;
    list.begin_array();
    for (const std::string_view name : unknown) {
      list.string(name);
    }
    list.end_array();
    process.warnings.push_back(path +
                               ": ignoring unknown or unavailable capabilities: " + list.take());
  }
  if ((sets.effective & ~sets.permitted) != 0 ||
      (sets.ambient & ~(sets.permitted & sets.inheritable)) != 0 ||
      (sets.inheritable & ~sets.bounding) != 0) {
    const std::string base = value.path();
    // capset(2): a process may add only capabilities of its bounding set to its inheritable set,
    // whatever its privileges.
    restrict_set(sets.inheritable, sets.bounding, "the bounding set lacks", base + ".inheritable",
                 process);
    restrict_set(sets.effective, sets.permitted, "the permitted set lacks", base + ".effective",
                 process);
    drop_ambient(sets, base + ".ambient", process);
  }
}

constexpr Field<Process> process_fields[] = {
    {"terminal", read_member<&Process::terminal>},
    {"consoleSize", read_member<&Process::console_size>},
    {"user", read_member<&Process::user>},
    {"args", read_member<&Process::args>},
    {"env", read_member<&Process::env>},
    {"cwd", read_member<&Process::cwd>},
    {"capabilities", read_capabilities},
    {"rlimits", read_member<&Process::rlimits>},
    {"noNewPrivileges", read_member<&Process::no_new_privileges>},
    {"apparmorProfile", read_member<&Process::apparmor_profile>},
    {"oomScoreAdj", read_member<&Process::oom_score_adj>},
    {"selinuxLabel", read_member<&Process::selinux_label>},
    {"scheduler", read_member<&Process::scheduler>},
    {"ioPriority", read_member<&Process::io_priority>},
    {"execCPUAffinity", read_member<&Process::exec_cpu_affinity>},
};

/// Old engines wrote relative destinations; by the spec they are relative to "/".
void read_mounts(Spec& spec, const json::Value& value) {
  json::read(spec.mounts, value);
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    std::string& destination = spec.mounts[i].destination;
    if (!destination.empty() && destination.front() != '/') {
      spec.warnings.push_back(value.path() + "[" + std::to_string(i) + "].destination: \"" +
                              destination + "\" is relative, which is deprecated; taking /" +
                              destination);
      destination.insert(0, "/");
    }
  }
}

constexpr Field<Spec> spec_fields[] = {
    {"ociVersion", read_member<&Spec::oci_version>, required},
    {"process", read_member<&Spec::process>},
    {"root", read_member<&Spec::root>},
    {"hostname", read_member<&Spec::hostname>},
    {"domainname", read_member<&Spec::domainname>},
    {"mounts", read_mounts},
    {"hooks", read_member<&Spec::hooks>},
    {"annotations", read_member<&Spec::annotations>},
    {"linux", read_member<&Spec::linux_>},
};

}  // namespace

static void read(Box& box, const json::Value& value) { read_fields(box, value, box_fields); }
static void read(User& user, const json::Value& value) { read_fields(user, value, user_fields); }
static void read(Root& root, const json::Value& value) { read_fields(root, value, root_fields); }
static void read(Hook& hook, const json::Value& value) { read_fields(hook, value, hook_fields); }
static void read(Hooks& hooks, const json::Value& value) {
  read_fields(hooks, value, hooks_fields);
}
static void read(Mount& mount, const json::Value& value) {
  read_fields(mount, value, mount_fields);
}
static void read(Rlimit& rlimit, const json::Value& value) {
  read_fields(rlimit, value, rlimit_fields);
}
static void read(Process& process, const json::Value& value) {
  read_fields(process, value, process_fields);
}

void check_text_size(const std::string& text, const std::string& name) {
  if (text.size() > text_limit) {
    throw Error(ErrorKind::invalid_config, name + ": " + std::to_string(text.size()) +
                                               " bytes long; the limit is " +
                                               std::to_string(text_limit));
  }
}

Spec parse_spec(std::string text, const std::string& name) {
  check_text_size(text, name);
  const json::Document document(std::move(text), name);
  Spec spec;
  read_fields(spec, document.root(), spec_fields);
  read_annotations(spec, name);
  read_idmap_options(spec, name);
  if (spec.process) {
    std::vector<std::string>& warnings = spec.process->warnings;
    spec.warnings.insert(spec.warnings.end(), warnings.begin(), warnings.end());
    warnings.clear();
  }
  return spec;
}

std::vector<Mount> parse_mounts(std::string text, const std::string& name, const Spec& container) {
  check_text_size(text, name);
  const json::Document document(std::move(text), name);
  Spec spec;
  read_mounts(spec, document.root());
  spec.linux_.uid_mappings = container.linux_.uid_mappings;
  spec.linux_.gid_mappings = container.linux_.gid_mappings;
  read_idmap_options(spec, name, "");
  return spec.mounts;
}

Process parse_process(std::string text, const std::string& name) {
  check_text_size(text, name);
  const json::Document document(std::move(text), name);
  Process process;
  read(process, document.root());
  return process;
}

bool Spec::mounts_root() const {
  if (mounts.empty() || !mounts.front().destination.starts_with('/')) {
    return false;
  }
  const std::string_view path = mounts.front().destination;
  std::size_t depth = 0;
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    if (name == "..") {
      depth -= depth > 0 ? 1 : 0;
    } else if (!name.empty() && name != ".") {
      ++depth;
    }
    begin = end + 1;
  }
  return depth == 0;
}

const Namespace* Spec::find_namespace(NamespaceType type) const noexcept {
  for (const Namespace& candidate : linux_.namespaces) {
    if (candidate.type == type) {
      return &candidate;
    }
  }
  return nullptr;
}

std::string ProcessSource::path(std::string_view field) const {
  for (const auto& [name, other] : elsewhere) {
    const std::string_view rest = field.substr(std::min(name.size(), field.size()));
    if (field.starts_with(name) && (rest.empty() || rest[0] == '.' || rest[0] == '[')) {
      return other.starts_with('-') ? other : other + std::string(rest);
    }
  }
  return document + ": " + prefix + std::string(field);
}

bool is_implemented(std::string_view field) {
  constexpr std::string_view mounts = "mounts.";
  constexpr std::string_view linux_ = "linux.";
  if (field.starts_with(mounts)) {
    return json::reads(mount_fields, field.substr(mounts.size()));
  }
  return field.starts_with(linux_) && reads_linux(field.substr(linux_.size()));
}

std::vector<std::string> hook_names() {
  std::vector<std::string> names;
  for (const Field<Hooks>& field : hooks_fields) {
    names.emplace_back(field.name);
  }
  return names;
}

}  // namespace tare
