// spawn: runs the command lines of several contenders in turn and times them.
//
//   spawn ROUNDS < SCRIPT > SAMPLES
//
// SCRIPT has one step per line, its fields separated by tabs:
//
//   contender NAME          the following steps are this contender's
//   before STEP...          once, before the rounds
//   each STEP...            in each round
//   after STEP...           once, after the rounds, whatever happened
//
// and a STEP is one of
//
//   run ARGUMENT...         run a command; it must succeed
//   time ARGUMENT...        the same, with its wall time and its peak memory as a sample
//   reap PIDFILE            wait for the process whose pid is in the file
//   pss                     the memory of all processes left by this contender's commands, as a
//                           sample
//
// In each round another contender is first, and the direction alternates, so that work that one
// leaves to the kernel falls on different ones. Each contender's steps of a round print one line:
// {"round":0,"contender":"a","ns":[...],"rss_kib":[...],"pss_kib":[...]}, one element per sample.
//
// Commands are started by vfork from a small static process: the cost of starting and reaping them
// from a big one, and its noise, stay out of the samples. Peak memory is what wait4 reports, for
// the command and for the children that it waited for itself (with `run`: the container's process).
// It is at least this process's own memory, because the address space that a command leaves at its
// exec is counted: see the line {"own_rss_kib":N} that is printed last.
//
// Containers' processes become this process's children when their runtime exits (subreaper), so
// that their end is awaited without polling.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

struct Step {
  std::string action;
  std::vector<std::string> arguments;
};

struct Contender {
  std::string name;
  std::vector<Step> before, each, after;
};

struct Samples {
  std::string ns, rss_kib, pss_kib;
};

void append(std::string& list, int64_t number) {
  if (!list.empty()) list += ",";
  list += std::to_string(number);
}

int64_t now_ns() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
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

bool read_script(std::vector<Contender>& contenders) {
  char* buffer = nullptr;
  size_t capacity = 0;
  for (ssize_t size = 0; (size = getline(&buffer, &capacity, stdin)) > 0;) {
    std::string line(buffer, static_cast<size_t>(size));
    if (line.back() == '\n') line.pop_back();
    std::vector<std::string> fields = split(line);
    if (fields.size() == 2 && fields[0] == "contender") {
      contenders.push_back({fields[1], {}, {}, {}});
      continue;
    }
    std::vector<Step>* steps = nullptr;
    if (!contenders.empty()) {
      if (fields[0] == "before") steps = &contenders.back().before;
      if (fields[0] == "each") steps = &contenders.back().each;
      if (fields[0] == "after") steps = &contenders.back().after;
    }
    if (steps == nullptr || fields.size() < 2) {
      fprintf(stderr, "spawn: not a line of a script: %s\n", line.c_str());
      return false;
    }
    steps->push_back({fields[1], {fields.begin() + 2, fields.end()}});
  }
  free(buffer);
  return !contenders.empty();
}

/// Runs a command with stdin and stdout on /dev/null. Returns its wait status, or -1.
int execute(const std::vector<std::string>& arguments, int64_t& elapsed_ns, rusage& usage) {
  static const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int64_t begin = now_ns();
  pid_t pid = vfork();
  if (pid == 0) {
    dup2(null, 0);
    dup2(null, 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = -1;
  if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) return -1;
  elapsed_ns = now_ns() - begin;
  return status;
}

bool reap(const std::string& pid_file) {
  FILE* file = fopen(pid_file.c_str(), "re");
  int pid = 0;
  bool known = file != nullptr && fscanf(file, "%d", &pid) == 1 && pid > 1;
  if (file != nullptr) fclose(file);
  if (known && waitpid(pid, nullptr, 0) == pid) return true;
  fprintf(stderr, "spawn: reap %s: %s\n", pid_file.c_str(),
          known ? strerror(errno) : "no pid in it");
  return false;
}

/// Returns the number behind "NAME:" in a file of /proc/PID, or 0 if there is none (any more).
int64_t number_in(const char* pid, const char* file_name, const std::string& name) {
  std::string path = std::string("/proc/") + pid + "/" + file_name;
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return 0;
  char line[256];
  int64_t number = 0;
  while (fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, name.c_str(), name.size()) != 0 || line[name.size()] != ':') continue;
    number = strtoll(line + name.size() + 1, nullptr, 10);
    break;
  }
  fclose(file);
  return number;
}

