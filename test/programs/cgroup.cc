// The life cycle of a cgroup on the real kernel; for test/cgroup/cgroup.test.ts, change.test.ts and
// limits.guest.ts.
//
//   cgroup host                      prints the mode and the mount point
//   cgroup change BEFORE CHANGES     prints what an update would write; "devices" if it would
//                                    replace the device filter; and the resources afterwards
//   cgroup run PATH STEP ...         does the steps with the cgroup PATH and prints a line each:
//     create[=RESOURCES] create-rootless[=RESOURCES] open   made, used or none
//     apply=RESOURCES filter       ok
//     spawn spawn-below=NAME       a process that waits for a signal, in it or in a cgroup below
//     spawn-ending=MS              one that ends by itself after so many milliseconds (timerfd)
//     processes                    how many, and whether they are the ones that were spawned
//     signal=N kill reap           reap prints the statuses of all children
//     freeze thaw frozen           true or false
//     wait remove                  with "fast" if it took less than 8 ms
//     show=FILE                    its content in one line
//     write=FILE=TEXT              (for changes by other programs)
//     delegate=UID                 chown, then prints the owners of the cgroup, cgroup.procs and
//                                  cgroup.max.depth
//     exists                       true or false
//   An error ends the run: its kind and message are printed, the children are killed, status 1.
//
// RESOURCES is a linux.resources object.

#include "cgroup/cgroup.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tare/error.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace {

using tare::Cgroup;
using tare::CgroupHost;
using tare::CgroupMode;
using tare::Fd;

const char* mode_name(CgroupMode mode) {
  return mode == CgroupMode::unified ? "unified" : mode == CgroupMode::hybrid ? "hybrid" : "legacy";
}

tare::Resources resources_of(const std::string& json) {
  return json.empty() ? tare::Resources() : tare::parse_resources(json, "RESOURCES");
}

/// Spawns a process into the cgroup; returns when that has touched its memory.
pid_t spawn_into(int cgroup, int milliseconds) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) {
    tare::throw_errno("pipe2");
  }
  const Fd reader(ready[0]);
  Fd writer(ready[1]);
  struct clone_args args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<__u64>(cgroup);
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) {
    tare::throw_errno("clone3");
  }
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Memory that the memory controller can charge.
    static char memory[1 << 20];
    std::memset(memory, 1, sizeof memory);
    writer.reset();
    if (milliseconds == 0) {
      for (;;) {
        pause();
      }
    }
    const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec when = {};
    when.it_value.tv_nsec = milliseconds * 1000000L;
    timerfd_settime(timer, 0, &when, nullptr);
    struct pollfd fd = {.fd = timer, .events = POLLIN, .revents = 0};
    poll(&fd, 1, -1);
    std::_Exit(7);
  }
  writer.reset();
  char none = 0;
  if (read(reader.get(), &none, 1) != 0) {
    tare::throw_errno("read");
  }
  return static_cast<pid_t>(pid);
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  std::replace(text.begin(), text.end(), '\n', '|');
  return text;
}

