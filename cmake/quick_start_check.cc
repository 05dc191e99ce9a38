// Uses the parts of libc and the C++ runtime that the command line uses. Exits with 0 if all of
// them work with quick_start.cc.
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace {

thread_local int counter = 5;

bool exceptions_work() {
  try {
    throw std::runtime_error("text");
  } catch (const std::exception& error) {
    return std::strcmp(error.what(), "text") == 0;
  }
}

bool memory_works() {
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < 3000; ++i) {
    strings.emplace_back(i * 7, 'a');
  }
  std::string large(8 << 20, 'x');
  const std::string copy = large;
  large.insert(3, "y");
  return strings.back().find('b') == std::string::npos && copy.size() + 1 == large.size() &&
         std::memcmp(copy.data(), large.data() + 4, copy.size() - 3) == 0 &&
         std::strlen(copy.c_str()) == copy.size();
}

bool text_works() {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%s %d %.1f", strerror(ENOENT), counter++, 1.5);
  return std::strcmp(buffer, "No such file or directory 5 1.5") == 0 && counter == 6;
}

bool thread_works() {
  pthread_t thread{};
  void* result = nullptr;
  const auto body = [](void*) -> void* {
    errno = EBADF;
    return &counter;
  };
  errno = 0;
  return pthread_create(&thread, nullptr, body, nullptr) == 0 &&
         pthread_join(thread, &result) == 0 && result != &counter && errno == 0;
}

bool spawn_works(char* self) {
  char argument[] = "child";
  char* argv[] = {self, argument, nullptr};
  pid_t pid = -1;
  int status = 0;
  return posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv, environ) == 0 &&
         waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    return std::getenv("PATH") != nullptr || environ != nullptr ? 42 : 1;
  }
  return exceptions_work() && memory_works() && text_works() && thread_works() &&
                 spawn_works(argv[0])
             ? 0
             : 1;
}
