// Prints plans: for `tare plan` and for goldens.
#include "json/json.h"
#include "plan/builder.h"

namespace tare {

std::string namespace_names(std::uint64_t flags) {
  std::string names;
  for (int i = 0; i < namespace_type_count; ++i) {
    const auto type = static_cast<NamespaceType>(i);
    if ((flags & namespace_clone_flag(type)) != 0) {
      names += names.empty() ? "" : ",";
      names += namespace_name(type);
    }
  }
  return names;
}

std::string Plan::describe(std::size_t op) const { return op_text(*this, ops_[op]); }

std::string Plan::to_text() const {
  std::string text = "clone " + namespace_names(clone_flags_) + "\n";
  for (const Join& join : joins_) {
    const std::string& path = passed_[static_cast<std::size_t>(join.passed)].path;
    text.insert(0, "nsenter " + namespace_names(join.type) + " " + path + "\n");
  }
  std::size_t width = 0;
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    width = std::to_string(i).size();
  }
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    const std::string number = std::to_string(i);
    std::string line = std::string(width - number.size(), ' ') + number + "  ";
    line += op_text(*this, ops_[i]);
    const std::string_view origin = this->text(ops_[i].origin);
    if (!origin.empty()) {
      if (line.size() < 72) {
        line.append(72 - line.size(), ' ');
      }
      line.append("  # ").append(origin);
    }
    text += line + "\n";
  }
  return text;
}

std::string Plan::to_json() const {
  json::Writer writer(2);
  writer.begin_object();
  writer.key("clone").string(namespace_names(clone_flags_));
  writer.key("joins").begin_array();
  for (const Join& join : joins_) {
    writer.begin_object();
    writer.key("type").string(namespace_names(join.type));
    writer.key("path").string(passed_[static_cast<std::size_t>(join.passed)].path);
    writer.end_object();
  }
  writer.end_array();
  writer.key("ops").begin_array();
  for (const wire::Op& op : ops_) {
    writer.begin_object();
    writer.key("op").string(op_name(op.code));
    writer.key("text").string(op_text(*this, op));
    const std::string_view origin = text(op.origin);
    if (!origin.empty()) {
      writer.key("origin").string(origin);
    }
    writer.key("flags").number(op.flags);
    writer.key("values").begin_array();
    for (const std::uint64_t value : {op.a, op.b, op.c, op.d, op.e}) {
      writer.number_unsigned(value);
    }
    writer.end_array();
    writer.end_object();
  }
  writer.end_array();
  writer.end_object();
  return writer.take() + "\n";
}

}  // namespace tare
