// Shared by the sources of json.h: rapidjson's values.
#pragma once

// Finds the ends of strings sixteen bytes at a time; does not detect invalid UTF-8 in them.
#ifdef __SSE2__
#define RAPIDJSON_SSE2
#endif
#include <rapidjson/document.h>

#include <string_view>

namespace tare::json {

using Node = rapidjson::Value;

inline const Node& node_of(const void* node) { return *static_cast<const Node*>(node); }

inline std::string_view text_of(const Node& node) {
  return {node.GetString(), node.GetStringLength()};
}

}  // namespace tare::json
