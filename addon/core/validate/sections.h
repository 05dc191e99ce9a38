/// \file
/// Shared by the sources of validate.h. Paths and messages are built only for problems.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tare/spec.h"
#include "tare/validate.h"

namespace tare {

class Problems {
 public:
  void add(std::string path, std::string message) {
    found_.push_back({std::move(path), std::move(message), false});
  }
  void add_unsupported(std::string path, std::string message) {
    found_.push_back({std::move(path), std::move(message), true});
  }
  std::vector<Problem> take() { return std::move(found_); }

 private:
  std::vector<Problem> found_;
};

/// Returns "LIST[INDEX]MEMBER".
std::string element(std::string_view list, std::size_t index, std::string_view member = {});
/// Returns "LIST["KEY"]", or "LIST.KEY" if KEY is a plain word.
std::string member(std::string_view object, std::string_view key);
/// Returns the text in double quotes, escaped as in JSON.
std::string quoted(std::string_view text);

inline bool is_absolute(std::string_view path) { return path.starts_with('/'); }
/// Adds a problem at `path` unless `value` is an absolute path.
void check_absolute(const std::string& value, std::string_view path, Problems& problems);

/// Checks the kernel's requirements for uid_map and gid_map, user_namespaces(7). `list` is their
/// JSON path.
void check_mappings(const std::vector<IdMapping>& mappings, const std::string& list,
                    Problems& problems);
/// Whether `id` is mapped in a user namespace with these mappings.
bool is_mapped(const std::vector<IdMapping>& mappings, std::uint32_t id);

void check_process(const Process& process, const Spec& spec, const std::string& prefix,
                   Problems& problems);
/// Checks scheduler, ioPriority, execCPUAffinity.
void check_scheduling(const Process& process, const std::string& prefix, Problems& problems);
void check_memory_policy(const MemoryPolicy& policy, Problems& problems);
void check_time_offsets(const Spec& spec, Problems& problems);
void check_mounts(const Spec& spec, Problems& problems);
/// Checks mounts that are to be added to a running container.
void check_further_mounts(const Spec& spec, Problems& problems);
void check_linux(const Spec& spec, Problems& problems);
void check_sysctl(const Spec& spec, Problems& problems);
void check_resources(const Resources& resources, Problems& problems);
void check_seccomp(const Seccomp& seccomp, Problems& problems);

}  // namespace tare
