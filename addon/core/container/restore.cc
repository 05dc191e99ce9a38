// restore: makes a new container from a checkpoint, by criu.
#include <memory>
#include <string>
#include <utility>

#include "container/impl.h"
#include "container/restoration.h"
#include "tare/error.h"
#include "tare/validate.h"

namespace tare {

Container Container::restore(const Runtime& given, const std::string& id,
                             const CreateOptions& options, const RestoreOptions& from) {
  const ErrorContext context("restore", id);
  validate_id(id);
  refuse_without_privilege();
  auto impl = std::make_unique<Impl>();
  impl->runtime = resolve_runtime(given);
  Restoration restoration(impl->runtime, id, options, from, impl->dir, impl->record);
  restoration.prepare();
  restoration.make_resources();
  restoration.start_criu();
  restoration.restore_processes();
  impl->init = restoration.hand_over();
  impl->created_cgroup = restoration.take_cgroup();
  impl->dir.unlock();
  return Container(std::move(impl));
}

}  // namespace tare
