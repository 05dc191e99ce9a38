#include "known_config.h"

#include <mutex>
#include <optional>
#include <utility>

#include "tare/container.h"

namespace tare::node {

namespace {

/// Caches the last text of a kind, parsed.
template <class Parsed>
class Last {
 public:
  /// Returns `text` as `parse` parses it, into a std::optional<Parsed>; null if that is empty.
  template <class Parse>
  std::shared_ptr<const Parsed> of(const std::string& text, Parse parse) {
    {
      const std::lock_guard lock(mutex_);
      if (parsed_ && text_ == text) return parsed_;
    }
    std::optional<Parsed> parsed = parse(text);
    if (!parsed) return nullptr;
    auto shared = std::make_shared<const Parsed>(std::move(*parsed));
    const std::lock_guard lock(mutex_);
    text_ = text;
    parsed_ = shared;
    return shared;
  }

 private:
  std::mutex mutex_;
  std::string text_;
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace

// Neither cache is ever destroyed: threads may need them while the process ends.

std::shared_ptr<const Spec> known_config(const std::string& config) {
  static auto& last = *new Last<Spec>;
  return last.of(config, sound_config);
}

std::shared_ptr<const std::vector<RootEntry>> known_root_entries(const std::string& text) {
  static auto& last = *new Last<std::vector<RootEntry>>;
  return last.of(text,
                 [](const std::string& given) { return std::optional(parse_root_entries(given)); });
}

}  // namespace tare::node
