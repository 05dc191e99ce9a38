// linux.netDevices: moves network devices of the host into the container's network namespace. A
// move removes a device's addresses and sets it down; both are restored afterwards.
#include "host/net_devices.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "host/netlink.h"
#include "tare/error.h"

namespace tare {
namespace {

struct Address {
  ifaddrmsg header{};
  std::string local;
  std::string address;
  std::string broadcast;
  std::uint32_t flags = 0;
};

std::string path_of(const std::string& name) { return "linux.netDevices[\"" + name + "\"]"; }

[[noreturn]] void fail(const std::string& name, const std::string& what, int errnum,
                       const std::string& remedy = {}) {
  throw Error(ErrorKind::system,
              "config.json: " + path_of(name) + ": " + what + ": " + errno_text(errnum) + remedy)
      .with_errno(errnum, "rtnetlink")
      .with_path(path_of(name));
}

/// Returns the index of the device; none if the namespace has no such device.
std::optional<int> find_device(NetlinkSocket& socket, const std::string& name) {
  NetlinkMessage get(RTM_GETLINK, 0, ifinfomsg{});
  get.attribute_name(IFLA_IFNAME, name);
  std::optional<int> index;
  const int error = socket.request(
      get, [&index](NetlinkReply reply) { index = reply.fixed<ifinfomsg>().ifi_index; });
  if (error != 0 && error != ENODEV) {
    fail(name, "look for the device", error);
  }
  return index;
}

/// Returns the addresses that the spec requires to keep: permanent ones of global scope.
std::vector<Address> kept_addresses(NetlinkSocket& socket, const std::string& name, int index) {
  std::vector<Address> addresses;
  const int error =
      socket.request(NetlinkMessage(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}), [&](NetlinkReply reply) {
        Address found;
        found.header = reply.fixed<ifaddrmsg>();
        const auto attribute = [&reply](std::uint16_t type) {
          return std::string(reply.attribute(sizeof(ifaddrmsg), type));
        };
        found.flags = found.header.ifa_flags;
        if (const std::string flags = attribute(IFA_FLAGS); flags.size() == sizeof found.flags) {
          std::memcpy(&found.flags, flags.data(), sizeof found.flags);
        }
        if (static_cast<int>(found.header.ifa_index) != index ||
            (found.flags & IFA_F_PERMANENT) == 0 || found.header.ifa_scope != RT_SCOPE_UNIVERSE) {
          return;
        }
        found.local = attribute(IFA_LOCAL);
        found.address = attribute(IFA_ADDRESS);
        found.broadcast = attribute(IFA_BROADCAST);
        addresses.push_back(std::move(found));
      });
  if (error != 0) {
    fail(name, "read the device's addresses", error);
  }
  return addresses;
}

void add_address(NetlinkSocket& socket, const std::string& name, int index,
                 const Address& address) {
  // Omits flags that the kernel determines itself (tentative, secondary, …).
  constexpr std::uint32_t given = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR |
                                  IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
  ifaddrmsg header = address.header;
  header.ifa_index = static_cast<std::uint32_t>(index);
  header.ifa_flags = 0;
  NetlinkMessage add(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  const std::pair<std::uint16_t, const std::string&> parts[] = {{IFA_LOCAL, address.local},
                                                                {IFA_ADDRESS, address.address},
                                                                {IFA_BROADCAST, address.broadcast}};
  for (const auto& [type, value] : parts) {
    if (!value.empty()) {
      add.attribute(type, std::string_view(value));
    }
  }
  add.attribute(IFA_FLAGS, address.flags & given);
  if (const int error = socket.request(add); error != 0) {
    fail(name, "add its address in the container", error);
  }
}

/// Returns an unused name for a device during its move.
std::string passing_name(int index) { return "tare-" + std::to_string(index); }

void rename_device(NetlinkSocket& socket, const std::string& name, int index,
                   const std::string& new_name) {
  ifinfomsg link{};
  link.ifi_index = index;
  NetlinkMessage message(RTM_NEWLINK, 0, link);
  message.attribute_name(IFLA_IFNAME, new_name);
  if (const int error = socket.request(message); error != 0) {
    fail(name, "rename it to " + new_name + " in the container", error);
  }
}

void set_up(NetlinkSocket& socket, const std::string& name, int index) {
  ifinfomsg link{};
  link.ifi_index = index;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  if (const int error = socket.request(NetlinkMessage(RTM_NEWLINK, 0, link)); error != 0) {
    fail(name, "set it up in the container", error);
  }
}

struct Move {
  const std::string& name;
  std::string new_name;
  int index = 0;
  bool is_template = false;  // the kernel replaces "%d" by a number
};

/// Checks that run before any change.
Move check_device(NetlinkSocket& host, NetlinkSocket& container, const std::string& name,
                  const NetDevice& device) {
  Move move{name, device.name.empty() ? name : device.name};
  move.is_template = move.new_name.find('%') != std::string::npos;
  const std::optional<int> index = find_device(host, name);
  if (!index.has_value()) {
    fail(name, "link not found for interface " + name + " on runtime namespace", ENODEV,
         "; the device must be in the network namespace that tare is started in: see `ip link`");
  }
  move.index = *index;
  if (!move.is_template && find_device(container, move.new_name).has_value()) {
    fail(name, "the container's network namespace has a device " + move.new_name + " already",
         EEXIST, "; give another name, or one with \"%d\" for a number that is free");
  }
  return move;
}

void carry_out(NetlinkSocket& host, NetlinkSocket& container, int container_namespace,
               const Move& move) {
  const std::vector<Address> addresses = kept_addresses(host, move.name, move.index);
  ifinfomsg link{};
  link.ifi_index = move.index;
  NetlinkMessage message(RTM_NEWLINK, 0, link);
  const std::string arriving = move.is_template ? passing_name(move.index) : move.new_name;
  message.attribute_name(IFLA_IFNAME, arriving);
  message.attribute(IFLA_NET_NS_FD, static_cast<std::uint32_t>(container_namespace));
  if (const int error = host.request(message); error != 0) {
    fail(move.name, "move it to the container's network namespace", error,
         error == EINVAL ? "; devices of this kind are bound to their network namespace" : "");
  }
  // The index may differ in the other namespace.
  const std::optional<int> index = find_device(container, arriving);
  if (!index.has_value()) {
    fail(move.name, "find it in the container's network namespace", ENODEV);
  }
  if (move.is_template) {
    rename_device(container, move.name, *index, move.new_name);
  }
  for (const Address& address : addresses) {
    add_address(container, move.name, *index, address);
  }
  set_up(container, move.name, *index);
}

}  // namespace

void move_net_devices(const std::vector<std::pair<std::string, NetDevice>>& devices,
                      int container_namespace, Fd container_socket) {
  const ErrorContext context("move network devices to the container");
  NetlinkSocket host;
  NetlinkSocket container(std::move(container_socket));
  std::vector<Move> moves;
  for (const auto& [name, device] : devices) {
    moves.push_back(check_device(host, container, name, device));
  }
  for (const Move& move : moves) {
    carry_out(host, container, container_namespace, move);
  }
}

void set_up_loopback(Fd socket) {
  NetlinkSocket container(std::move(socket));
  set_up(container, "lo", 1);  // in every network namespace
}

}  // namespace tare