/// Returns the memory of all descendants of this process; -1 if there are none.
int64_t descendants_pss_kib() {
  int64_t sum = -1;
  std::vector<pid_t> family = {getpid()};
  for (size_t i = 0; i < family.size(); i++) {
    DIR* proc = opendir("/proc");
    if (proc == nullptr) return -1;
    while (dirent* entry = readdir(proc)) {
      if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
      if (number_in(entry->d_name, "status", "PPid") != family[i]) continue;
      family.push_back(atoi(entry->d_name));
      sum = (sum < 0 ? 0 : sum) + number_in(entry->d_name, "smaps_rollup", "Pss");
    }
    closedir(proc);
  }
  return sum;
}

bool execute_step(const Step& step, Samples& samples) {
  if (step.action == "reap" && step.arguments.size() == 1) return reap(step.arguments[0]);
  if (step.action == "pss" && step.arguments.empty()) {
    int64_t sum = descendants_pss_kib();
    if (sum < 0) fprintf(stderr, "spawn: pss: no process is left\n");
    append(samples.pss_kib, sum);
    return sum >= 0;
  }
  bool timed = step.action == "time";
  if ((!timed && step.action != "run") || step.arguments.empty()) {
    fprintf(stderr, "spawn: not a step: %s\n", step.action.c_str());
    return false;
  }
  int64_t elapsed_ns = 0;
  rusage usage = {};
  int status = execute(step.arguments, elapsed_ns, usage);
  if (timed) {
    append(samples.ns, elapsed_ns);
    append(samples.rss_kib, usage.ru_maxrss);
  }
  if (status == 0) return true;
  fprintf(stderr, "spawn: status %d:", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + status);
  for (const auto& argument : step.arguments) fprintf(stderr, " %s", argument.c_str());
  fputc('\n', stderr);
  return false;
}

bool execute_steps(const std::vector<Step>& steps, Samples& samples) {
  for (const auto& step : steps) {
    if (!execute_step(step, samples)) return false;
  }
  return true;
}

bool execute_rounds(const std::vector<Contender>& contenders, long rounds) {
  size_t count = contenders.size();
  for (size_t round = 0; round < static_cast<size_t>(rounds); round++) {
    for (size_t i = 0; i < count; i++) {
      const size_t place = round / count % 2 == 0 ? i : count - i;
      const Contender& contender = contenders[(round + place) % count];
      Samples samples;
      if (!execute_steps(contender.each, samples)) return false;
      printf("{\"round\":%zu,\"contender\":\"%s\",\"ns\":[%s],\"rss_kib\":[%s],\"pss_kib\":[%s]}\n",
             round, contender.name.c_str(), samples.ns.c_str(), samples.rss_kib.c_str(),
             samples.pss_kib.c_str());
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  long rounds = argc == 2 ? strtol(argv[1], nullptr, 10) : 0;
  std::vector<Contender> contenders;
  if (rounds <= 0 || !read_script(contenders)) {
    fprintf(stderr, "usage: spawn ROUNDS < SCRIPT > SAMPLES\n");
    return 2;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);

  bool good = true;
  Samples ignored;
  for (const auto& contender : contenders) good = good && execute_steps(contender.before, ignored);
  good = good && execute_rounds(contenders, rounds);
  for (const auto& contender : contenders) {
    for (const auto& step : contender.after) good = execute_step(step, ignored) && good;
  }
  printf("{\"own_rss_kib\":%lld}\n", static_cast<long long>(number_in("self", "status", "VmHWM")));
  return good && fflush(stdout) == 0 ? 0 : 1;
}
