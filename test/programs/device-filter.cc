// Device filters made of rules, on the real kernel; for test/cgroup/device-filter.test.ts.
//
//   device-filter size RULES               prints the program's number of instructions and of
//                                          conditional jumps
//   device-filter try RULES NODE ...       attaches the filter to a new cgroup, and for each NODE
//                                          (c:1:3) prints which of r, w and m a process in there
//                                          may do, and "rw" apart where it may do both at once
//   device-filter replace RULES RULES ...  attaches one after the other to one cgroup, and prints
//                                          after each what the kernel says is attached, and what
//                                          1:1 allows
//   device-filter compare SEED COUNT       compares COUNT random lists of rules, for many devices
//                                          and accesses, with what the last matching rule says
//
// RULES is a linux.resources object.

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup/cgroup.h"
#include "tare/error.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace {

using tare::Cgroup;
using tare::DeviceRule;
using tare::Fd;

struct Node {
  char type = 'c';
  unsigned major = 0;
  unsigned minor = 0;
  std::string name() const {
    return std::string(1, type) + ":" + std::to_string(major) + ":" + std::to_string(minor);
  }
};

std::vector<DeviceRule> rules_of(const char* json) {
  return tare::parse_resources(json, "RULES").devices;
}

/// Returns a tmpfs that is mounted nowhere, in which device nodes work.
Fd make_tmpfs() {
  const Fd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    tare::throw_errno("fsopen", "tmpfs");
  }
  Fd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  if (!mount) {
    tare::throw_errno("fsmount", "tmpfs");
  }
  return mount;
}

bool make_node(int directory, const Node& node, const std::string& name) {
  const mode_t mode = (node.type == 'b' ? S_IFBLK : S_IFCHR) | 0600;
  return mknodat(directory, name.c_str(), mode, makedev(node.major, node.minor)) == 0;
}

/// Returns whether the kernel permits the access. access(2) asks the filter as open(2) does, but
/// opens no driver.
bool may(int directory, const Node& node, const char* access) {
  if (std::strcmp(access, "m") == 0) {
    const bool made = make_node(directory, node, "new");
    unlinkat(directory, "new", 0);
    return made;
  }
  const int mode = (std::strchr(access, 'r') ? R_OK : 0) | (std::strchr(access, 'w') ? W_OK : 0);
  if (faccessat(directory, node.name().c_str(), mode, AT_EACCESS) == 0) {
    return true;
  }
  if (errno != EPERM) {
    tare::throw_errno("faccessat", node.name());
  }
  return false;
}

void run_inside(const Cgroup& cgroup, const std::function<void()>& body) {
  struct clone_args args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<__u64>(cgroup.fd());
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) {
    tare::throw_errno("clone3");
  }
  if (pid == 0) {
    try {
      body();
    } catch (const tare::Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      std::_Exit(1);
    }
    std::fflush(stdout);
    std::_Exit(0);
  }
  int status = 0;
  waitpid(static_cast<pid_t>(pid), &status, 0);
  if (status != 0) {
    throw tare::Error(tare::ErrorKind::system, "a process in the cgroup failed");
  }
}

/// A cgroup that is removed at the end of the scope.
class TestCgroup {
 public:
  TestCgroup()
      : cgroup_(Cgroup::create(tare::find_cgroup_host(),
                               "/tare-device-filter-" + std::to_string(getpid()), {}, false)) {}
  ~TestCgroup() { cgroup_.remove(); }
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;
  Cgroup& operator*() { return cgroup_; }
  Cgroup* operator->() { return &cgroup_; }

 private:
  Cgroup cgroup_;
};

int print_size(const char* rules) {
  const std::string program = tare::device_filter_program(rules_of(rules));
  std::vector<struct bpf_insn> code(program.size() / sizeof(struct bpf_insn));
  std::memcpy(code.data(), program.data(), program.size());
  int jumps = 0;
  for (const auto& each : code) {
    jumps += BPF_CLASS(each.code) == BPF_JMP32 ? 1 : 0;
  }
  std::printf("%zu instructions, %d jumps\n", code.size(), jumps);
  return 0;
}

void print_access(int directory, const Node& node) {
  std::string allowed;
  for (const char* access : {"r", "w", "m"}) {
    allowed += may(directory, node, access) ? access : "-";
  }
  std::printf("%s %s%s\n", node.name().c_str(), allowed.c_str(),
              may(directory, node, "rw") ? " rw" : "");
}

int try_nodes(const char* rules, char** words) {
  const Fd directory = make_tmpfs();
  std::vector<Node> nodes;
  for (; *words != nullptr; ++words) {
    Node node;
    if (std::sscanf(*words, "%c:%u:%u", &node.type, &node.major, &node.minor) != 3) {
      std::fprintf(stderr, "no node: %s\n", *words);
      return 2;
    }
    make_node(directory.get(), node, node.name());
    nodes.push_back(node);
  }
  TestCgroup cgroup;
  cgroup->attach_device_filter(rules_of(rules), false);
  run_inside(*cgroup, [&] {
    for (const Node& node : nodes) {
      print_access(directory.get(), node);
    }
  });
  return 0;
}

