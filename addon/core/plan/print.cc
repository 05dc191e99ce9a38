// Describes plans: for `tare plan`, for goldens, and for the error of a failed op.
#include <linux/capability.h>
#include <linux/mempolicy.h>
#include <linux/mount.h>
#include <linux/personality.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>

#include "json/json.h"
#include "plan/builder.h"

namespace tare {
namespace {

using wire::Op;
using wire::OpCode;

std::string octal(std::uint64_t value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + (value & 7)));
    value >>= 3;
  } while (value != 0);
  return "0" + digits;
}

std::string namespace_names(std::uint64_t flags) {
  std::string names;
  for (int i = 0; i < namespace_type_count; ++i) {
    const auto type = static_cast<NamespaceType>(i);
    if ((flags & namespace_clone_flag(type)) != 0) {
      names += names.empty() ? "" : ",";
      names += namespace_name(type);
    }
  }
  return names;
}

std::string capability_list(std::uint64_t mask) {
  std::string names;
  for (int i = 0; i < 64; ++i) {
    const char* name = (mask >> i & 1) != 0 ? capability_name(i) : nullptr;
    if (name != nullptr) {
      names += names.empty() ? "" : ",";
      names += name;
    }
  }
  return names.empty() ? "none" : names;
}

std::string mount_words(const Op& op) {
  std::string words = attribute_names(op.a, op.b, false);
  const std::string recursive = attribute_names(op.d, op.e, true);
  for (const std::string& more : {recursive, op.c != 0 ? propagation_name(op.c) : std::string()}) {
    if (!more.empty()) {
      words += words.empty() ? "" : ",";
      words += more;
    }
  }
  return words;
}

std::string with_options(std::string text, const std::string& options) {
  if (!options.empty()) {
    text += " -o " + options;
  }
  return text;
}

const char* wait_name(std::uint64_t tag) {
  switch (static_cast<wire::WaitTag>(tag)) {
    case wire::WaitTag::host_rights:
      return "wait for the host: id maps, and limits that a user namespace's root may not set";
    case wire::WaitTag::mounts:
      return "wait for the host: mounts that it opens";
    case wire::WaitTag::hooks:
      return "wait for the host: createRuntime and createContainer hooks";
    case wire::WaitTag::cgroup:
      return "wait for the host: it moves this process into the container's cgroup";
    case wire::WaitTag::scheduling:
      return "wait for the host: scheduling policy, I/O priority";
    case wire::WaitTag::go:
      return "wait for the host: device filter, state";
    case wire::WaitTag::listener:
      break;
  }
  return "wait for the host";
}

class Printer {
 public:
  explicit Printer(const Plan& plan) : plan_(plan) {}

  std::string describe(const Op& op) const {
    if (op.code <= OpCode::keyring) {
      return describe_namespaces(op);
    }
    if (op.code <= OpCode::console) {
      return describe_mounts(op);
    }
    return describe_process(op);
  }

 private:
  std::string first(const Op& op) const { return plan_.text(op.str[0]); }
  std::string second(const Op& op) const { return plan_.text(op.str[1]); }
  std::string passed(const Op& op) const {
    return plan_.passed()[static_cast<std::size_t>(op.fd)].path;
  }

  std::string describe_namespaces(const Op& op) const {
    switch (op.code) {
      case OpCode::setns: {
        const std::string path = passed(op);
        return "nsenter " + namespace_names(op.a) + (path.empty() ? "" : " " + path);
      }
      case OpCode::unshare:
        return "unshare " + namespace_names(op.a);
      case OpCode::time_offsets:
        return "write " + lines(op) + " to /proc/self/timens_offsets";
      case OpCode::enter_time:
        return "nsenter time /proc/self/ns/time_for_children";
      case OpCode::wait:
        return wait_name(op.a);
      case OpCode::become_root:
        return "become root of the user namespace";
      case OpCode::loopback_up:
        return "ip link set lo up";
      case OpCode::new_session:
        return "setsid";
      default:
        return op.str[0] == 0 ? "join a new session keyring" : "join session keyring " + first(op);
    }
  }

