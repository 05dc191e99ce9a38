// Input from a D-Bus socket: messages, and the text formats of values and addresses. The first byte
// selects one.
#include "systemd/dbus/dbus.h"

#include "fuzz.h"

namespace {

namespace dbus = tare::dbus;

void check_message(const std::string& bytes) {
  const auto announced = dbus::message_size(bytes);
  fuzz::require(!announced || *announced >= 16, "a message of less than its header");
  const dbus::Message message = dbus::decode(bytes);
  fuzz::require(announced == bytes.size(), "a message of another length");
  // A decoded message can be encoded again, and decodes to the same message.
  const std::string encoded = dbus::encode(message);
  const std::string again = dbus::encode(dbus::decode(encoded));
  fuzz::require(again == encoded, "a message is read otherwise");
}

void check_text(const std::string& text) {
  const dbus::Value value = dbus::parse_text(text);
  std::string bytes;
  dbus::marshal(bytes, value);
  const auto values = dbus::unmarshal(bytes, value.signature);
  fuzz::require(values.size() == 1, "a value is read as several");
  std::string again;
  dbus::marshal(again, values.front());
  fuzz::require(again == bytes, "a value is read otherwise");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text = fuzz::text(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      fuzz::accepts([&] { check_message(text); });
      break;
    case 1:
      fuzz::accepts([&] { check_text(text); });
      break;
    case 2:
      dbus::parse_addresses(text);
      break;
    default: {
      // The signature ends at the first NUL.
      const std::size_t end = text.find('\0');
      if (end == std::string::npos) return 0;
      fuzz::accepts([&] { dbus::unmarshal(text.substr(end + 1), text.substr(0, end)); });
    }
  }
  return 0;
}