unsigned count_attached(int cgroup) {
  std::array<std::uint32_t, 64> ids{};
  union bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.query.target_fd = static_cast<std::uint32_t>(cgroup);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  attributes.query.prog_cnt = static_cast<std::uint32_t>(ids.size());
  if (syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof attributes) != 0) {
    tare::throw_errno("bpf(BPF_PROG_QUERY)");
  }
  return attributes.query.prog_cnt;
}

int replace(char** lists) {
  const Fd directory = make_tmpfs();
  const Node node{.type = 'c', .major = 1, .minor = 1};
  make_node(directory.get(), node, node.name());
  TestCgroup cgroup;
  const tare::CgroupHost host = tare::find_cgroup_host();
  for (; *lists != nullptr; ++lists) {
    // First by the object that created the cgroup, then by an opened one, as `update` does.
    Cgroup opened = Cgroup::open(host, cgroup->path());
    cgroup->attach_device_filter(rules_of(*lists), false);
    std::printf("attached %u\n", count_attached(opened.fd()));
    run_inside(opened, [&] { print_access(directory.get(), node); });
    opened.attach_device_filter(rules_of(*lists), false);
    std::printf("attached %u\n", count_attached(opened.fd()));
  }
  return 0;
}

// --- compare ------------------------------------------------------------------------------------

constexpr std::array<unsigned, 8> majors{1, 2, 5, 10, 136, 240, 241, 4095};
constexpr std::array<unsigned, 14> minors{0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 200, 255, 1048575};
constexpr std::array<const char*, 4> accesses{"r", "w", "m", "rw"};

/// The contract of device_filter_program, implemented in another way.
bool expected(const std::vector<DeviceRule>& rules, const Node& node, const char* access) {
  static const std::string always = " c:1:3 c:1:5 c:1:7 c:1:8 c:1:9 c:5:0 c:5:2 c:10:200 ";
  for (const char* bit = access; *bit != '\0'; ++bit) {
    bool allowed = false;
    for (const DeviceRule& rule : rules) {
      const bool matches = (rule.type == 'a' || rule.type == node.type) &&
                           rule.major.value_or(node.major) == node.major &&
                           rule.minor.value_or(node.minor) == node.minor &&
                           rule.access.find(*bit) != std::string::npos;
      allowed = matches ? rule.allow : allowed;
    }
    const bool pts = node.type == 'c' && node.major == 136;
    if (!allowed && *bit != 'm' && !pts &&
        always.find(" " + node.name() + " ") == std::string::npos) {
      return false;
    }
  }
  return true;
}

std::vector<DeviceRule> random_rules(std::mt19937& random) {
  const auto below = [&](std::size_t end) { return random() % end; };
  std::vector<DeviceRule> rules(1 + below(12));
  for (DeviceRule& rule : rules) {
    rule.allow = below(2) != 0;
    rule.type = "abcc"[below(4)];
    if (below(3) != 0) {
      rule.major = majors[below(majors.size())];
    }
    if (below(3) != 0) {
      rule.minor = minors[below(minors.size())];
    }
    rule.access = std::array{"r", "w", "m", "rw", "rm", "wm", "rwm", "rwm"}[below(8)];
  }
  return rules;
}

std::string describe(const std::vector<DeviceRule>& rules) {
  std::string text;
  const auto number = [](const auto& value) { return value ? std::to_string(*value) : "*"; };
  for (const DeviceRule& rule : rules) {
    text += std::string(rule.allow ? "allow " : "deny ") + rule.type + " " + number(rule.major) +
            ":" + number(rule.minor) + " " + rule.access + "; ";
  }
  return text;
}

int compare(unsigned seed, int count) {
  const Fd directory = make_tmpfs();
  std::vector<Node> nodes;
  for (const char type : {'c', 'b'}) {
    for (const unsigned major : majors) {
      for (const unsigned minor : minors) {
        nodes.push_back({type, major, minor});
        make_node(directory.get(), nodes.back(), nodes.back().name());
      }
    }
  }
  std::mt19937 random(seed);
  TestCgroup cgroup;
  for (int round = 0; round < count; ++round) {
    const std::vector<DeviceRule> rules = random_rules(random);
    cgroup->attach_device_filter(rules, false);
    run_inside(*cgroup, [&] {
      for (const Node& node : nodes) {
        for (const char* access : accesses) {
          if (may(directory.get(), node, access) != expected(rules, node, access)) {
            std::printf("%s %s: expected %s by %s\n", node.name().c_str(), access,
                        expected(rules, node, access) ? "yes" : "no", describe(rules).c_str());
          }
        }
      }
    });
  }
  std::printf("compared %d lists, %zu devices\n", count, nodes.size());
  return 0;
}

int run(int argc, char** argv) {
  const std::string_view command = argc > 2 ? argv[1] : "";
  if (command == "size") {
    return print_size(argv[2]);
  }
  if (command == "try") {
    return try_nodes(argv[2], argv + 3);
  }
  if (command == "replace") {
    return replace(argv + 2);
  }
  if (command == "compare" && argc == 4) {
    return compare(static_cast<unsigned>(std::atoi(argv[2])), std::atoi(argv[3]));
  }
  std::fprintf(stderr, "usage: device-filter size|try|replace|compare ...\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // Line-buffered: a child must not inherit buffered output of its parent.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return run(argc, argv);
  } catch (const tare::Error& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
