// crun's annotations, by which engines request features that the runtime-spec has no field for
// (crun(1), "Extensions to OCI"). Each is implemented; or refused, if ignoring it would be less
// safe than not starting; or ignored with a warning.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "spec/sections.h"
#include "tare/error.h"

namespace tare {
namespace {

constexpr std::string_view prefix = "run.oci.";

struct Annotation {
  const std::string& key;
  const std::string& value;
  const std::string& document;

  std::string path() const { return "annotations[\"" + key + "\"]"; }
  Error error(ErrorKind kind, const std::string& message) const {
    Error error(kind, document + ": " + path() + ": " + message);
    error.with_path(path());
    return error;
  }
  [[noreturn]] void refuse(const std::string& message) const {
    throw error(ErrorKind::invalid_config, message);
  }
  [[noreturn]] void refuse_unsupported(const std::string& message) const {
    throw error(ErrorKind::unsupported, message);
  }
  void warn(Spec& spec, const std::string& message) const {
    spec.warnings.push_back(document + ": " + path() + ": " + message);
  }
  const std::string& absolute() const {
    if (!value.starts_with('/')) {
      refuse("must be an absolute path, not \"" + value + "\"");
    }
    return value;
  }
};

template <typename Set>
void each_hook(Hooks& hooks, Set set) {
  for (std::vector<Hook>* list : {&hooks.prestart, &hooks.create_runtime, &hooks.create_container,
                                  &hooks.start_container, &hooks.poststart, &hooks.poststop}) {
    std::ranges::for_each(*list, set);
  }
}

void read_hooks_stdout(Spec& spec, const Annotation& annotation) {
  const std::string& file = annotation.absolute();
  each_hook(spec.hooks, [&](Hook& hook) { hook.stdout_file = file; });
}

void read_hooks_stderr(Spec& spec, const Annotation& annotation) {
  const std::string& file = annotation.absolute();
  each_hook(spec.hooks, [&](Hook& hook) { hook.stderr_file = file; });
}

void read_keep_groups(Spec& spec, const Annotation& annotation) {
  spec.keeps_groups = annotation.value != "0";
  if (spec.keeps_groups && spec.process && !spec.process->user.additional_gids.empty()) {
    annotation.warn(spec, "the groups of process.user.additionalGids are not set");
  }
}

void read_mount_context(Spec& spec, const Annotation& annotation) {
  constexpr std::array words = {"context", "fscontext", "defcontext", "rootcontext"};
  if (std::ranges::find(words, annotation.value) == words.end()) {
    annotation.refuse("invalid mount option \"" + annotation.value +
                      "\"; use context, fscontext, defcontext or rootcontext");
  }
  spec.linux_.mount_context = annotation.value;
}

void read_pidfd_receiver(Spec& spec, const Annotation& annotation) {
  spec.pidfd_receiver = annotation.value;
}

void read_seccomp_receiver(Spec& spec, const Annotation& annotation) {
  const std::string& path = annotation.absolute();
  if (!spec.linux_.seccomp) {
    annotation.warn(spec, "linux.seccomp is not set, so no agent is called");
  } else if (!spec.linux_.seccomp->listener_path.empty()) {
    annotation.warn(spec, "linux.seccomp.listenerPath takes precedence");
  } else {
    spec.linux_.seccomp->listener_path = path;
  }
}

void read_fail_unknown(Spec& spec, const Annotation&) {
  if (spec.linux_.seccomp) {
    spec.linux_.seccomp->refuses_unknown = true;
  }
}

/// Returns the path of a cgroup below the container's, without slashes at its ends.
std::string sub_cgroup(const Annotation& annotation) {
  std::string_view rest = annotation.value;
  while (rest.starts_with('/')) {
    rest.remove_prefix(1);
  }
  while (rest.ends_with('/')) {
    rest.remove_suffix(1);
  }
  std::string path(rest);
  for (std::size_t at = 0; at <= path.size() && !path.empty();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, end - at);
    if (name.empty() || name == "." || name == "..") {
      annotation.refuse("\"" + annotation.value +
                        "\" does not name a cgroup below the container's");
    }
    at = end + 1;
  }
  return path;
}

void read_subgroup(Spec& spec, const Annotation& annotation) {
  spec.linux_.systemd_subgroup = sub_cgroup(annotation);
}

void read_delegate_cgroup(Spec& spec, const Annotation& annotation) {
  spec.linux_.delegate_cgroup = sub_cgroup(annotation);
}

template <typename T>
bool parse(std::string_view word, T& number) {
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, number);
  return error == std::errc() && rest == end && !word.empty();
}

