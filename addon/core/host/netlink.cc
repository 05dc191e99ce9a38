#include "host/netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "tare/error.h"

namespace tare {
namespace {

constexpr std::size_t buffer_size = std::size_t{64}
                                    << 10;  // the kernel's messages are at most 32 KiB

std::size_t aligned(std::size_t size) {
  return (size + NLMSG_ALIGNTO - 1) & ~(std::size_t{NLMSG_ALIGNTO} - 1);
}

}  // namespace

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  append({reinterpret_cast<const char*>(&header), sizeof header});
}

void NetlinkMessage::append(std::string_view bytes) {
  bytes_.append(bytes);
  bytes_.resize(aligned(bytes_.size()));
}

NetlinkMessage& NetlinkMessage::attribute(std::uint16_t type, std::string_view value) {
  rtattr header{};
  header.rta_len = static_cast<std::uint16_t>(sizeof header + value.size());
  header.rta_type = type;
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  append(value);
  return *this;
}

NetlinkMessage& NetlinkMessage::attribute(std::uint16_t type, std::uint32_t value) {
  return attribute(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
}

NetlinkMessage& NetlinkMessage::attribute_name(std::uint16_t type, const std::string& value) {
  return attribute(type, std::string_view(value.c_str(), value.size() + 1));
}

std::string_view NetlinkReply::attribute(std::size_t fixed_size, std::uint16_t type) const {
  for (std::size_t at = aligned(fixed_size); at + sizeof(rtattr) <= payload_.size();) {
    rtattr header{};
    std::memcpy(&header, payload_.data() + at, sizeof header);
    if (header.rta_len < sizeof header || at + header.rta_len > payload_.size()) {
      break;
    }
    if ((header.rta_type & NLA_TYPE_MASK) == type) {
      return payload_.substr(at + sizeof header, header.rta_len - sizeof header);
    }
    at += aligned(header.rta_len);
  }
  return {};
}

NetlinkSocket::NetlinkSocket()
    : socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  if (!socket_) {
    throw_errno("socket", "NETLINK_ROUTE");
  }
}

int NetlinkSocket::request(const NetlinkMessage& message) {
  return request(message, [](NetlinkReply) {});
}

int NetlinkSocket::request(const NetlinkMessage& message,
                           const std::function<void(NetlinkReply)>& take) {
  std::string bytes = message.bytes_;
  nlmsghdr header{};
  std::memcpy(&header, bytes.data(), sizeof header);
  header.nlmsg_len = static_cast<std::uint32_t>(bytes.size());
  header.nlmsg_seq = ++sequence_;
  header.nlmsg_flags |= (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP ? 0 : NLM_F_ACK;
  std::memcpy(bytes.data(), &header, sizeof header);
  if (send(socket_.get(), bytes.data(), bytes.size(), 0) < 0) {
    throw_errno("send", "NETLINK_ROUTE");
  }
  std::string buffer(buffer_size, '\0');
  for (;;) {
    const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw_errno("recv", "NETLINK_ROUTE");
    }
    const std::string_view all(buffer.data(), static_cast<std::size_t>(got));
    for (std::size_t at = 0; at + sizeof header <= all.size();) {
      std::memcpy(&header, all.data() + at, sizeof header);
      if (header.nlmsg_len < sizeof header || at + header.nlmsg_len > all.size()) {
        return EBADMSG;
      }
      const std::string_view payload =
          all.substr(at + sizeof header, header.nlmsg_len - sizeof header);
      at += aligned(header.nlmsg_len);
      if (header.nlmsg_seq != sequence_) {
        continue;
      }
      if (header.nlmsg_type == NLMSG_DONE) {
        return 0;
      }
      if (header.nlmsg_type == NLMSG_ERROR) {
        return -NetlinkReply(payload).fixed<nlmsgerr>().error;
      }
      take(NetlinkReply(payload));
    }
  }
}

}  // namespace tare