class Run {
 public:
  Run(CgroupHost host, std::string path) : host_(std::move(host)), path_(std::move(path)) {}
  ~Run() {
    for (const pid_t pid : children_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Does a step and returns the line to print.
  std::string step(const std::string& name, const std::string& argument) {
    const auto start = std::chrono::steady_clock::now();
    if (name == "wait") {
      cgroup_.wait_until_empty();
    } else if (name == "remove") {
      cgroup_.remove();
    } else {
      return name.starts_with("create") || name == "open" ? make(name, argument)
             : name.starts_with("spawn")                  ? spawn(name, argument)
             : name == "processes" || name == "reap" || name == "frozen" || name == "exists" ||
                     name == "show"
                 ? look(name, argument)
                 : act(name, argument);
    }
    const auto taken = std::chrono::steady_clock::now() - start;
    return taken < std::chrono::milliseconds(8) ? "ok fast" : "ok";
  }

 private:
  std::string make(const std::string& name, const std::string& argument) {
    cgroup_ = name == "open"
                  ? Cgroup::open(host_, path_)
                  : Cgroup::create(host_, path_, resources_of(argument), name == "create-rootless");
    return !cgroup_ ? "none" : cgroup_.made() ? "made" : "used";
  }

  std::string spawn(const std::string& name, const std::string& argument) {
    if (name == "spawn-below") {
      mkdirat(cgroup_.fd(), argument.c_str(), 0755);
      const Fd below = tare::open_file(cgroup_.fd(), argument, O_PATH | O_DIRECTORY);
      children_.push_back(spawn_into(below.get(), 0));
    } else {
      const int milliseconds = name == "spawn-ending" ? std::atoi(argument.c_str()) : 0;
      children_.push_back(spawn_into(cgroup_.fd(), milliseconds));
    }
    return "ok";
  }

  std::string look(const std::string& name, const std::string& argument) {
    if (name == "processes") {
      std::vector<pid_t> found = cgroup_.processes();
      std::vector<pid_t> mine = children_;
      std::sort(found.begin(), found.end());
      std::sort(mine.begin(), mine.end());
      return std::to_string(found.size()) + (found == mine ? " mine" : "");
    }
    if (name == "reap") {
      std::string statuses;
      for (const pid_t pid : std::exchange(children_, {})) {
        int status = 0;
        waitpid(pid, &status, 0);
        statuses += statuses.empty() ? "" : ", ";
        statuses += WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                        : "exit " + std::to_string(WEXITSTATUS(status));
      }
      return statuses;
    }
    if (name == "frozen") {
      return cgroup_.frozen() ? "true" : "false";
    }
    if (name == "exists") {
      return access((host_.mount_point + path_).c_str(), F_OK) == 0 ? "true" : "false";
    }
    return one_line(tare::read_file_if_exists(cgroup_.fd(), argument).value_or("absent"));
  }

  std::string act(const std::string& name, const std::string& argument) {
    if (name == "apply") {
      cgroup_.apply(resources_of(argument), "resources.");
    } else if (name == "filter") {
      cgroup_.attach_device_filter({}, false);
    } else if (name == "signal") {
      cgroup_.signal_all(std::atoi(argument.c_str()));
    } else if (name == "kill") {
      cgroup_.kill_all();
    } else if (name == "freeze" || name == "thaw") {
      cgroup_.freeze(name == "freeze");
    } else if (name == "write") {
      const std::size_t equals = argument.find('=');
      const int errnum = tare::write_kernel_file(cgroup_.fd(), argument.substr(0, equals).c_str(),
                                                 argument.substr(equals + 1));
      return errnum == 0 ? "ok" : tare::errno_name(errnum);
    } else if (name == "delegate") {
      const auto id = static_cast<uid_t>(std::atoi(argument.c_str()));
      cgroup_.delegate(id, id);
      return owner("") + " " + owner("cgroup.procs") + " " + owner("cgroup.max.depth");
    } else {
      return "no such step";
    }
    return "ok";
  }

  std::string owner(const char* file) {
    struct stat status = {};
    fstatat(cgroup_.fd(), file, &status, AT_EMPTY_PATH);
    return std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid);
  }

  CgroupHost host_;
  std::string path_;
  Cgroup cgroup_;
  std::vector<pid_t> children_;
};

int run(const char* path, char** steps) {
  Run run(tare::find_cgroup_host(), path);
  for (; *steps != nullptr; ++steps) {
    const std::string word = *steps;
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string name = word.substr(0, equals);
    const std::string argument = equals < word.size() ? word.substr(equals + 1) : "";
    std::printf("%s: %s\n", name.c_str(), run.step(name, argument).c_str());
  }
  return 0;
}

int print_change(const char* before, const char* changes) {
  const tare::ResourcesChange change =
      tare::change_of_resources(resources_of(before), resources_of(changes));
  for (const tare::CgroupSetting& each : change.settings) {
    std::printf("%s %s\n", each.file.c_str(), each.value.c_str());
  }
  if (change.devices) {
    std::printf("devices\n");
  }
  std::printf("%s\n", tare::resources_json(change.after).c_str());
  return 0;
}

int dispatch(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "host") {
    const CgroupHost host = tare::find_cgroup_host();
    std::printf("%s %s\n", mode_name(host.mode), host.mount_point.c_str());
    return 0;
  }
  if (command == "change" && argc == 4) {
    return print_change(argv[2], argv[3]);
  }
  if (command == "run" && argc > 3) {
    return run(argv[2], argv + 3);
  }
  std::fprintf(stderr, "usage: cgroup host|change|run ...\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return dispatch(argc, argv);
  } catch (const tare::Error& error) {
    std::printf("%s %s\n", tare::error_code(error.kind()), error.what());
    return 1;
  }
}
