#include "tare/printable.h"

#include <doctest/doctest.h>

using tare::printable;
using tare::printable_line;
using tare::printable_quoted;

TEST_CASE("text without control characters stays as it is") {
  CHECK(printable("").empty());
  CHECK(printable("plain \xc3\xa4 \xf0\x9f\x98\x80") == "plain \xc3\xa4 \xf0\x9f\x98\x80");
}

TEST_CASE("control characters are escaped") {
  CHECK(printable("a\x1b[31mb") == "a\\u001b[31mb");
  CHECK(printable("\x7f") == "\\u007f");
  CHECK(printable("\xc2\x9b") == "\\u009b");
  // Line separator, and the override of the direction.
  CHECK(printable("\xe2\x80\xa8") == "\\u2028");
  CHECK(printable("\xe2\x80\xae") == "\\u202e");
}

TEST_CASE("bytes that are not UTF-8 are escaped") {
  CHECK(printable("a\xffz") == "a\\xffz");
  // A surrogate, an overlong form, and a character that the text's end cuts off.
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");
  CHECK(printable("\xc0\xaf") == "\\xc0\\xaf");
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");
}

TEST_CASE("line breaks stay in text and are escaped in a line") {
  CHECK(printable("a\nb\tc") == "a\nb\tc");
  CHECK(printable_line("a\nb\tc").find_first_of("\n\t") == std::string::npos);
}

TEST_CASE("a quoted text is a string of JSON") {
  CHECK(printable_quoted("a\"b\\c\n") == "\"a\\\"b\\\\c\\n\"");
  CHECK(printable_quoted("") == "\"\"");
}