  /// mount(8) has no words for the mount that becomes the root.
  static std::string place(const Op& op, const std::string& path) {
    return (op.flags & wire::op_becomes_root) != 0 ? path + " as the root" : path;
  }

  std::string describe_mount_data(const Op& op) const {
    const std::string path = second(op);
    const std::string source = plan_.text(op.str[1]) + path.size() + 1;
    const std::string data = plan_.text(op.str[1]) + path.size() + 1 + source.size() + 1;
    const std::string words = mount_words(op);
    return with_options("mount -t " + first(op) + " " + source + " " + place(op, path),
                        words + (words.empty() ? "" : ",") + data);
  }

  std::string describe_mount_fs(const Op& op) const {
    const char* at = plan_.text(op.str[1]);
    const std::string path = at;
    at += path.size() + 1;
    Op attributes = op;
    attributes.b = 0;
    attributes.d = 0;
    std::string options = op.code == OpCode::reconfigure ? "remount" : mount_words(attributes);
    if (op.code == OpCode::mount_fs && (op.b & wire::mount_copies_up) != 0) {
      options += options.empty() ? "tmpcopyup" : ",tmpcopyup";
    }
    std::string source = first(op);
    for (std::uint32_t i = 0; i < op.n; ++i) {
      const std::string key = at;
      at += key.size() + 1;
      const std::string value = at;
      at += value.size() + 1;
      if (key == "source") {
        source = value;
        continue;
      }
      options += options.empty() ? "" : ",";
      options += value.empty() ? key : key + "=" + value;
    }
    return with_options(op.code == OpCode::reconfigure
                            ? "mount " + path
                            : "mount -t " + first(op) + " " + source + " " + place(op, path),
                        options);
  }

  std::string describe_bind(const Op& op) const {
    std::string text = (op.flags & wire::op_on_fall_back) != 0 ? "if that is refused: " : "";
    text += (op.flags & wire::op_recursive) != 0 ? "mount --rbind " : "mount --bind ";
    std::string words;
    if ((op.flags & wire::op_source_no_symlinks) != 0) {
      words = "src-no-symlinks,";
    }
    std::string source = first(op);
    if ((op.flags & wire::op_source_beneath) != 0) {
      words += std::string("src-within=") + (plan_.text(op.str[0]) + source.size() + 1) + ",";
    }
    words += mount_words(op);
    if (words.ends_with(',')) {
      words.pop_back();
    }
    return with_options(text + source + " " + place(op, second(op)), words);
  }

  std::string describe_device(const Op& op) const {
    const std::uint64_t kind = op.a & S_IFMT;
    std::string text = "mknod -m " + octal(op.a & 07777) + " " + second(op);
    text += kind == S_IFBLK ? " b" : kind == S_IFIFO ? " p" : " c";
    if (kind != S_IFIFO) {
      text += " " + std::to_string(major(op.b)) + " " + std::to_string(minor(op.b));
    }
    if (op.c != 0) {
      text += ", chown " + std::to_string(op.c >> 32) + ":" + std::to_string(op.c & 0xffffffff);
    }
    return text;
  }

