// The device filter: loaded into the kernel and attached to a cgroup; see bpf(2).

#include <linux/bpf.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cgroup/cgroup.h"
#include "tare/error.h"

namespace tare {

namespace {

int bpf(int command, union bpf_attr& attributes) noexcept {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

std::uint64_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

/// The name that bpftool(8) shows, which also tells tare's filters from others.
constexpr char program_name[] = "tare_devices";
static_assert(sizeof program_name <= BPF_OBJ_NAME_LEN);

Fd load_program(const std::string& program) noexcept {
  union bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = address(program.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(program.size() / sizeof(struct bpf_insn));
  // Only programs that call the kernel's GPL-only functions need a GPL license.
  attributes.license = address("Apache-2.0");
  std::memcpy(attributes.prog_name, program_name, sizeof program_name);
  // The verifier fails with EAGAIN if a signal arrives meanwhile.
  constexpr int attempts = 16;
  int loaded = -1;
  for (int i = 0; i < attempts && loaded < 0; ++i) {
    loaded = bpf(BPF_PROG_LOAD, attributes);
    if (loaded < 0 && errno != EAGAIN) {
      break;
    }
  }
  return Fd(loaded);
}

/// Raises RLIMIT_MEMLOCK to load the program: before Linux 5.11 programs count against that limit,
/// which is small by default, and loading fails with EPERM.
Fd load_program_with_memory(const std::string& program) noexcept {
  struct rlimit before = {};
  getrlimit(RLIMIT_MEMLOCK, &before);
  const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) {
    errno = EPERM;
    return Fd();
  }
  Fd loaded = load_program(program);
  const int saved = errno;
  setrlimit(RLIMIT_MEMLOCK, &before);
  errno = saved;
  return loaded;
}

/// Returns the filters attached directly to this cgroup. Filters that a security module hides from
/// this process are left out: an additional filter can only forbid more.
std::vector<Fd> attached_programs(int cgroup, const std::string& path) {
  // The kernel allows 64 (BPF_CGROUP_MAX_PROGS).
  std::array<std::uint32_t, 64> ids{};
  union bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.query.target_fd = static_cast<std::uint32_t>(cgroup);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = address(ids.data());
  attributes.query.prog_cnt = static_cast<std::uint32_t>(ids.size());
  if (bpf(BPF_PROG_QUERY, attributes) != 0) {
    throw_errno("bpf(BPF_PROG_QUERY)", path);
  }
  const std::uint32_t count = attributes.query.prog_cnt;
  std::vector<Fd> programs;
  for (std::uint32_t index = 0; index < count; ++index) {
    std::memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = ids[index];
    Fd program(bpf(BPF_PROG_GET_FD_BY_ID, attributes));
    if (program) {
      programs.push_back(std::move(program));
    } else if (errno != ENOENT && errno != EPERM && errno != EACCES) {
      throw_errno("bpf(BPF_PROG_GET_FD_BY_ID)", path);
    }
  }
  return programs;
}

bool is_ours(const Fd& program) noexcept {
  struct bpf_prog_info info = {};
  union bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.info.bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.info.info_len = sizeof info;
  attributes.info.info = address(&info);
  return bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) == 0 &&
         std::strncmp(info.name, program_name, sizeof info.name) == 0;
}

int attach(int cgroup, int program, int replaced) noexcept {
  union bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = static_cast<std::uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  // With this flag, filters above and below may be attached, and all of them must allow an access;
  // without it none may be attached below.
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (replaced >= 0) {
    attributes.attach_flags |= BPF_F_REPLACE;
    attributes.replace_bpf_fd = static_cast<std::uint32_t>(replaced);
  }
  return bpf(BPF_PROG_ATTACH, attributes);
}

int detach(int cgroup, int program) noexcept {
  union bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = static_cast<std::uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  return bpf(BPF_PROG_DETACH, attributes);
}

/// A program that the kernel has verified.
struct LoadedFilter {
  std::vector<DeviceRule> rules;
  Fd program;
};

/// Returns the loaded filter for `rules`. Returns null and sets errno to EPERM if this process may
/// load none.
std::shared_ptr<const LoadedFilter> load_filter(const std::vector<DeviceRule>& rules) {
  // The last filter is kept: a process that makes many containers mostly gives them the same rules,
  // and the kernel's verification is most of the cost.
  static std::mutex mutex;
  static auto& last = *new std::shared_ptr<const LoadedFilter>;  // used until the process ends
  {
    const std::lock_guard lock(mutex);
    if (last && last->rules == rules) {
      return last;
    }
  }
  const std::string code = device_filter_program(rules);
  Fd program = load_program(code);
  if (!program && errno == EPERM) {
    program = load_program_with_memory(code);
  }
  if (!program) {
    if (errno != EPERM) {
      throw_errno("bpf(BPF_PROG_LOAD)");
    }
    return nullptr;
  }
  auto loaded = std::make_shared<const LoadedFilter>(LoadedFilter{rules, std::move(program)});
  const std::lock_guard lock(mutex);
  last = loaded;
  return loaded;
}

/// Attaches `program` in place of the `old` programs; a single one is replaced atomically. Returns
/// false, with errno EPERM, if this process may not attach it.
bool attach_instead(int cgroup, const Fd& program, const std::vector<Fd>& old) {
  const int replaced = old.size() == 1 ? old.front().get() : -1;
  if (attach(cgroup, program.get(), replaced) != 0) {
    if (errno == EPERM) {
      return false;
    }
    throw_errno("bpf(BPF_PROG_ATTACH)");
  }
  for (const Fd& each : old) {
    if (replaced < 0 && detach(cgroup, each.get()) != 0 && errno != ENOENT) {
      throw_errno("bpf(BPF_PROG_DETACH)");
    }
  }
  return true;
}

}  // namespace

void Cgroup::attach_device_filter(const std::vector<DeviceRule>& rules,
                                  bool tolerate_permission_errors) {
  if (!dir_ && tolerate_permission_errors) {
    return;
  }
  const int cgroup = required_fd();
  const ErrorContext context("attach the device filter to", path_);
  const auto filter = load_filter(rules);
  if (!filter) {
    if (tolerate_permission_errors) {
      return;
    }
    throw_errno(EPERM, "bpf(BPF_PROG_LOAD)");
  }
  // A cgroup that was made for this container has no filter yet.
  const std::vector<Fd> old =
      made_ && !filtered_ ? std::vector<Fd>() : attached_programs(cgroup, shown_path());
  filtered_ = attach_instead(cgroup, filter->program, old);
  if (!filtered_ && !tolerate_permission_errors) {
    throw_errno(EPERM, "bpf(BPF_PROG_ATTACH)");
  }
}

void Cgroup::replace_device_filter(const std::vector<DeviceRule>& rules) const {
  const int cgroup = required_fd();
  const ErrorContext context("replace the device filter of", path_);
  const auto filter = load_filter(rules);
  if (!filter) {
    throw_errno(EPERM, "bpf(BPF_PROG_LOAD)");
  }
  std::vector<Fd> old = attached_programs(cgroup, shown_path());
  std::erase_if(old, [](const Fd& each) { return !is_ours(each); });
  if (!attach_instead(cgroup, filter->program, old)) {
    throw_errno(EPERM, "bpf(BPF_PROG_ATTACH)");
  }
}

int device_filter_errno() {
  try {
    return load_filter({}) ? 0 : EPERM;
  } catch (const Error& error) {
    if (error.errnum() == 0) {
      throw;
    }
    return error.errnum();
  }
}

}  // namespace tare
