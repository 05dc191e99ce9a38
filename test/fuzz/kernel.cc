#include "kernel.h"

#include <asm/unistd.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>

#include "fuzz.h"

namespace sys {

long call6(long number, long a, long b, long c, long d, long e, long f);

}  // namespace sys

namespace {

std::span<const std::uint8_t> answers;
std::size_t at;
char* plan_memory;
std::size_t calls;

/// No sound plan of this size makes so many calls; one that does would never end.
constexpr std::size_t most_calls = 1'000'000;

volatile unsigned seen;

std::uint8_t next() { return at < answers.size() ? answers[at++] : 0; }

void* pointer(long argument) { return reinterpret_cast<void*>(argument); }

/// The kernel reads these bytes.
void read(long argument, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(pointer(argument));
  unsigned sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    sum += bytes[i];
  }
  seen = sum;
}

std::size_t read_string(long argument) {
  return std::strlen(static_cast<const char*>(pointer(argument)));
}

void read_string_if_any(long argument) {
  if (argument != 0) read_string(argument);
}

/// The kernel writes these bytes.
void write(long argument, std::size_t size) {
  auto* bytes = static_cast<unsigned char*>(pointer(argument));
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = next();
  }
}

/// Writes as many bytes as an answer says, at most `size`; returns their number.
long write_some(long argument, std::size_t size) {
  const std::size_t count = std::min(size, std::size_t{next()} * 16 + next() % 16);
  write(argument, count);
  return static_cast<long>(count);
}

/// Returns a result without further meaning: a small number, or an errno that init knows.
long result() {
  static constexpr int errors[] = {EPERM,  ENOENT,  EINTR,   EAGAIN,      EACCES, EBUSY,
                                   EEXIST, ENOTDIR, EINVAL,  ENOSYS,      ELOOP,  ENODATA,
                                   EXDEV,  EMFILE,  ENOTSUP, ENAMETOOLONG};
  const std::uint8_t answer = next();
  return answer < 128 ? answer : -errors[answer % std::size(errors)];
}

long read_vector(long vector) {
  auto** strings = static_cast<char**>(pointer(vector));
  for (; *strings != nullptr; ++strings) {
    seen = static_cast<unsigned>(std::strlen(*strings));
  }
  return 0;
}

/// Writes entries of getdents64(2) as the kernel makes them: complete, and aligned to 8.
long write_entries(long buffer, std::size_t size) {
  constexpr std::size_t head = 19;
  std::size_t used = 0;
  for (int count = next() % 8; count > 0; --count) {
    char name[256] = {};
    const std::size_t length = 1 + next() % 255;
    for (std::size_t i = 0; i < length; ++i) {
      const char c = static_cast<char>(next());
      name[i] = c == '\0' || c == '/' ? '.' : c;
    }
    const std::size_t entry = (head + length + 1 + 7) / 8 * 8;
    if (entry > size - used) break;
    char* to = static_cast<char*>(pointer(buffer)) + used;
    std::memset(to, 0, entry);
    const auto entry_size = static_cast<std::uint16_t>(entry);
    std::memcpy(to + 16, &entry_size, sizeof entry_size);
    std::memcpy(to + head, name, length + 1);
    used += entry;
  }
  return static_cast<long>(used);
}

/// Writes names as flistxattr(2) does: each ends with a NUL.
long write_names(long buffer, std::size_t size) {
  const long count = write_some(buffer, size);
  if (count > 0) static_cast<char*>(pointer(buffer))[count - 1] = '\0';
  return count;
}

/// The result of getcwd(2) includes the NUL.
long write_path(long buffer, std::size_t size) {
  const long count = write_some(buffer, size - 1);
  static_cast<char*>(pointer(buffer))[count] = '\0';
  return count + 1;
}

long receive(long message) {
  auto* header = static_cast<msghdr*>(pointer(message));
  for (std::size_t i = 0; i < header->msg_iovlen; ++i) {
    write(reinterpret_cast<long>(header->msg_iov[i].iov_base), header->msg_iov[i].iov_len);
  }
  const std::size_t control = std::min(header->msg_controllen, std::size_t{next()});
  write(reinterpret_cast<long>(header->msg_control), control);
  header->msg_controllen = control;
  return next() % 8;
}

void read_message(long message) {
  const auto* header = static_cast<const msghdr*>(pointer(message));
  for (std::size_t i = 0; i < header->msg_iovlen; ++i) {
    read(reinterpret_cast<long>(header->msg_iov[i].iov_base), header->msg_iov[i].iov_len);
  }
  read(reinterpret_cast<long>(header->msg_control), header->msg_controllen);
}

void read_filter(long program) {
  const auto* filter = static_cast<const sock_fprog*>(pointer(program));
  read(reinterpret_cast<long>(filter->filter), filter->len * sizeof(sock_filter));
}

std::optional<long> keyring(long a, long b, long c, long d) {
  if (a == KEYCTL_JOIN_SESSION_KEYRING) read_string_if_any(b);
  if (a != KEYCTL_DESCRIBE) return std::nullopt;
  // KEYCTL_DESCRIBE returns the length of the description, even if the buffer is shorter.
  const long written = write_some(c, static_cast<std::size_t>(d));
  return written == d ? written + next() : written;
}

void control(long request, long argument) {
  switch (request) {
    case SIOCSIFFLAGS:
      read(argument, 40);
      break;
    case TIOCSWINSZ:
      read(argument, sizeof(winsize));
      break;
    case TIOCSPTLCK:
      read(argument, sizeof(int));
      break;
    default:
      break;
  }
}