  std::string describe_mounts(const Op& op) const {
    switch (op.code) {
      case OpCode::propagation:
        return "mount --make-r" + propagation_name(op.a) + " /";
      case OpCode::root:
        return (op.flags & wire::op_open_only) != 0
                   ? "use " + first(op) + " as the root"
                   : with_options("mount --rbind " + first(op) + " as the root", mount_words(op));
      case OpCode::root_here:
        return "use / as the root";
      case OpCode::mount_fs:
      case OpCode::reconfigure:
        return describe_mount_fs(op);
      case OpCode::mount_data:
        return describe_mount_data(op);
      case OpCode::fetch:
        return "wait for the host" +
               std::string((op.flags & wire::op_may_reach) != 0 ? ", if need be" : "") +
               ": the next " + std::to_string(op.n) + " mounts";
      case OpCode::open_source:
        return "open the mount at " + first(op);
      case OpCode::bind:
        return describe_bind(op);
      case OpCode::bind_device:
        return "mount --bind " + first(op) + " " + second(op) + " -o private";
      case OpCode::keep:
        return "keep it by its descriptor";
      case OpCode::tell_mount:
        return "tell the host the mount's number";
      case OpCode::unmount:
        return "umount -l " + second(op);
      case OpCode::attributes:
        return with_options("mount " + second(op), "remount,bind," + mount_words(op));
      case OpCode::mask:
        return "mask " + second(op);
      case OpCode::read_only:
        return "mount --rbind " + second(op) + " " + second(op) + " -o rro";
      case OpCode::make_device:
        return describe_device(op);
      case OpCode::make_directory:
        return "mkdir -p " + second(op);
      case OpCode::make_symlink:
        return "ln -s " + first(op) + " " + second(op);
      case OpCode::make_file:
        return "write " + std::to_string(op.n) + " bytes to " + second(op);
      case OpCode::make_ptmx:
        return "ln -sf pts/ptmx " + second(op);
      case OpCode::pivot_root:
        return "pivot_root . . && umount -l .";
      case OpCode::move_root:
        return "mount --move . / && chroot .";
      case OpCode::chroot:
        return "chroot .";
      case OpCode::open_proc:
        return "open a private procfs";
      default:
        return "open a terminal in " + second(op) + "/ptmx" +
               ((op.flags & wire::op_bind_console) != 0 ? ", bind it on /dev/console" : "");
    }
  }

  /// Returns the lines of a blob as one line.
  std::string lines(const Op& op) const {
    std::string text(plan_.text(op.str[0]), op.n);
    while (!text.empty() && text.back() == '\n') {
      text.pop_back();
    }
    std::ranges::replace(text, '\n', ',');
    return text;
  }

  std::string memory_policy(const Op& op) const {
    constexpr std::uint64_t mode_bits = 0xff;
    std::string text = memory_mode_name(static_cast<int>(op.a & mode_bits));
    for (const auto& [flag, name] : {std::pair{MPOL_F_STATIC_NODES, "static"},
                                     {MPOL_F_RELATIVE_NODES, "relative"},
                                     {MPOL_F_NUMA_BALANCING, "balancing"}}) {
      text += (op.a & static_cast<std::uint64_t>(flag)) != 0 ? std::string(" ") + name : "";
    }
    return op.n == 0 ? text : text + " " + bit_mask(op);
  }

  std::string bit_mask(const Op& op) const {
    return "0x" + mask_digits({plan_.text(op.str[0]), op.n});
  }

  std::string describe_identity(const Op& op) const {
    std::string text = "setuid " + std::to_string(op.a) + ", setgid " + std::to_string(op.b);
    for (std::uint32_t i = 0; i < op.n; ++i) {
      std::uint32_t gid = 0;
      std::memcpy(&gid, plan_.text(op.str[0]) + i * sizeof gid, sizeof gid);
      text += (i == 0 ? ", groups " : ",") + std::to_string(gid);
    }
    return text;
  }

  std::string describe_capabilities(const Op& op) const {
    std::string text = "capabilities: effective " + capability_list(op.a);
    if (op.b != op.a) {
      text += "; permitted " + capability_list(op.b);
    }
    if (op.c != 0) {
      text += "; inheritable " + capability_list(op.c);
    }
    if (op.d != 0) {
      text += "; ambient " + capability_list(op.d);
    }
    return text;
  }

  std::string describe_exec(const Op& op) const {
    std::string text = "exec";
    const char* at = plan_.text(op.str[0]);
    for (std::uint32_t i = 0; i < op.n; ++i) {
      text += std::string(" ") + at;
      at += std::strlen(at) + 1;
    }
    return text;
  }

