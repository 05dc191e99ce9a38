// Compiles and runs seccomp profiles, for test/seccomp.
//
//   seccomp compile CONFIG CACHE        writes the program (struct sock_filter[]) to stdout
//   seccomp flags CONFIG CACHE          prints the flags, as a number
//   seccomp run CONFIG ABI:CALL[:ARG,..] ...
//                                       makes each call under CONFIG's filter, in a process of its
//                                       own, and prints the result; CALL is a name or a number, ABI
//                                       is native or (x86-64) i386
//
// CACHE is a directory, or "" for none.

#include "tare/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tare/error.h"
#include "tare/fd.h"
#include "tare/spec.h"

namespace {

using tare::Error;
using tare::Seccomp;
using tare::SeccompFilter;

Seccomp read_profile(const std::string& path) {
  tare::Spec spec = tare::parse_spec(tare::read_file(AT_FDCWD, path), path);
  return spec.linux_.seccomp.value();
}

// --- run ----------------------------------------------------------------------------------------

struct Call {
  bool i386 = false;
  long number = 0;
  std::array<unsigned long, 6> args{};
};

/// The outcome of a probed call, shared with the process that waits for the probe.
struct Outcome {
  enum Kind { none, returned, trapped } kind;
  long value;  ///< the call's result, or the errno that came with SIGSYS
};

Outcome* outcome;

[[noreturn]] void end(Outcome::Kind kind, long value) {
  outcome->value = value;
  outcome->kind = kind;
  __builtin_trap();  // the filter could refuse a system call
}

void on_sigsys(int, siginfo_t* info, void*) { end(Outcome::trapped, info->si_errno); }

long make_call(const Call& call) {
  const auto& a = call.args;
  long result;
#if defined(__x86_64__)
  if (call.i386) {
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(call.number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                 : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(result);
  }
  register unsigned long r10 asm("r10") = a[3];
  register unsigned long r8 asm("r8") = a[4];
  register unsigned long r9 asm("r9") = a[5];
  asm volatile("syscall"
               : "=a"(result)
               : "a"(call.number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
               : "memory", "rcx", "r11");
  return result;
#else
  result = syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
  return result == -1 ? -errno : result;
#endif
}

/// Runs in a thread of its own, so that the end of a thread can be told from the end of a process.
void probe_in_thread(const SeccompFilter& filter, const Call& call) {
  struct sigaction action{};
  action.sa_sigaction = on_sigsys;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSYS, &action, nullptr);
  std::string program = filter.program;
  const sock_fprog loaded{static_cast<unsigned short>(program.size() / sizeof(sock_filter)),
                          reinterpret_cast<sock_filter*>(program.data())};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &loaded) != 0) {
    std::perror("seccomp");
    std::_Exit(99);
  }
  end(Outcome::returned, make_call(call));
}

std::string probe(const SeccompFilter& filter, const Call& call) {
  *outcome = {Outcome::none, 0};
  const pid_t child = fork();
  if (child == 0) {
    std::thread(probe_in_thread, std::cref(filter), std::cref(call)).join();
    std::_Exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    tare::throw_errno("fork");
  }
  switch (outcome->kind) {
    case Outcome::returned:
      return outcome->value < 0 && outcome->value >= -4095
                 ? tare::errno_name(static_cast<int>(-outcome->value))
                 : "ok";
    case Outcome::trapped:
      return "SIGSYS with " + std::to_string(outcome->value);
    case Outcome::none:
      break;
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
    return "process killed";
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "thread killed" : "probe failed";
}

Call parse_call(const std::string& text) {
  Call call;
  const std::size_t colon = text.find(':');
  call.i386 = text.substr(0, colon) == "i386";
  std::string name = text.substr(colon + 1);
  if (const std::size_t second = name.find(':'); second != std::string::npos) {
    const std::string list = name.substr(second + 1);
    name.resize(second);
    const char* at = list.c_str();
    for (unsigned long& arg : call.args) {
      char* next = nullptr;
      arg = std::strtoul(at, &next, 0);
      if (*next != ',') {
        break;
      }
      at = next + 1;
    }
  }
  char* rest = nullptr;
  call.number = std::strtol(name.c_str(), &rest, 0);
  if (*rest != '\0') {
    call.number = seccomp_syscall_resolve_name_arch(call.i386 ? SCMP_ARCH_X86 : SCMP_ARCH_NATIVE,
                                                    name.c_str());
  }
  return call;
}

int run(int argc, char** argv) {
  const SeccompFilter filter = tare::compile_seccomp(read_profile(argv[2]), "");
  outcome = static_cast<Outcome*>(
      mmap(nullptr, sizeof(Outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (int i = 3; i < argc; ++i) {
    const std::string result = probe(filter, parse_call(argv[i]));
    std::printf("%s\n", result.c_str());
    std::fflush(stdout);
  }
  return 0;
}

int flags(char** argv) {
  std::printf("%u\n", tare::compile_seccomp(read_profile(argv[2]), argv[3]).flags);
  return 0;
}

int compile(char** argv) {
  const SeccompFilter filter = tare::compile_seccomp(read_profile(argv[2]), argv[3]);
  tare::write_all(STDOUT_FILENO, filter.program, "stdout");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 3 ? argv[1] : "";
  try {
    if (command == "compile") {
      return compile(argv);
    }
    if (command == "flags") {
      return flags(argv);
    }
    if (command == "run") {
      return run(argc, argv);
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: seccomp compile|flags|run ...\n");
  return 2;
}