/// Parses a line of timens_offsets: see time_namespaces(7).
std::optional<TimeOffset> time_offset(std::string_view line) {
  std::array<std::string_view, 3> words;
  for (std::string_view& word : words) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const std::size_t end = std::min(line.find(' '), line.size());
    word = line.substr(0, end);
    line.remove_prefix(end);
  }
  TimeOffset offset;
  if (words[0] == "monotonic" || words[0] == "1") {
    offset.clock = "monotonic";
  } else if (words[0] == "boottime" || words[0] == "7") {
    offset.clock = "boottime";
  } else {
    return std::nullopt;
  }
  if (!parse(words[1], offset.secs) || !parse(words[2], offset.nanosecs) ||
      line.find_first_not_of(' ') != std::string_view::npos) {
    return std::nullopt;
  }
  return offset;
}

void read_time_offsets(Spec& spec, const Annotation& annotation) {
  std::string_view text = annotation.value;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::optional<TimeOffset> offset = time_offset(text.substr(0, end));
    if (!offset) {
      annotation.refuse("invalid time offset \"" + annotation.value +
                        "\"; write a clock (monotonic or boottime), seconds and nanoseconds");
    }
    std::vector<TimeOffset>& offsets = spec.linux_.time_offsets;
    std::erase_if(offsets, [&](const TimeOffset& one) { return one.clock == offset->clock; });
    offsets.push_back(*offset);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void refuse_bpf_data(Spec&, const Annotation& annotation) {
  annotation.refuse_unsupported(
      "compiled filters are not supported; describe the filter in linux.seccomp");
}

void refuse_plugins(Spec&, const Annotation& annotation) {
  annotation.refuse_unsupported(
      "plugins for seccomp are not supported; let an agent listen at linux.seccomp.listenerPath");
}

void refuse_handler(Spec&, const Annotation& annotation) {
  annotation.refuse_unsupported("unknown handler \"" + annotation.value +
                                "\"; remove the annotation, or run the container with crun");
}

void refuse_cgroup_v1(Spec&, const Annotation& annotation) {
  annotation.refuse_unsupported(
      "cgroup v1 is not mounted in containers; remove the annotation, and use a systemd "
      "that has cgroup v2 (230 or newer)");
}

struct Reader {
  std::string_view name;
  void (*read)(Spec&, const Annotation&);
};

constexpr Reader readers[] = {
    {"delegate-cgroup", read_delegate_cgroup},
    {"handler", refuse_handler},
    {"hooks.stderr", read_hooks_stderr},
    {"hooks.stdout", read_hooks_stdout},
    {"keep_original_groups", read_keep_groups},
    {"mount_context_type", read_mount_context},
    {"pidfd_receiver", read_pidfd_receiver},
    {"seccomp.plugins", refuse_plugins},
    {"seccomp.receiver", read_seccomp_receiver},
    {"seccomp_bpf_data", refuse_bpf_data},
    {"seccomp_fail_unknown_syscall", read_fail_unknown},
    {"systemd.force_cgroup_v1", refuse_cgroup_v1},
    {"systemd.subgroup", read_subgroup},
    {"timens_offset", read_time_offsets},
};

}  // namespace

void read_annotations(Spec& spec, const std::string& document) {
  for (auto at = spec.annotations.lower_bound(std::string(prefix));
       at != spec.annotations.end() && at->first.starts_with(prefix); ++at) {
    const Annotation annotation{at->first, at->second, document};
    const auto* reader = std::ranges::find(
        readers, std::string_view(annotation.key).substr(prefix.size()), &Reader::name);
    if (reader == std::end(readers)) {
      annotation.warn(spec, "unknown annotation, ignored");
    } else {
      reader->read(spec, annotation);
    }
  }
}

}  // namespace tare
