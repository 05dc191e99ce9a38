// callers: many processes at once, each of which executes one command line after the other.
//
//   callers SECONDS TIMEOUT < SCRIPT
//
// SCRIPT has one of these per line, its fields separated by tabs:
//
//   command ARGUMENT...   a command line; the first one has the number 0
//   caller NUMBER...      one more caller, and what it executes
//
// Each call that has ended prints a line of JSON: {"command":3,"began":N,"ended":N,"status":0,
// "signal":0,"stdout":"...","stderr":"..."}; times are nanoseconds of CLOCK_MONOTONIC. After
// SECONDS no caller begins another call, and a line {"stopped":true} is printed; the program ends
// with the last call. A call that takes longer than TIMEOUT seconds is killed, and has
// "hangs":"...", the place in the kernel where it was waiting.
//
// Commands are started by vfork from a small static process, so that the commands, and not this
// program, keep the machine busy. Their output goes to memory, which containers that live on may
// hold too.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

constexpr int64_t second = 1'000'000'000;

struct Command {
  std::vector<std::string> arguments;
  std::vector<char*> argv;
};

struct Caller {
  std::vector<size_t> commands;
  size_t next = 0;
  pid_t pid = -1;  // none
  int64_t began = 0;
  int out = -1;
  int err = -1;
  std::string hangs;
};

int64_t now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<int64_t>(time.tv_sec) * second + time.tv_nsec;
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields(1);
  for (char c : line) {
    if (c == '\t') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

bool read_script(std::vector<Command>& commands, std::vector<Caller>& callers) {
  char* buffer = nullptr;
  size_t capacity = 0;
  for (ssize_t size = 0; (size = getline(&buffer, &capacity, stdin)) > 0;) {
    std::string line(buffer, static_cast<size_t>(size));
    if (line.back() == '\n') line.pop_back();
    std::vector<std::string> fields = split(line);
    const std::string kind = fields.front();
    fields.erase(fields.begin());
    if (kind == "command" && !fields.empty()) {
      commands.push_back({std::move(fields), {}});
    } else if (kind == "caller") {
      callers.emplace_back();
      for (const std::string& field : fields) {
        callers.back().commands.push_back(strtoul(field.c_str(), nullptr, 10));
        if (callers.back().commands.back() >= commands.size()) return false;
      }
    } else {
      return false;
    }
  }
  free(buffer);
  for (Command& command : commands) {
    for (std::string& argument : command.arguments) command.argv.push_back(argument.data());
    command.argv.push_back(nullptr);
  }
  return !callers.empty();
}

std::string read_all(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) < 0) return {};
  std::string text(static_cast<size_t>(status.st_size), '\0');
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  text.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return text;
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      json += escape;
    } else {
      json += c;
    }
  }
  return json + '"';
}

bool begin(Caller& caller, const std::vector<Command>& commands, int null) {
  const Command& command = commands[caller.commands[caller.next]];
  caller.out = memfd_create("stdout", MFD_CLOEXEC);
  caller.err = memfd_create("stderr", MFD_CLOEXEC);
  caller.began = now();
  const pid_t pid = caller.out < 0 || caller.err < 0 ? -1 : vfork();
  if (pid == 0) {
    dup2(null, 0);
    dup2(caller.out, 1);
    dup2(caller.err, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv(command.argv[0], command.argv.data());
    _exit(127);
  }
  if (pid < 0) {
    perror("callers");
    return false;
  }
  caller.pid = pid;
  return true;
}

void end(Caller& caller, int status) {
  const int64_t ended = now();
  const std::string hangs = caller.hangs.empty() ? "" : ",\"hangs\":" + quoted(caller.hangs);
  printf(
      "{\"command\":%zu,\"began\":%lld,\"ended\":%lld,\"status\":%d,\"signal\":%d,\"stdout\":%s,"
      "\"stderr\":%s%s}\n",
      caller.commands[caller.next], static_cast<long long>(caller.began),
      static_cast<long long>(ended), WIFEXITED(status) ? WEXITSTATUS(status) : -1,
      WIFSIGNALED(status) ? WTERMSIG(status) : 0, quoted(read_all(caller.out)).c_str(),
      quoted(read_all(caller.err)).c_str(), hangs.c_str());
  close(caller.out);
  close(caller.err);
  caller.hangs.clear();
  caller.pid = -1;
  ++caller.next;
}

/// Returns the name of the kernel function that a process waits in.
std::string place_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/wchan";
  char text[128] = "?";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  return std::string(text, size < 0 ? 0 : static_cast<size_t>(size));
}

void end_timed_out(std::vector<Caller>& callers, int64_t timeout) {
  for (Caller& caller : callers) {
    if (caller.pid < 0 || !caller.hangs.empty() || now() - caller.began < timeout) continue;
    caller.hangs = place_of(caller.pid);
    kill(caller.pid, SIGKILL);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long seconds = argc == 3 ? strtol(argv[1], nullptr, 10) : 0;
  const long timeout = argc == 3 ? strtol(argv[2], nullptr, 10) : 0;
  std::vector<Command> commands;
  std::vector<Caller> callers;
  if (seconds <= 0 || timeout <= 0 || !read_script(commands, callers)) {
    fprintf(stderr, "usage: callers SECONDS TIMEOUT < SCRIPT\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);

  const int64_t stop = now() + seconds * second;
  bool stopping = false;
  for (;;) {
    if (!stopping && now() >= stop) {
      stopping = true;
      printf("{\"stopped\":true}\n");
      fflush(stdout);
    }
    bool busy = false;
    for (Caller& caller : callers) {
      if (caller.pid < 0 && !stopping && caller.next < caller.commands.size() &&
          !begin(caller, commands, null)) {
        return 1;
      }
      busy = busy || caller.pid >= 0;
    }
    if (!busy) return 0;
    int status = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0) {
      const timespec tick = {.tv_sec = 0, .tv_nsec = 200'000'000};
      sigtimedwait(&child, nullptr, &tick);
      end_timed_out(callers, timeout * second);
      fflush(stdout);
    }
    for (; pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
      for (Caller& caller : callers) {
        if (caller.pid == pid) end(caller, status);
      }
    }
  }
}
