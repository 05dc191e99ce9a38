// The steps of a plan that are the same for all containers whose configurations differ only in the
// command: all that come before the process's own.
#pragma once

#include <functional>
#include <vector>

#include "tare/plan.h"

namespace tare {

/// Those of PlanOptions that concern these steps.
struct StartOptions {
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool reaper = false;
  bool operator==(const StartOptions&) const = default;
};
inline StartOptions start_options(const PlanOptions& options) {
  return {options.no_pivot, options.no_new_keyring, options.reaper};
}

/// What these steps depend on, apart from the configuration.
struct PlanFacts {
  Host host;  ///< no step depends on its seccomp and cgroup_dir
  StartOptions options;
};
/// Whether a start that was made with `facts` serves for `host` and `options`.
bool same_facts(const PlanFacts& facts, const Host& host, const StartOptions& options);

struct PlanStart {
  PlanFacts facts;
  Plan plan;
};

/// Whether make_plan() can change each step before the process's own that depends on the command or
/// the container. It cannot for a joined user namespace, nor for a mount of the cgroup tree.
bool has_common_start(const Spec& spec);
/// `root_entries` may be null.
PlanStart make_plan_start(const Spec& spec, PlanFacts facts,
                          const std::vector<RootEntry>* root_entries);
/// Makes the same plan as make_plan() without a start, which must have been made with the facts of
/// `host` and `options`. `change_mapping` changes the id mappings of the start to those of `spec`.
Plan make_plan(const PlanStart& start, const Spec& spec, const Host& host,
               const PlanOptions& options, const std::function<void(IdMapping&)>& change_mapping);

}  // namespace tare