  std::string describe_process(const Op& op) const {
    switch (op.code) {
      case OpCode::hostname:
        return "hostname " + first(op);
      case OpCode::domainname:
        return "domainname " + first(op);
      case OpCode::sysctl:
        return "sysctl -w " + first(op) + "=" + second(op);
      case OpCode::proc_write:
        return "write " + second(op) + " to /proc/" + first(op);
      case OpCode::rlimit:
        return "prlimit " + std::to_string(op.a) + " " + std::to_string(op.b) + ":" +
               std::to_string(op.c);
      case OpCode::cpu_affinity:
        return "taskset " + bit_mask(op);
      case OpCode::personality:
        return op.a == PER_LINUX32 ? "setarch linux32" : "setarch linux64";
      case OpCode::memory_policy:
        return "set_mempolicy " + memory_policy(op);
      case OpCode::umask:
        return "umask " + octal(op.a);
      case OpCode::working_directory:
        return "cd " + first(op) + ((op.flags & wire::op_optional) != 0 ? " (if root may)" : "");
      case OpCode::home_directory:
        return "find the home of user " + std::to_string(op.a) + " for HOME";
      case OpCode::undumpable:
        return "set undumpable";
      case OpCode::no_new_privileges:
        return "set no_new_privs";
      case OpCode::bounding_set:
        return "bounding set: " + capability_list(op.a);
      case OpCode::keep_caps:
        return "keep capabilities across setuid";
      case OpCode::identity:
        return describe_identity(op);
      case OpCode::capabilities:
        return describe_capabilities(op);
      case OpCode::seccomp:
        return "seccomp filter of " + std::to_string(op.n / 8) + " instructions" +
               ((op.a & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 ? ", its listener to the agent"
                                                               : "");
      case OpCode::listener_thread:
        return "start the thread that hands over the filter's listener";
      case OpCode::find_program:
        return "find " + first(op) + " in PATH";
      case OpCode::close_fds:
        return "close all other file descriptors";
      case OpCode::default_signals:
        return "set every signal to its default action";
      case OpCode::end_with_host:
        return "end when the caller ends";
      case OpCode::announce:
        return "tell the host that exec follows";
      case OpCode::start_gate:
        return "hold until start";
      case OpCode::appear:
        return "go on as a child in the joined pid namespace";
      case OpCode::reap:
        return "become the reaper of a child, which goes on";
      default:
        return describe_exec(op);
    }
  }

  const Plan& plan_;
};

}  // namespace

std::string Plan::describe(std::size_t op) const { return Printer(*this).describe(ops_[op]); }

std::string Plan::to_text() const {
  const Printer printer(*this);
  std::string text = "clone " + namespace_names(clone_flags_) + "\n";
  for (const Join& join : joins_) {
    const std::string& path = passed_[static_cast<std::size_t>(join.passed)].path;
    text.insert(0, "nsenter " + namespace_names(join.type) + " " + path + "\n");
  }
  std::size_t width = 0;
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    width = std::to_string(i).size();
  }
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    const std::string number = std::to_string(i);
    std::string line = std::string(width - number.size(), ' ') + number + "  ";
    line += printer.describe(ops_[i]);
    const std::string_view origin = this->text(ops_[i].origin);
    if (!origin.empty()) {
      if (line.size() < 72) {
        line.append(72 - line.size(), ' ');
      }
      line.append("  # ").append(origin);
    }
    text += line + "\n";
  }
  return text;
}

std::string Plan::to_json() const {
  const Printer printer(*this);
  json::Writer writer(2);
  writer.begin_object();
  writer.key("clone").string(namespace_names(clone_flags_));
  writer.key("joins").begin_array();
  for (const Join& join : joins_) {
    writer.begin_object();
    writer.key("type").string(namespace_names(join.type));
    writer.key("path").string(passed_[static_cast<std::size_t>(join.passed)].path);
    writer.end_object();
  }
  writer.end_array();
  writer.key("ops").begin_array();
  for (const Op& op : ops_) {
    writer.begin_object();
    writer.key("op").string(op_name(op.code));
    writer.key("text").string(printer.describe(op));
    const std::string_view origin = text(op.origin);
    if (!origin.empty()) {
      writer.key("origin").string(origin);
    }
    writer.key("flags").number(op.flags);
    writer.key("values").begin_array();
    for (const std::uint64_t value : {op.a, op.b, op.c, op.d, op.e}) {
      writer.number_unsigned(value);
    }
    writer.end_array();
    writer.end_object();
  }
  writer.end_array();
  writer.end_object();
  return writer.take() + "\n";
}

}  // namespace tare
