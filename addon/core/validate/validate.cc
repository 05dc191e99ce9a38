#include "tare/validate.h"

#include <algorithm>

#include "json/json.h"
#include "tare/error.h"
#include "validate/sections.h"

namespace tare {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Removes a number without leading zeros from the front of `text`; returns false if there is none.
bool take_number(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  const auto length = static_cast<std::size_t>(end - text.begin());
  if (length == 0 || (length > 1 && text.front() == '0')) {
    return false;
  }
  text.remove_prefix(length);
  return true;
}

/// Whether `text` is dot-separated identifiers of letters, digits and hyphens.
bool are_identifiers(std::string_view text) {
  bool empty = true;
  for (const char c : text) {
    if (c == '.' ? empty : !is_digit(c) && !is_letter(c) && c != '-') {
      return false;
    }
    empty = c == '.';
  }
  return !empty;
}

/// Semantic Versioning 2.0.0: MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD].
bool is_semantic_version(std::string_view text) {
  for (int i = 0; i < 3; ++i) {
    if (i > 0) {
      if (!text.starts_with('.')) {
        return false;
      }
      text.remove_prefix(1);
    }
    if (!take_number(text)) {
      return false;
    }
  }
  const std::size_t plus = std::min(text.find('+'), text.size());
  const std::string_view prerelease = text.substr(0, plus);
  const std::string_view build = text.substr(plus);
  return (prerelease.empty() ||
          (prerelease.front() == '-' && are_identifiers(prerelease.substr(1)))) &&
         (build.empty() || are_identifiers(build.substr(1)));
}

void check_version(const Spec& spec, Problems& problems) {
  const std::string& version = spec.oci_version;
  if (!is_semantic_version(version)) {
    problems.add("ociVersion", "invalid version " + quoted(version) +
                                   "; write a semantic version such as \"1.3.0\"");
  } else if (!version.starts_with("1.")) {
    problems.add_unsupported(
        "ociVersion", version + ": unknown version of the runtime spec; tare implements 1.x");
  }
}

void check_names(const Spec& spec, Problems& problems) {
  // The size of a new_utsname field, uname(2), without its terminating NUL.
  constexpr std::size_t max_size = 64;
  const std::pair<const char*, const std::string*> names[] = {{"hostname", &spec.hostname},
                                                              {"domainname", &spec.domainname}};
  for (const auto& [name, value] : names) {
    if (value->empty()) {
      continue;
    }
    if (!spec.has_namespace(NamespaceType::uts)) {
      problems.add(name, std::string("unable to set ") + name +
                             " without a private UTS namespace; add {\"type\": \"uts\"} to "
                             "linux.namespaces, or remove " +
                             name);
    }
    if (value->size() > max_size) {
      problems.add(name, std::to_string(value->size()) + " bytes long; the kernel's limit is " +
                             std::to_string(max_size));
    }
  }
}

void check_hooks(const Spec& spec, Problems& problems) {
  const Hooks& hooks = spec.hooks;
  const std::pair<const char*, const std::vector<Hook>*> lists[] = {
      {"hooks.prestart", &hooks.prestart},
      {"hooks.createRuntime", &hooks.create_runtime},
      {"hooks.createContainer", &hooks.create_container},
      {"hooks.startContainer", &hooks.start_container},
      {"hooks.poststart", &hooks.poststart},
      {"hooks.poststop", &hooks.poststop},
  };
  for (const auto& [list, entries] : lists) {
    for (std::size_t i = 0; i < entries->size(); ++i) {
      const Hook& hook = (*entries)[i];
      if (!is_absolute(hook.path)) {
        check_absolute(hook.path, element(list, i, ".path"), problems);
      }
      if (hook.timeout && *hook.timeout <= 0) {
        problems.add(element(list, i, ".timeout"), "must be greater than 0 seconds, not " +
                                                       std::to_string(*hook.timeout) +
                                                       "; leave it out for no timeout");
      }
    }
  }
}

[[noreturn]] void throw_problem(const Problem& problem, const std::string& path) {
  Error error(problem.unsupported ? ErrorKind::unsupported : ErrorKind::invalid_config,
              path + ": " + problem.message);
  error.with_path(problem.path);
  throw error;
}

}  // namespace

