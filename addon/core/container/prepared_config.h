// What containers share if they differ only in their command: see prepare_config().
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "container/bundle.h"
#include "plan/start.h"
#include "tare/container.h"
#include "tare/plan.h"

namespace tare {

/// The first start parses, validates and compiles what all of them share. What depends on the host
/// is examined at each start. Can be used from any thread.
class PreparedConfig {
 public:
  PreparedConfig(std::string bundle, std::string config, std::string process,
                 const std::string& root_entries);

  /// Returns the bundle of one container. Throws the errors of read_bundle().
  Bundle bundle(const CreateOptions& options);
  /// Returns container_filter() for the specification of a bundle of bundle().
  SeccompFilter filter(const Spec& spec, const Runtime& runtime);
  /// Returns make_plan() for a bundle of bundle(). `first_own_id`: of its range, if it has one.
  Plan plan(const Spec& spec, const Host& host, const PlanOptions& options,
            std::uint32_t first_own_id);

 private:
  void parse();
  /// The bundle of a container whose process, or configuration, must be parsed as a whole.
  Bundle parsed_bundle(const CreateOptions& options) const;
  std::string text(const Command& command) const;
  std::shared_ptr<const PlanStart> start(const Host& host, const PlanOptions& options);

  const std::string path_;
  const std::string config_;
  const std::string process_;
  const std::string root_entries_text_;

  std::once_flag is_parsed_;
  // After parse():
  std::shared_ptr<const std::vector<RootEntry>> root_entries_;
  std::optional<Bundle> common_;  ///< its process lacks the command; none: parsed at each start

  std::mutex mutex_;
  std::optional<Seccomp> profile_;  ///< that of common_, until it is compiled
  std::optional<SeccompFilter> filter_;
  std::shared_ptr<const PlanStart> start_;  ///< of the last container
};

}  // namespace tare
