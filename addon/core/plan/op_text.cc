// The text of ops: for `tare plan`, for goldens, and for the error of a failed op. ops.def has one
// line for each op; this file has the functions that the words in braces stand for.
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
#include <iterator>

#include "plan/builder.h"

namespace tare {
namespace {

using wire::Op;
using wire::OpCode;

std::string octal_digits(std::uint64_t value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + (value & 7)));
    value >>= 3;
  } while (value != 0);
  return "0" + digits;
}

std::string capability_names(std::uint64_t mask) {
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

const char* wait_text(std::uint64_t tag) {
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

// --- the words of ops.def, each a function of the op ---------------------------------------------

std::string str0(const Plan& plan, const Op& op) { return plan.text(op.str[0]); }
std::string str1(const Plan& plan, const Op& op) { return plan.text(op.str[1]); }
std::string n(const Plan& /*plan*/, const Op& op) { return std::to_string(op.n); }
std::string a(const Plan& /*plan*/, const Op& op) { return std::to_string(op.a); }
std::string b(const Plan& /*plan*/, const Op& op) { return std::to_string(op.b); }
std::string c(const Plan& /*plan*/, const Op& op) { return std::to_string(op.c); }
std::string octal(const Plan& /*plan*/, const Op& op) { return octal_digits(op.a); }

std::string namespaces(const Plan& /*plan*/, const Op& op) { return namespace_names(op.a); }

std::string joined(const Plan& plan, const Op& op) {
  const std::string& path = plan.passed()[static_cast<std::size_t>(op.fd)].path;
  return namespace_names(op.a) + (path.empty() ? "" : " " + path);
}

std::string wait(const Plan& /*plan*/, const Op& op) { return wait_text(op.a); }

std::string keyring(const Plan& plan, const Op& op) {
  return op.str[0] == 0 ? "a new session keyring" : "session keyring " + str0(plan, op);
}

std::string propagation(const Plan& /*plan*/, const Op& op) { return propagation_name(op.a); }

std::string root(const Plan& plan, const Op& op) {
  return (op.flags & wire::op_open_only) != 0
             ? "use " + str0(plan, op) + " as the root"
             : with_options("mount --rbind " + str0(plan, op) + " as the root", mount_words(op));
}

/// mount(8) has no words for the mount that becomes the root.
std::string as_root(const Op& op, const std::string& path) {
  return (op.flags & wire::op_becomes_root) != 0 ? path + " as the root" : path;
}

std::string mount_data(const Plan& plan, const Op& op) {
  const std::string path = str1(plan, op);
  const std::string source = plan.text(op.str[1]) + path.size() + 1;
  const std::string data = plan.text(op.str[1]) + path.size() + 1 + source.size() + 1;
  const std::string words = mount_words(op);
  return with_options("mount -t " + str0(plan, op) + " " + source + " " + as_root(op, path),
                      words + (words.empty() ? "" : ",") + data);
}

std::string mount_fs(const Plan& plan, const Op& op) {
  const char* at = plan.text(op.str[1]);
  const std::string path = at;
  at += path.size() + 1;
  Op attributes = op;
  attributes.b = 0;
  attributes.d = 0;
  std::string options = op.code == OpCode::reconfigure ? "remount" : mount_words(attributes);
  if (op.code == OpCode::mount_fs && (op.b & wire::mount_copies_up) != 0) {
    options += options.empty() ? "tmpcopyup" : ",tmpcopyup";
  }
  std::string source = str0(plan, op);
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
                          : "mount -t " + str0(plan, op) + " " + source + " " + as_root(op, path),
                      options);
}

std::string reconfigure(const Plan& plan, const Op& op) { return mount_fs(plan, op); }

std::string if_needed(const Plan& /*plan*/, const Op& op) {
  return (op.flags & wire::op_try_first) != 0 ? ", if need be" : "";
}

std::string bind(const Plan& plan, const Op& op) {
  std::string text = (op.flags & wire::op_on_fall_back) != 0 ? "if that is refused: " : "";
  text += (op.flags & wire::op_recursive) != 0 ? "mount --rbind " : "mount --bind ";
  std::string words;
  if ((op.flags & wire::op_source_no_symlinks) != 0) {
    words = "src-no-symlinks,";
  }
  std::string source = str0(plan, op);
  if ((op.flags & wire::op_source_beneath) != 0) {
    words += std::string("src-within=") + (plan.text(op.str[0]) + source.size() + 1) + ",";
  }
  words += mount_words(op);
  if (words.ends_with(',')) {
    words.pop_back();
  }
  return with_options(text + source + " " + as_root(op, str1(plan, op)), words);
}

std::string attributes(const Plan& plan, const Op& op) {
  return with_options("mount " + str1(plan, op), "remount,bind," + mount_words(op));
}

std::string device(const Plan& plan, const Op& op) {
  const std::uint64_t kind = op.a & S_IFMT;
  std::string text = "mknod -m " + octal_digits(op.a & 07777) + " " + str1(plan, op);
  text += kind == S_IFBLK ? " b" : kind == S_IFIFO ? " p" : " c";
  if (kind != S_IFIFO) {
    text += " " + std::to_string(major(op.b)) + " " + std::to_string(minor(op.b));
  }
  if (op.c != 0) {
    text += ", chown " + std::to_string(op.c >> 32) + ":" + std::to_string(op.c & 0xffffffff);
  }
  return text;
}

std::string bound_console(const Plan& /*plan*/, const Op& op) {
  return (op.flags & wire::op_bind_console) != 0 ? ", bind it on /dev/console" : "";
}

/// Returns the lines of a blob as one line.
std::string lines(const Plan& plan, const Op& op) {
  std::string text(plan.text(op.str[0]), op.n);
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  std::ranges::replace(text, '\n', ',');
  return text;
}

std::string mask(const Plan& plan, const Op& op) {
  return "0x" + mask_digits({plan.text(op.str[0]), op.n});
}

std::string personality(const Plan& /*plan*/, const Op& op) {
  return op.a == PER_LINUX32 ? "linux32" : "linux64";
}

std::string memory_policy(const Plan& plan, const Op& op) {
  constexpr std::uint64_t mode_bits = 0xff;
  std::string text = memory_mode_name(static_cast<int>(op.a & mode_bits));
  for (const auto& [flag, name] : {std::pair{MPOL_F_STATIC_NODES, "static"},
                                   {MPOL_F_RELATIVE_NODES, "relative"},
                                   {MPOL_F_NUMA_BALANCING, "balancing"}}) {
    text += (op.a & static_cast<std::uint64_t>(flag)) != 0 ? std::string(" ") + name : "";
  }
  return op.n == 0 ? text : text + " " + mask(plan, op);
}

std::string if_root_may(const Plan& /*plan*/, const Op& op) {
  return (op.flags & wire::op_optional) != 0 ? " (if root may)" : "";
}

std::string capability_list(const Plan& /*plan*/, const Op& op) { return capability_names(op.a); }

std::string identity(const Plan& plan, const Op& op) {
  std::string text = "setuid " + std::to_string(op.a) + ", setgid " + std::to_string(op.b);
  for (std::uint32_t i = 0; i < op.n; ++i) {
    std::uint32_t gid = 0;
    std::memcpy(&gid, plan.text(op.str[0]) + i * sizeof gid, sizeof gid);
    text += (i == 0 ? ", groups " : ",") + std::to_string(gid);
  }
  return text;
}

std::string capability_sets(const Plan& /*plan*/, const Op& op) {
  std::string text = "effective " + capability_names(op.a);
  if (op.b != op.a) {
    text += "; permitted " + capability_names(op.b);
  }
  if (op.c != 0) {
    text += "; inheritable " + capability_names(op.c);
  }
  if (op.d != 0) {
    text += "; ambient " + capability_names(op.d);
  }
  return text;
}

std::string instructions(const Plan& /*plan*/, const Op& op) { return std::to_string(op.n / 8); }

std::string listener(const Plan& /*plan*/, const Op& op) {
  return (op.a & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 ? ", its listener to the agent" : "";
}

std::string arguments(const Plan& plan, const Op& op) {
  std::string text;
  const char* at = plan.text(op.str[0]);
  for (std::uint32_t i = 0; i < op.n; ++i) {
    text += std::string(" ") + at;
    at += std::strlen(at) + 1;
  }
  return text;
}

// --- the lines of ops.def -----------------------------------------------------------------------

struct Word {
  std::string_view name;
  std::string (*text)(const Plan&, const Op&);
};

#define WORD(name) \
  Word { #name, name }
constexpr Word words[] = {
    WORD(str0),
    WORD(str1),
    WORD(n),
    WORD(a),
    WORD(b),
    WORD(c),
    WORD(octal),
    WORD(namespaces),
    WORD(joined),
    WORD(wait),
    WORD(keyring),
    WORD(propagation),
    WORD(root),
    WORD(mount_data),
    WORD(mount_fs),
    WORD(reconfigure),
    WORD(if_needed),
    WORD(bind),
    WORD(attributes),
    WORD(device),
    WORD(lines),
    WORD(mask),
    WORD(personality),
    WORD(memory_policy),
    WORD(if_root_may),
    WORD(bound_console),
    WORD(capability_list),
    WORD(identity),
    WORD(listener),
    WORD(instructions),
    WORD(capability_sets),
    WORD(arguments),
};
#undef WORD

constexpr const Word* find_word(std::string_view name) {
  const auto* const found = std::ranges::find(words, name, &Word::name);
  return found == std::end(words) ? nullptr : found;
}

/// Whether each word in braces has a function.
constexpr bool is_known(std::string_view line) {
  for (std::size_t open = line.find('{'); open != line.npos; open = line.find('{', open + 1)) {
    const std::size_t close = line.find('}', open);
    if (close == line.npos || find_word(line.substr(open + 1, close - open - 1)) == nullptr) {
      return false;
    }
  }
  return !line.empty();
}

#define OP(name, fd, data, text) \
  static_assert(is_known(text), "ops.def: the text of " #name " needs a function in op_text.cc");
#include "tare/ops.def"

constexpr std::string_view op_lines[] = {
    "end",
#define OP(name, fd, data, text) text,
#include "tare/ops.def"
};

}  // namespace

std::string op_text(const Plan& plan, const Op& op) {
  std::string text;
  std::string_view rest = op_lines[static_cast<std::size_t>(op.code)];
  for (std::size_t open = rest.find('{'); open != rest.npos; open = rest.find('{')) {
    const std::size_t close = rest.find('}', open);
    text.append(rest.substr(0, open));
    text += find_word(rest.substr(open + 1, close - open - 1))->text(plan, op);
    rest.remove_prefix(close + 1);
  }
  return text.append(rest);
}

}  // namespace tare