std::string element(std::string_view list, std::size_t index, std::string_view member) {
  std::string path(list);
  return path.append("[").append(std::to_string(index)).append("]").append(member);
}

std::string member(std::string_view object, std::string_view key) {
  return std::string(object) + json::path_step(key, false);
}

std::string quoted(std::string_view text) {
  json::Writer writer;
  writer.string(text);
  return writer.take();
}

void check_absolute(const std::string& value, std::string_view path, Problems& problems) {
  if (value.empty()) {
    problems.add(std::string(path), "must not be empty; give an absolute path");
  } else if (!is_absolute(value)) {
    problems.add(std::string(path), "must be an absolute path, not " + quoted(value));
  }
}

bool is_mapped(const std::vector<IdMapping>& mappings, std::uint32_t id) {
  return std::any_of(mappings.begin(), mappings.end(), [id](const IdMapping& mapping) {
    return id >= mapping.container_id && id - mapping.container_id < mapping.size;
  });
}

std::vector<Problem> find_problems(const Spec& spec) {
  Problems problems;
  check_version(spec, problems);
  if (spec.root.path.empty()) {
    problems.add("root.path", "is missing; name the directory of the container's root filesystem");
  }
  if (spec.process) {
    check_process(*spec.process, spec, "process.", problems);
  }
  check_names(spec, problems);
  check_mounts(spec, problems);
  check_hooks(spec, problems);
  if (spec.annotations.contains("")) {
    problems.add("annotations", "a key is empty; name the annotation");
  }
  check_linux(spec, problems);
  return problems.take();
}

std::vector<Problem> find_process_problems(const Process& process, const Spec& spec) {
  Problems problems;
  check_process(process, spec, "", problems);
  return problems.take();
}

void validate(const Spec& spec, const std::string& name) {
  const std::vector<Problem> problems = find_problems(spec);
  if (!problems.empty()) {
    throw_problem(problems.front(), name + ": " + problems.front().path);
  }
}

void validate_process(const Process& process, const Spec& spec, const ProcessSource& source) {
  const std::vector<Problem> problems = find_process_problems(process, spec);
  if (!problems.empty()) {
    throw_problem(problems.front(), source.path(problems.front().path));
  }
}

void validate_resources(const Resources& resources, const std::string& name) {
  Problems problems;
  check_resources(resources, problems);
  for (Problem& problem : problems.take()) {
    problem.path.erase(0, std::string_view("linux.resources.").size());
    throw_problem(problem, name + ": " + problem.path);
  }
}

void validate_further_mounts(const Spec& spec, const std::string& name) {
  Problems problems;
  check_mounts(spec, problems);
  check_further_mounts(spec, problems);
  for (Problem& problem : problems.take()) {
    problem.path.erase(0, std::string_view("mounts").size());
    throw_problem(problem, name + (problem.path.empty() ? "" : ": ") + problem.path);
  }
}

void validate_id(const std::string& id) {
  constexpr std::size_t max_size = 1024;
  const auto allowed = [](char c) {
    return is_digit(c) || is_letter(c) || c == '_' || c == '+' || c == '.' || c == '-';
  };
  if (id.empty()) {
    throw Error(ErrorKind::invalid_argument, "container id cannot be empty");
  }
  if (id.size() > max_size || id == "." || id == ".." ||
      !std::all_of(id.begin(), id.end(), allowed)) {
    const std::string shown = id.size() > max_size ? quoted(id.substr(0, 60)) + "…" : quoted(id);
    throw Error(ErrorKind::invalid_argument,
                "invalid container ID format: " + shown +
                    ": use 1 to 1024 letters, digits, \"_\", \"+\", \".\" and \"-\", and neither "
                    "\".\" nor \"..\"");
  }
}

}  // namespace tare
