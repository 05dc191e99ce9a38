// Runs a command and makes one system call of one of its processes fail, or kills the process
// there, or freezes a cgroup as it makes the call.
//
//   fault REPORT list [--init PID] COMMAND...
//       writes every system call to REPORT: "ROLE CALL NUMBER", NUMBER counting the role's CALLs
//   fault REPORT ROLE CALL NUMBER ERRNO|KILL|FREEZE=FILE [--init PID] COMMAND...
//       does that at this call, and writes the call to REPORT. The call itself is not made, except
//       close, which frees the descriptor whatever it returns, and brk, which returns the current
//       break when it fails. FILE is the cgroup's cgroup.freeze; with it the call is made.
//
// ROLE is "host" for the command's first process, "vfork_child" for a child until it executes
// something, and "init" for one that has executed tare's, or is its child; a second one of a kind
// is "vfork_child2", "init2". Other programs that are executed are left alone. --init names a
// process that is "init" already.
//
// strace(1) counts the calls of every process alike, and waits for all of them to end: it cannot
// tell a host's calls from init's, and init must outlive the host.
#include <elf.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr int kill_it = -1;
constexpr int freeze_it = -2;
constexpr int status_of_timeout = 124;

struct Options {
  std::FILE* report = nullptr;
  bool list = false;
  std::string role;
  std::string call;
  int number = 0;
  int errnum = 0;  ///< or `kill_it`, `freeze_it`
  std::string freezer;
  pid_t init = 0;
  char** command = nullptr;
};

struct Task {
  std::string role;      ///< empty: ignored
  bool failing = false;  ///< its system call was suppressed, and gets an errno at its end
  long argument = 0;     ///< original argument of its replaced brk
};

pid_t root = 0;

void on_timeout(int) {
  kill(root, SIGKILL);
  _exit(status_of_timeout);
}

[[noreturn]] void die(const char* what) {
  perror(what);
  std::exit(125);
}

/// Returns a field of /proc/PID/status.
std::string status_field(pid_t pid, std::string_view name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) {
      return line.substr(name.size());
    }
  }
  return {};
}

bool executes_init(pid_t pid) {
  std::array<char, 64> name{};
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  const ssize_t size = readlink(link.c_str(), name.data(), name.size());
  return size > 0 &&
         std::string_view(name.data(), static_cast<std::size_t>(size)).find("memfd:tare-init") !=
             std::string_view::npos;
}

std::string call_name(std::uint64_t number) {
  const std::unique_ptr<char, void (*)(void*)> name(
      seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number)), std::free);
  return name ? name.get() : "call" + std::to_string(number);
}

#if defined(__x86_64__)
void take_call_away(pid_t pid) {
  ptrace(PTRACE_POKEUSER, pid, offsetof(user_regs_struct, orig_rax), -1L);
}

void set_first_argument(pid_t pid, long value) {
  ptrace(PTRACE_POKEUSER, pid, offsetof(user_regs_struct, rdi), value);
}

// The calling code relies on this register after the call.
void restore_first_argument(pid_t pid, long value) { set_first_argument(pid, value); }

void set_result(pid_t pid, long result) {
  ptrace(PTRACE_POKEUSER, pid, offsetof(user_regs_struct, rax), result);
}
#elif defined(__aarch64__)
void take_call_away(pid_t pid) {
  int none = -1;
  iovec vector{&none, sizeof none};
  ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &vector);
}

void set_result(pid_t pid, long result) {
  user_regs_struct registers{};
  iovec vector{&registers, sizeof registers};
  ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector);
  registers.regs[0] = static_cast<unsigned long long>(result);
  ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &vector);
}

void set_first_argument(pid_t pid, long value) { set_result(pid, value); }

// The result is in the same register.
void restore_first_argument(pid_t /*pid*/, long /*value*/) {}
#endif

class Tracer {
 public:
  explicit Tracer(const Options& options) : options_(options) {}

