// Parses the list of files that a root gets when it is mounted.
#include "json/fields.h"
#include "tare/container.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr const char* document_name = "rootEntries";

void take(RootEntry& entry, RootEntry::Kind kind, const json::Value& value) {
  if (entry.kind != RootEntry::Kind::directory) {
    value.fail("an entry is a link or a file; leave one of link and content out");
  }
  entry.kind = kind;
}

constexpr json::Field<RootEntry> fields[] = {
    {"path", json::read_member<&RootEntry::path>, json::required},
    {"link",
     [](RootEntry& entry, const json::Value& value) {
       take(entry, RootEntry::Kind::link, value);
       json::read(entry.text, value);
     }},
    {"content",
     [](RootEntry& entry, const json::Value& value) {
       take(entry, RootEntry::Kind::file, value);
       entry.text = value.as_string();
     }},
};

}  // namespace

std::vector<RootEntry> parse_root_entries(const std::string& text) {
  std::vector<RootEntry> entries;
  const json::Document document(text, document_name);
  json::check_count(document.root());
  document.root().for_each_element([&entries](const json::Value& value) {
    json::read_fields(entries.emplace_back(), value, fields);
    if (!entries.back().path.starts_with('/')) {
      value.fail("path must be absolute");
    }
  });
  return entries;
}

}  // namespace tare
