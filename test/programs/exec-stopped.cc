// exec-stopped ROOT ID: executes `true` with a terminal in a container, and stops while the process
// that is being set up waits for this one.
#include <signal.h>
#include <stdio.h>

#include <exception>

#include "tare/container.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    tare::Runtime runtime;
    runtime.root = argv[1];
    tare::Container container = tare::Container::open(runtime, argv[2]);
    tare::ExecOptions options;
    options.process.args = {"/bin/busybox", "true"};
    options.process.cwd = "/";
    options.process.terminal = true;
    options.allow_terminal_without_socket = true;
    options.prepare_console = [](int) { raise(SIGSTOP); };
    container.exec(options);
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
