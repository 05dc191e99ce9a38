// linux.seccomp: compiles the profiles that validation accepts.
#include "tare/seccomp.h"

#include <linux/filter.h>

#include "fuzz.h"
#include "tare/spec.h"
#include "tare/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tare::Spec around =
      tare::parse_spec(tare::default_spec_json(false, 0, 0), "config.json");
  fuzz::accepts([&] {
    tare::Spec spec = around;
    const std::string profile = fuzz::text(data, size);
    spec.linux_.seccomp =
        tare::parse_spec(
            R"({"ociVersion":"1.0.0","root":{"path":"r"},"linux":{"seccomp":)" + profile + "}}",
            "config.json")
            .linux_.seccomp;
    if (!spec.linux_.seccomp) return;
    tare::validate(spec, "config.json");
    const tare::SeccompFilter filter = tare::compile_seccomp(*spec.linux_.seccomp, "");
    // The kernel's BPF_MAXINSNS.
    fuzz::require(filter.program.size() % sizeof(sock_filter) == 0 &&
                      filter.program.size() / sizeof(sock_filter) <= 4096,
                  "a program that the kernel would not take");
  });
  return 0;
}
