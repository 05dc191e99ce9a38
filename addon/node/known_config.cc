#include "known_config.h"

#include <mutex>
#include <optional>
#include <utility>

#include "tare/container.h"

namespace tare::node {

namespace {

struct Known {
  std::mutex mutex;
  std::string text;
  std::shared_ptr<const Spec> spec;
};

}  // namespace

std::shared_ptr<const Spec> known_config(const std::string& config) {
  // Never destroyed: threads may need it while the process ends.
  static Known& known = *new Known;
  {
    const std::lock_guard lock(known.mutex);
    if (known.spec && known.text == config) return known.spec;
  }
  std::optional<Spec> sound = sound_config(config);
  if (!sound) return nullptr;
  auto spec = std::make_shared<const Spec>(std::move(*sound));
  const std::lock_guard lock(known.mutex);
  known.text = config;
  known.spec = spec;
  return spec;
}

}  // namespace tare::node