/// Calls on paths, and on what paths and descriptors refer to.
bool on_files(long number, long a, long b, long c, long d, long e, std::optional<long>& bytes) {
  switch (number) {
    case __NR_openat:
    case __NR_mkdirat:
    case __NR_mknodat:
    case __NR_unlinkat:
    case __NR_fchownat:
    case __NR_fchmodat:
    case __NR_faccessat2:
      read_string(b);
      break;
    case __NR_openat2:
      read_string(b);
      read(c, static_cast<std::size_t>(d));
      break;
    case __NR_utimensat:
      read_string(b);
      read(c, 32);
      break;
    case __NR_symlinkat:
      read_string(a);
      read_string(c);
      break;
    case __NR_chdir:
    case __NR_chroot:
      read_string(a);
      break;
    case __NR_statx:
      read_string(b);
      write(e, sizeof(struct statx));
      break;
    case __NR_fstatfs:
      write(b, 120);
      break;
    case __NR_readlinkat:
      read_string(b);
      bytes = write_some(c, static_cast<std::size_t>(d));
      break;
    case __NR_getcwd:
      bytes = write_path(a, static_cast<std::size_t>(b));
      break;
    case __NR_getdents64:
      bytes = write_entries(b, static_cast<std::size_t>(c));
      break;
    case __NR_flistxattr:
      bytes = write_names(b, static_cast<std::size_t>(c));
      break;
    case __NR_fgetxattr:
      read_string(b);
      bytes = write_some(c, static_cast<std::size_t>(d));
      break;
    case __NR_fsetxattr:
      read_string(b);
      read(c, static_cast<std::size_t>(d));
      break;
    default:
      return false;
  }
  return true;
}

bool on_mounts(long number, long a, long b, long c, long d, long e) {
  switch (number) {
    case __NR_fsopen:
    case __NR_umount2:
      read_string(a);
      break;
    case __NR_open_tree:
    case __NR_fspick:
      read_string(b);
      break;
    case __NR_fsconfig:
      read_string_if_any(c);
      if (b == FSCONFIG_SET_STRING) read_string(d);
      break;
    case __NR_mount_setattr:
      read_string(b);
      read(d, static_cast<std::size_t>(e));
      break;
    case __NR_move_mount:
      read_string(b);
      read_string(d);
      break;
    case __NR_pivot_root:
      read_string(a);
      read_string(b);
      break;
    case __NR_mount:
      for (const long argument : {a, b, c, e}) {
        read_string_if_any(argument);
      }
      break;
    default:
      return false;
  }
  return true;
}

/// All other calls that read or write memory.
void on_memory(long number, long a, long b, long c, long d, std::optional<long>& bytes) {
  switch (number) {
    case __NR_read:
      bytes = write_some(b, static_cast<std::size_t>(c));
      break;
    case __NR_recvfrom:
      bytes = write_some(b, static_cast<std::size_t>(c));
      break;
    case __NR_recvmsg:
      bytes = receive(b);
      break;
    case __NR_write:
    case __NR_sendto:
      read(b, static_cast<std::size_t>(c));
      break;
    case __NR_sendmsg:
      read_message(b);
      break;
    case __NR_sethostname:
    case __NR_setdomainname:
      read(a, static_cast<std::size_t>(b));
      break;
    case __NR_sched_setaffinity:
      read(c, static_cast<std::size_t>(b));
      break;
    case __NR_set_mempolicy:
      if (b != 0) read(b, (static_cast<std::size_t>(c) - 1 + 63) / 64 * 8);
      break;
    case __NR_setgroups:
      read(b, static_cast<std::size_t>(a) * sizeof(std::uint32_t));
      break;
    case __NR_prlimit64:
      read(c, 16);
      break;
    case __NR_capget:
      read(a, 8);
      write(b, 24);
      break;
    case __NR_capset:
      read(a, 8);
      read(b, 24);
      break;
    case __NR_prctl:
      if (a == PR_SET_NAME) read_string(b);
      break;
    case __NR_rt_sigprocmask:
      read(b, 8);
      break;
    case __NR_rt_sigaction:
      read(b, 32);
      break;
    case __NR_seccomp:
      read_filter(c);
      break;
    case __NR_keyctl:
      bytes = keyring(a, b, c, d);
      break;
    case __NR_ioctl:
      control(b, c);
      break;
    default:
      break;
  }
}

}  // namespace

long sys::call6(long number, long a, long b, long c, long d, long e, long /*f*/) {
  fuzz::require(++calls < most_calls, "init does not come to an end");
  if (number == __NR_mmap) return reinterpret_cast<long>(plan_memory);
  if (number == __NR_execve) {
    read_string(a);
    read_vector(b);
    read_vector(c);
    throw fuzz::Ended();
  }
  if (number == __NR_exit_group) throw fuzz::Ended();
  if (number == __NR_close || number == __NR_close_range) return 0;
  std::optional<long> bytes;
  if (!on_files(number, a, b, c, d, e, bytes) && !on_mounts(number, a, b, c, d, e)) {
    on_memory(number, a, b, c, d, bytes);
  }
  const long answer = result();
  // A call that transfers bytes returns their number; or it fails, as any other may.
  return bytes && answer >= 0 ? *bytes : answer;
}

void fuzz::set_kernel(std::span<const std::uint8_t> all, char* plan) {
  answers = all;
  at = 0;
  calls = 0;
  plan_memory = plan;
}
