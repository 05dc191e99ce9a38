// Messages: see "Message Format" of the specification.

#include "systemd/dbus/message.h"

#include <bit>
#include <cstring>
#include <utility>

#include "systemd/dbus/dbus.h"

namespace tare::dbus {

namespace {

constexpr char byte_order = std::endian::native == std::endian::little ? 'l' : 'B';
constexpr std::uint8_t protocol_version = 1;
constexpr std::uint8_t no_auto_start = 0x2;
/// Byte order, type, flags, version, length of the body, serial, length of the array of fields.
constexpr std::size_t fixed_part = 16;
constexpr std::size_t max_size = std::size_t{16} << 20;

/// Codes of the header's fields.
enum Field : std::uint8_t {
  path = 1,
  interface = 2,
  member = 3,
  error_name = 4,
  reply_serial = 5,
  destination = 6,
  sender = 7,
  signature = 8,
};

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

Value byte(std::uint8_t value) {
  Value result;
  result.signature = "y";
  result.number = value;
  return result;
}

void add_field(std::vector<Value>& fields, Field code, Value value) {
  fields.push_back(structure({byte(code), variant(std::move(value))}));
}

void add_text(std::vector<Value>& fields, Field code, char type, const std::string& text) {
  if (!text.empty()) {
    Value value = string(text);
    value.signature = std::string(1, type);
    add_field(fields, code, std::move(value));
  }
}

void take_field(Message& message, std::string& body_signature, const Value& field) {
  const Value& value = field.items[1].items.front();
  switch (field.items[0].number) {
    case Field::path:
      message.path = value.text;
      break;
    case Field::interface:
      message.interface = value.text;
      break;
    case Field::member:
      message.member = value.text;
      break;
    case Field::error_name:
      message.error_name = value.text;
      break;
    case Field::reply_serial:
      message.reply_serial = static_cast<std::uint32_t>(value.number);
      break;
    case Field::destination:
      message.destination = value.text;
      break;
    case Field::sender:
      message.sender = value.text;
      break;
    case Field::signature:
      body_signature = value.text;
      break;
    default:  // unknown fields must be ignored
      break;
  }
}

}  // namespace

std::string encode(const Message& message) {
  std::string body;
  std::string body_signature;
  for (const Value& value : message.body) {
    body_signature += value.signature;
    marshal(body, value);
  }
  std::vector<Value> fields;
  add_text(fields, Field::path, 'o', message.path);
  add_text(fields, Field::interface, 's', message.interface);
  add_text(fields, Field::member, 's', message.member);
  add_text(fields, Field::error_name, 's', message.error_name);
  if (message.reply_serial != 0) {
    add_field(fields, Field::reply_serial, uint32(message.reply_serial));
  }
  add_text(fields, Field::destination, 's', message.destination);
  add_text(fields, Field::sender, 's', message.sender);
  add_text(fields, Field::signature, 'g', body_signature);

  std::string bytes;
  marshal(bytes, byte(static_cast<std::uint8_t>(byte_order)));
  marshal(bytes, byte(static_cast<std::uint8_t>(message.type)));
  marshal(bytes, byte(no_auto_start));
  marshal(bytes, byte(protocol_version));
  marshal(bytes, uint32(static_cast<std::uint32_t>(body.size())));
  marshal(bytes, uint32(message.serial));
  marshal(bytes, array("(yv)", std::move(fields)));
  bytes.append((8 - bytes.size() % 8) % 8, '\0');
  return bytes + body;
}

std::optional<std::size_t> message_size(std::string_view bytes) {
  if (bytes.size() < fixed_part) {
    return std::nullopt;
  }
  if (bytes[0] != byte_order || bytes[3] != protocol_version) {
    fail_message("unexpected message header");
  }
  const std::size_t body = number_at(bytes, 4);
  const std::size_t fields = number_at(bytes, 12);
  if (body > max_size || fields > max_size || body + fields > max_size) {
    fail_message("a message of more than 16 MiB");
  }
  return (fixed_part + fields + 7) / 8 * 8 + body;
}

Message decode(std::string_view bytes) {
  if (bytes.size() < fixed_part || message_size(bytes) != bytes.size()) {
    fail_message("the length of a message differs from the one in its header");
  }
  Message message;
  message.type = static_cast<MessageType>(bytes[1]);
  message.serial = number_at(bytes, 8);
  const std::size_t fields_end = fixed_part + number_at(bytes, 12);
  std::string body_signature;
  const std::vector<Value> header = unmarshal(bytes.substr(0, fields_end), "yyyyuua(yv)");
  for (const Value& field : header.back().items) {
    take_field(message, body_signature, field);
  }
  message.body = unmarshal(bytes.substr((fields_end + 7) / 8 * 8), body_signature);
  return message;
}

}  // namespace tare::dbus