  /// Returns the exit status of the command, or 128 + signal.
  int run() {
    if (options_.init > 0) {
      seize(options_.init);
      ptrace(PTRACE_INTERRUPT, options_.init, 0, 0);
      tasks_[options_.init].role = nth("init");
    }
    start();
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, __WALL);
      if (pid < 0) {
        die("waitpid");
      }
      if (WIFSTOPPED(status)) {
        stopped(pid, status);
      } else if (pid == root) {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      } else {
        tasks_.erase(pid);
      }
    }
  }

 private:
  static void seize(pid_t pid) {
    constexpr long events = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, pid, 0, events) < 0) {
      die("PTRACE_SEIZE");
    }
  }

  void start() {
    std::array<int, 2> gate{};
    if (pipe2(gate.data(), O_CLOEXEC) < 0) {
      die("pipe2");
    }
    root = fork();
    if (root == 0) {
      close(gate[1]);
      char byte = 0;
      if (read(gate[0], &byte, 1) == 0) {
        execvp(options_.command[0], options_.command);
        perror(options_.command[0]);
      }
      _exit(127);
    }
    seize(root);
    tasks_[root] = {};  // until it executes the command
    close(gate[0]);
    close(gate[1]);
  }

  std::string nth(const std::string& kind) {
    const int count = ++kinds_[kind];
    return count == 1 ? kind : kind + std::to_string(count);
  }

  Task& task(pid_t pid) {
    const auto found = tasks_.find(pid);
    if (found != tasks_.end()) {
      return found->second;
    }
    // A thread has the role of its process.
    const pid_t leader = std::atoi(status_field(pid, "Tgid:").c_str());
    Task& made = tasks_[pid];
    made.role =
        leader != pid ? tasks_[leader].role : nth(executes_init(pid) ? "init" : "vfork_child");
    return made;
  }

  void stopped(pid_t pid, int status) {
    Task& stopped_task = task(pid);
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    int deliver = 0;
    if (signal == (SIGTRAP | 0x80)) {
      at_call(pid, stopped_task);
    } else if (event == PTRACE_EVENT_EXEC) {
      executed(pid, stopped_task);
      if (stopped_task.role.empty()) {
        ptrace(PTRACE_DETACH, pid, 0, 0);
        return;
      }
    } else if (event == 0) {
      deliver = signal;
    }
    ptrace(PTRACE_SYSCALL, pid, 0, deliver);
  }

  void executed(pid_t pid, Task& task) {
    if (pid == root) {
      task.role = "host";
    } else {
      task.role = task.role.starts_with("vfork_child") && executes_init(pid) ? nth("init") : "";
    }
  }

  void at_call(pid_t pid, Task& task) {
    __ptrace_syscall_info info{};
    if (task.role.empty() || ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0) {
      return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      if (task.failing) {
        set_result(pid, -options_.errnum);
        task.failing = false;
      }
      if (task.argument != 0) {
        restore_first_argument(pid, task.argument);
        task.argument = 0;
      }
      return;
    }
    const std::string call = call_name(info.entry.nr);
    const int number = ++counts_[task.role + " " + call];
    const bool meant =
        task.role == options_.role && call == options_.call && number == options_.number;
    if (options_.list || meant) {
      std::fprintf(options_.report, "%s %s %d\n", task.role.c_str(), call.c_str(), number);
    }
    if (!meant) {
      return;
    }
    std::fflush(options_.report);
    if (options_.errnum == kill_it) {
      kill(pid, SIGKILL);
    } else if (options_.errnum == freeze_it) {
      std::ofstream(options_.freezer) << '1';
    } else if (call == "brk") {
      task.argument = static_cast<long>(info.entry.args[0]);
      set_first_argument(pid, 0);
    } else {
      if (call != "close") {
        take_call_away(pid);
      }
      task.failing = true;
    }
  }

  const Options& options_;
  std::map<pid_t, Task> tasks_;
  std::map<std::string, int> kinds_;
  std::map<std::string, int> counts_;
};

constexpr std::string_view freeze_word = "FREEZE=";

/// Returns an errno by its name, `kill_it` for KILL or `freeze_it` for FREEZE=; 0 for any other
/// name.
int fault_of(std::string_view name) {
  if (name == "KILL") {
    return kill_it;
  }
  if (name.starts_with(freeze_word)) {
    return freeze_it;
  }
  for (int errnum = 1; errnum < 200; ++errnum) {
    const char* known = strerrorname_np(errnum);
    if (known != nullptr && name == known) {
      return errnum;
    }
  }
  return 0;
}

/// Returns false if the arguments are wrong.
bool parse(int argc, char** argv, Options& options) {
  if (argc < 4) {
    return false;
  }
  int at = 2;
  options.list = std::string_view(argv[at]) == "list";
  if (options.list) {
    ++at;
  } else {
    if (argc < 7) {
      return false;
    }
    options.role = argv[at++];
    options.call = argv[at++];
    options.number = std::atoi(argv[at++]);
    const std::string_view fault = argv[at++];
    options.errnum = fault_of(fault);
    if (options.errnum == freeze_it) {
      options.freezer = fault.substr(freeze_word.size());
    }
    if (options.number < 1 || options.errnum == 0) {
      return false;
    }
  }
  if (at + 1 < argc && std::string_view(argv[at]) == "--init") {
    options.init = std::atoi(argv[at + 1]);
    at += 2;
  }
  options.command = argv + at;
  return at < argc;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: fault REPORT list|(ROLE CALL NUMBER ERRNO|KILL|FREEZE=FILE) [--init PID] "
                 "COMMAND...\n");
    return 2;
  }
  options.report = std::fopen(argv[1], "we");
  if (options.report == nullptr) {
    die(argv[1]);
  }
  // A caller that has waited too long ends this program by SIGTERM, and with it the command.
  struct sigaction action = {};
  action.sa_handler = on_timeout;
  sigaction(SIGTERM, &action, nullptr);
  const int status = Tracer(options).run();
  std::fclose(options.report);
  return status;
}
