// config.json: what is parsed, refused, planned, and sent to cgroups and systemd. Another fuzzer
// compiles seccomp profiles, because that takes the most time by far.
#include "cgroup/cgroup.h"
#include "fuzz.h"
#include "plans.h"
#include "systemd/systemd.h"
#include "tare/plan.h"
#include "tare/spec.h"
#include "tare/validate.h"

namespace {

using fuzz::accepts;
using fuzz::require;

void plan(const tare::Spec& spec) {
  for (const tare::Host& host : fuzz::hosts()) {
    tare::PlanOptions options;
    options.id = "c";
    options.start_gate = !host.rootless;
    options.no_pivot = host.in_user_namespace;
    options.preserve_fds = 2;
    options.extra_env = {"LISTEN_FDS=2"};
    accepts([&] { fuzz::check_plan(tare::make_plan(spec, host, options)); });
    tare::ExecPlanOptions exec_options;
    exec_options.id = "c";
    exec_options.paused = host.rootless;
    exec_options.pass_root = !host.in_user_namespace;
    accepts(
        [&] { fuzz::check_plan(tare::make_exec_plan(*spec.process, spec, host, exec_options)); });
    for (const auto* hooks : {&spec.hooks.create_container, &spec.hooks.start_container}) {
      for (const tare::Hook& hook : *hooks) {
        const bool before_pivot = hooks == &spec.hooks.create_container;
        accepts([&] {
          fuzz::check_plan(tare::make_hook_plan(hook, spec, host, before_pivot, before_pivot));
        });
      }
    }
  }
}

void tell_systemd(const tare::Spec& spec) {
  accepts([&] {
    tare::systemd_unit_path(tare::systemd_unit_for(spec, "c"));
    tare::annotated_properties(spec);
  });
  accepts([&] {
    auto settings = tare::cgroup_settings(spec.linux_.resources);
    tare::adapt_to_systemd(settings, 252);
    for (const tare::UnitProperty& property : tare::creation_properties(settings, 252)) {
      std::string bytes;
      tare::dbus::marshal(bytes, property.value);
      require(!tare::dbus::unmarshal(bytes, property.value.signature).empty(), "property");
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  accepts([&] {
    tare::Spec spec = tare::parse_spec(fuzz::text(data, size), "config.json");
    for (const tare::Problem& problem : tare::find_problems(spec)) {
      require(!problem.path.empty() && !problem.message.empty(), "a problem is mute");
    }
    // Throws for the first problem.
    tare::validate(spec, "config.json");
    // As Container::create() does for a container that is never started.
    if (!spec.process) spec.process.emplace().cwd = "/";
    accepts([&] { tare::cgroup_path_for(spec, "c", {}); });
    accepts([&] { tare::device_filter_program(spec.linux_.resources.devices); });
    tell_systemd(spec);
    plan(spec);
  });
  return 0;
}
