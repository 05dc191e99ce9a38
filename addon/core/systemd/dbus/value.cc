// Values and their wire format: see "Message Protocol" and "Marshaling" of the specification.

#include <algorithm>
#include <cstring>
#include <utility>

#include "systemd/dbus/dbus.h"
#include "systemd/dbus/message.h"

namespace tare::dbus {

namespace {

/// The specification allows arrays and structs to be nested 32 levels deep each.
constexpr int max_value_depth = 64;

/// Returns size and alignment of the types of fixed size; 0 for others.
std::size_t fixed_size(char type) {
  switch (type) {
    case 'y':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
      return 4;
    case 'x':
    case 't':
    case 'd':
      return 8;
    default:
      return 0;
  }
}

std::size_t alignment(char type) {
  switch (type) {
    case '(':
    case '{':
      return 8;
    case 's':
    case 'o':
    case 'a':
      return 4;
    case 'g':
    case 'v':
      return 1;
    default:
      return fixed_size(type);
  }
}

bool is_text(char type) { return type == 's' || type == 'o' || type == 'g'; }

/// Returns the length of the complete type at the beginning; 0 if there is none.
std::size_t type_length(std::string_view signature, int depth) {
  if (signature.empty() || depth > max_value_depth) {
    return 0;
  }
  const char type = signature.front();
  if (fixed_size(type) != 0 || is_text(type) || type == 'v') {
    return 1;
  }
  if (type == 'a') {
    const std::size_t element = type_length(signature.substr(1), depth + 1);
    return element == 0 ? 0 : element + 1;
  }
  const char close = type == '(' ? ')' : type == '{' ? '}' : '\0';
  std::size_t at = 1;
  while (close != '\0' && at < signature.size()) {
    if (signature[at] == close) {
      return at == 1 ? 0 : at + 1;
    }
    const std::size_t member = type_length(signature.substr(at), depth + 1);
    if (member == 0) {
      return 0;
    }
    at += member;
  }
  return 0;
}

void pad(std::string& out, std::size_t to) { out.append((to - out.size() % to) % to, '\0'); }

template <typename Number>
void put(std::string& out, Number number) {
  char raw[sizeof number];
  std::memcpy(raw, &number, sizeof number);
  out.append(raw, sizeof number);
}

void put_fixed(std::string& out, const Value& value) {
  switch (fixed_size(value.signature.front())) {
    case 1:
      return put(out, static_cast<std::uint8_t>(value.number));
    case 2:
      return put(out, static_cast<std::uint16_t>(value.number));
    case 4:
      return put(out, static_cast<std::uint32_t>(value.number));
    default:
      return value.signature == "d" ? put(out, value.real) : put(out, value.number);
  }
}

void put_text(std::string& out, const Value& value) {
  if (value.signature == "g") {
    put(out, static_cast<std::uint8_t>(value.text.size()));
  } else {
    put(out, static_cast<std::uint32_t>(value.text.size()));
  }
  out.append(value.text).push_back('\0');
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::vector<Value> read_all(std::string_view signature, int depth) {
    std::vector<Value> values;
    while (!signature.empty()) {
      const std::string_view type = first_type(signature);
      if (type.empty()) {
        fail_message("a message has the type " + std::string(signature));
      }
      values.push_back(read(type, depth));
      signature.remove_prefix(type.size());
    }
    return values;
  }

 private:
  Value read(std::string_view type, int depth) {
    if (depth > max_value_depth) {
      fail_message("a message is nested too deep");
    }
    Value value;
    value.signature = type;
    const char kind = type.front();
    align(alignment(kind));
    if (fixed_size(kind) != 0) {
      read_fixed(value);
    } else if (is_text(kind)) {
      const std::size_t size = kind == 'g' ? number<std::uint8_t>() : number<std::uint32_t>();
      value.text = take(size);
      take(1);
    } else if (kind == 'v') {
      const std::string inner(take(number<std::uint8_t>()));
      take(1);
      if (first_type(inner).size() != inner.size() || inner.empty()) {
        fail_message("a variant has the type " + inner);
      }
      value.items.push_back(read(inner, depth + 1));
    } else if (kind == 'a') {
      read_elements(value, type.substr(1), depth + 1);
    } else {
      value.items = read_all(type.substr(1, type.size() - 2), depth + 1);
    }
    return value;
  }

  void read_fixed(Value& value) {
    const char kind = value.signature.front();
    switch (fixed_size(kind)) {
      case 1:
        value.number = number<std::uint8_t>();
        break;
      case 2:
        value.number = kind == 'n' ? static_cast<std::uint64_t>(number<std::int16_t>())
                                   : number<std::uint16_t>();
        break;
      case 4:
        value.number = kind == 'i' ? static_cast<std::uint64_t>(number<std::int32_t>())
                                   : number<std::uint32_t>();
        break;
      default:
        if (kind == 'd') {
          value.real = number<double>();
        } else {
          value.number = number<std::uint64_t>();
        }
    }
  }

  void read_elements(Value& value, std::string_view element, int depth) {
    const std::size_t size = number<std::uint32_t>();
    align(alignment(element.front()));
    if (size > bytes_.size() - at_) {
      fail_message("a message ends within an array");
    }
    const std::size_t end = at_ + size;
    while (at_ < end) {
      value.items.push_back(read(element, depth));
    }
    if (at_ != end) {
      fail_message("an array does not end at its length");
    }
  }

  void align(std::size_t to) { take((to - at_ % to) % to); }

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) {
      fail_message("a message ends within a value");
    }
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  template <typename Number>
  Number number() {
    Number result;
    std::memcpy(&result, take(sizeof result).data(), sizeof result);
    return result;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
};

Value fixed(char type, std::uint64_t number) {
  Value value;
  value.signature = std::string(1, type);
  value.number = number;
  return value;
}

}  // namespace

Value string(std::string_view text) {
  Value value;
  value.signature = "s";
  value.text = text;
  return value;
}

Value boolean(bool value) { return fixed('b', value ? 1 : 0); }
Value uint32(std::uint32_t value) { return fixed('u', value); }
Value uint64(std::uint64_t value) { return fixed('t', value); }

Value bytes(std::string_view bytes) {
  std::vector<Value> items;
  for (const char byte : bytes) {
    items.push_back(fixed('y', static_cast<unsigned char>(byte)));
  }
  return array("y", std::move(items));
}

Value array(std::string_view element, std::vector<Value> items) {
  Value value;
  value.signature = "a" + std::string(element);
  value.items = std::move(items);
  return value;
}

Value structure(std::vector<Value> members) {
  Value value;
  value.signature = "(";
  for (const Value& member : members) {
    value.signature += member.signature;
  }
  value.signature += ")";
  value.items = std::move(members);
  return value;
}

Value variant(Value value) {
  Value result;
  result.signature = "v";
  result.items.push_back(std::move(value));
  return result;
}

std::string_view first_type(std::string_view signature) noexcept {
  return signature.substr(0, type_length(signature, 0));
}

void marshal(std::string& out, const Value& value) {
  const char kind = value.signature.front();
  pad(out, alignment(kind));
  if (fixed_size(kind) != 0) {
    put_fixed(out, value);
  } else if (is_text(kind)) {
    put_text(out, value);
  } else if (kind == 'v') {
    const Value& inner = value.items.front();
    put(out, static_cast<std::uint8_t>(inner.signature.size()));
    out.append(inner.signature).push_back('\0');
    marshal(out, inner);
  } else if (kind == 'a') {
    const std::size_t length_at = out.size();
    put(out, std::uint32_t{0});
    // The padding before the first element is not part of the length, and is present without
    // elements too.
    pad(out, alignment(value.signature[1]));
    const std::size_t begin = out.size();
    for (const Value& item : value.items) {
      marshal(out, item);
    }
    const auto length = static_cast<std::uint32_t>(out.size() - begin);
    std::memcpy(out.data() + length_at, &length, sizeof length);
  } else {
    for (const Value& item : value.items) {
      marshal(out, item);
    }
  }
}

std::vector<Value> unmarshal(std::string_view bytes, std::string_view signature) {
  return Reader(bytes).read_all(signature, 0);
}

}  // namespace tare::dbus
