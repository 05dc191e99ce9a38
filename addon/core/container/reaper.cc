// The host's side of a reaper: reads what it reports, and sends signals for its program.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "container/impl.h"
#include "spawn/process_end.h"
#include "tare/error.h"
#include "tare/pidfd.h"

namespace tare {

void make_room_for_reaper(Resources& resources) {
  std::optional<std::int64_t>& limit = resources.pids_limit;
  if (limit && *limit >= 0 && *limit < std::numeric_limits<std::int64_t>::max()) {
    limit = std::max<std::int64_t>(*limit, 1) + 1;
  }
}

std::optional<ProgramEnd> read_program_end(int fd) noexcept {
  std::uint64_t word = 0;
  wire::Ending ending;
  if (read(fd, &word, sizeof word) != ssize_t{sizeof word} || !wire::unpack(word, ending)) {
    return std::nullopt;
  }
  ProgramEnd end;
  end.signal = static_cast<int>(ending.status & 0x7f);
  end.code = static_cast<int>(ending.status >> 8);
  end.max_rss = ending.max_rss << 10;
  return end;
}

namespace {

constexpr std::string_view init_name = "the container's init";

/// Sends a signal that the reaper itself cannot catch, as the value of a SIGTSTP.
bool send_carried(int pidfd, int signal) {
  siginfo_t info{};
  info.si_signo = SIGTSTP;
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = wire::carried_signal | signal;
  return send_signal(pidfd, SIGTSTP, init_name, &info);
}

}  // namespace

bool signal_init(int pidfd, bool has_reaper, int signal) {
  return has_reaper && signal == SIGSTOP ? send_carried(pidfd, signal)
                                         : send_signal(pidfd, signal, init_name);
}

void set_late_reaper(LateReaper reaper) noexcept { reap_late_by(reaper); }

bool kill_by_reaper(int pidfd) { return send_carried(pidfd, SIGKILL); }

}  // namespace tare
