// A process that ends while its files in /proc are read.
#include "base/process_stat.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "base/doctest_error.h"

TEST_CASE("a process that is reaped while its file is opened or read does not exist") {
  // The kernel reaps the children: open(2) and read(2) fail with ESRCH if it does so meanwhile.
  const auto before = signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < 500; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      _exit(0);
    }
    REQUIRE(child > 0);
    const std::string error = tare::test::error_of([child] {
      while (tare::process_stat(child)) {
      }
    });
    CHECK(error == "");
  }
  signal(SIGCHLD, before);
}
