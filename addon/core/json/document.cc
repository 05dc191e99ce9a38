// Parsing, and the position of its errors.
#include <rapidjson/error/error.h>

#include <algorithm>

#include "base/utf8.h"
#include "json/json.h"
#include "json/node.h"
#include "tare/error.h"

namespace tare::json {

namespace {

/// No format parsed here needs deeper nesting, and parsing and searching are recursive.
constexpr int depth_limit = 64;

/// Forwards all events to the document under construction and limits the depth.
class DepthCheck {
 public:
  explicit DepthCheck(rapidjson::Document& document) : document_(document) {}

  bool Null() { return document_.Null(); }
  bool Bool(bool value) { return document_.Bool(value); }
  bool Int(int value) { return document_.Int(value); }
  bool Uint(unsigned value) { return document_.Uint(value); }
  bool Int64(std::int64_t value) { return document_.Int64(value); }
  bool Uint64(std::uint64_t value) { return document_.Uint64(value); }
  bool Double(double value) { return document_.Double(value); }
  bool RawNumber(const char* text, rapidjson::SizeType length, bool copy) {
    return document_.RawNumber(text, length, copy);
  }
  bool String(const char* text, rapidjson::SizeType length, bool copy) {
    return document_.String(text, length, copy);
  }
  bool Key(const char* text, rapidjson::SizeType length, bool copy) {
    return document_.Key(text, length, copy);
  }
  bool StartObject() { return ++depth_ <= depth_limit && document_.StartObject(); }
  bool EndObject(rapidjson::SizeType count) {
    --depth_;
    return document_.EndObject(count);
  }
  bool StartArray() { return ++depth_ <= depth_limit && document_.StartArray(); }
  bool EndArray(rapidjson::SizeType count) {
    --depth_;
    return document_.EndArray(count);
  }

 private:
  rapidjson::Document& document_;
  int depth_ = 0;
};

/// Callback of `rapidjson::Document::Populate`.
struct Generator {
  char* text;
  rapidjson::ParseResult result;

  bool operator()(rapidjson::Document& document) {
    rapidjson::InsituStringStream stream(text);
    rapidjson::Reader reader;
    DepthCheck handler(document);
    result = reader.Parse<rapidjson::kParseInsituFlag>(stream, handler);
    return !result.IsError();
  }
};

const char* parse_error_text(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorDocumentEmpty:
      return "the text is empty";
    case rapidjson::kParseErrorDocumentRootNotSingular:
      return "text follows the end of the JSON value";
    case rapidjson::kParseErrorValueInvalid:
      return "expected a JSON value";
    case rapidjson::kParseErrorObjectMissName:
      return "expected a member name in double quotes, or }";
    case rapidjson::kParseErrorObjectMissColon:
      return "expected a colon after the member name";
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket:
      return "expected a comma or } after the member";
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket:
      return "expected a comma or ] after the element";
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex:
      return "expected four hexadecimal digits after \\u";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
      return "a surrogate stands alone; both halves of a \\u pair are needed";
    case rapidjson::kParseErrorStringEscapeInvalid:
      return "unknown escape sequence in a string";
    case rapidjson::kParseErrorStringMissQuotationMark:
      return "the string has no closing quotation mark";
    case rapidjson::kParseErrorNumberTooBig:
      return "the number is too big";
    case rapidjson::kParseErrorNumberMissFraction:
      return "expected a digit after the decimal point";
    case rapidjson::kParseErrorNumberMissExponent:
      return "expected a digit in the exponent";
    case rapidjson::kParseErrorTermination:
      return "nested deeper than 64 levels";
    case rapidjson::kParseErrorNone:
    case rapidjson::kParseErrorStringInvalidEncoding:
    case rapidjson::kParseErrorUnspecificSyntaxError:
      break;
  }
  return "not valid JSON";
}

[[noreturn]] void fail_at(const std::string& name, std::string_view text, std::size_t offset,
                          std::string_view message) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t line_start = before.rfind('\n') + 1;
  // Counts characters, as editors do: skips the continuation bytes of UTF-8.
  const auto column =
      std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(),
                    [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }) +
      1;
  throw Error(ErrorKind::invalid_config, name + ": line " + std::to_string(line) + ", column " +
                                             std::to_string(column) + ": " + std::string(message));
}

/// Returns a copy that may be read up to fifteen bytes beyond its end, as required by the SSE2
/// string scan.
std::string padded(const std::string& text) {
  std::string copy;
  copy.reserve(text.size() + 16);
  copy.append(text);
  return copy;
}

}  // namespace

struct Document::Parsed {
  explicit Parsed(const std::string& source)
      : text(padded(source)),
        // Values take about as many bytes as their text; unused memory is never touched.
        allocator(std::max<std::size_t>(source.size(), 4096)),
        document(&allocator, 4096) {}

  std::string text;
  rapidjson::MemoryPoolAllocator<> allocator;
  rapidjson::Document document;
};

Document::Document(std::string text, std::string name)
    : name_(std::move(name)), root_(nullptr, this) {
  // rapidjson treats a NUL as the end of the text and would ignore the rest.
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    fail_at(name_, text, nul, "a NUL byte, where JSON text is expected");
  }
  if (const std::size_t valid = valid_utf8_prefix(text); valid < text.size()) {
    fail_at(name_, text, valid, "a byte that is not UTF-8");
  }
  // Parsing decodes strings in place; lines and columns refer to the original text.
  parsed_ = std::make_unique<Parsed>(text);
  Generator generator{parsed_->text.data(), {}};
  parsed_->document.Populate(generator);
  if (generator.result.IsError()) {
    const std::size_t offset = generator.result.Offset();
    const bool control = offset < text.size() && static_cast<unsigned char>(text[offset]) < ' ';
    // rapidjson reports a control character in a string as a bad escape sequence.
    const bool raw =
        generator.result.Code() == rapidjson::kParseErrorStringEscapeInvalid && control;
    fail_at(name_, text, offset,
            raw ? "a control character in a string; write it as an escape sequence"
                : parse_error_text(generator.result.Code()));
  }
  root_ = Value(static_cast<const Node*>(&parsed_->document), this);
}

Document::~Document() = default;

}  // namespace tare::json
