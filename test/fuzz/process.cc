// process.json of `exec --process`: what is parsed, refused and planned in a container with and
// without a user namespace.
#include "fuzz.h"
#include "plans.h"
#include "tare/plan.h"
#include "tare/spec.h"
#include "tare/validate.h"

namespace {

tare::Spec container(bool with_user_namespace) {
  tare::Spec spec =
      tare::parse_spec(tare::default_spec_json(with_user_namespace, 1000, 1000), "config.json");
  spec.hooks.poststart.emplace_back().path = "/hook";
  return spec;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tare::Spec specs[] = {container(false), container(true)};
  fuzz::accepts([&] {
    const tare::Process process = tare::parse_process(fuzz::text(data, size), "process.json");
    tare::ExecPlanOptions options;
    options.source = {.document = "process.json", .prefix = "", .elsewhere = {{"cwd", "--cwd"}}};
    for (const tare::Spec& spec : specs) {
      fuzz::accepts([&] {
        tare::validate_process(process, spec, options.source);
        for (const tare::Host& host : fuzz::hosts()) {
          fuzz::check_plan(tare::make_exec_plan(process, spec, host, options));
          options.paused = !options.paused;
        }
      });
    }
  });
  return 0;
}
