// Ops that join or create namespaces, and that set up a new user namespace and session.
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/sockios.h>

#include "init.h"

namespace init {

Outcome do_setns(Context& context, const Op& op) {
  return check(sys::call(__NR_setns, context.passed(op.fd), op.a), Step::setns);
}

Outcome do_unshare(Context& /*context*/, const Op& op) {
  return check(sys::call(__NR_unshare, op.a), Step::unshare);
}

// This op precedes the change of root, so /proc is the caller's.
Outcome do_time_offsets(Context& context, const Op& op) {
  Handle file(sys::call(__NR_openat, AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
  if (!file.valid()) {
    return failure(file.get(), Step::open);
  }
  return check(sys::write(file.get(), context.text(op, 0), op.n), Step::write);
}

Outcome do_enter_time(Context& /*context*/, const Op& /*op*/) {
  Handle file(
      sys::call(__NR_openat, AT_FDCWD, "/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return failure(file.get(), Step::open);
  }
  constexpr int clone_newtime = 0x80;
  return check(sys::call(__NR_setns, file.get(), clone_newtime), Step::setns);
}

Outcome do_become_root(Context& /*context*/, const Op& op) {
  if ((op.flags & tare::wire::op_no_setgroups) == 0) {
    if (const long result = sys::call(__NR_setgroups, 0, 0L); result < 0) {
      return failure(result, Step::setgroups);
    }
  }
  if (const long result = sys::call(__NR_setresgid, 0, 0, 0); result < 0) {
    return failure(result, Step::setgid);
  }
  if (const long result = sys::call(__NR_setresuid, 0, 0, 0); result < 0) {
    return failure(result, Step::setuid);
  }
  // The vfork child has made the capabilities inheritable and ambient, so that they survive
  // execve(2) of an unmapped user. Clearing the inheritable set clears the ambient one too.
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (const long result = sys::call(__NR_capget, &header, data); result < 0) {
    return failure(result, Step::capset);
  }
  data[0].inheritable = 0;
  data[1].inheritable = 0;
  return check(sys::call(__NR_capset, &header, data), Step::capset);
}

Outcome do_loopback_up(Context& /*context*/, const Op& /*op*/) {
  constexpr int af_unix = 1;
  constexpr int sock_dgram_cloexec = 2 | 02000000;
  // Interface ioctls work on any socket (netdevice(7)); a unix socket makes the kernel load no
  // protocol.
  Handle socket(sys::call(__NR_socket, af_unix, sock_dgram_cloexec, 0));
  if (!socket.valid()) {
    return failure(socket.get(), Step::socket);
  }
  ifreq request{};
  memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return check(sys::call(__NR_ioctl, socket.get(), SIOCSIFFLAGS, &request), Step::ioctl);
}

Outcome do_new_session(Context& /*context*/, const Op& /*op*/) {
  return check(sys::call(__NR_setsid), Step::setsid);
}

Outcome do_keyring(Context& context, const Op& op) {
  const long ring = sys::call(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING,
                              op.str[0] == 0 ? nullptr : context.text(op, 0));
  if (ring == -ENOSYS) {
    return ok;  // a kernel without CONFIG_KEYS: there is no keyring to isolate
  }
  if (ring < 0) {
    return failure(ring, Step::keyctl);
  }
  // "type;uid;gid;perm;description". The possessor's rights stay, and the user may search the
  // keyring too, so that a process that changes its uid still finds it.
  static char description[512];
  const long got =
      sys::call(__NR_keyctl, KEYCTL_DESCRIBE, ring, description, sizeof description - 1);
  if (got < 0 || got >= static_cast<long>(sizeof description)) {
    return failure(got < 0 ? got : -EINVAL, Step::keyctl);
  }
  const char* at = description;
  for (int fields = 0; fields < 3 && *at != '\0'; ++at) {
    fields += *at == ';';
  }
  std::uint32_t permissions = 0;
  for (; *at != '\0' && *at != ';'; ++at) {
    const char c = *at;
    permissions = permissions * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  constexpr std::uint32_t user_search = 0x00080000;
  return check(sys::call(__NR_keyctl, KEYCTL_SETPERM, ring, permissions | user_search),
               Step::keyctl);
}

}  // namespace init
