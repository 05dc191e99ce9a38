// The order of the examination, and its result.
#include "tare/doctor.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "container/host_facts.h"
#include "container/impl.h"
#include "doctor/examine.h"
#include "host/own_status.h"
#include "json/json.h"

namespace tare {

const char* finding_status_name(FindingStatus status) noexcept {
  switch (status) {
    case FindingStatus::ok:
      return "ok";
    case FindingStatus::limited:
      return "limited";
    case FindingStatus::missing:
      break;
  }
  return "missing";
}

bool Examination::can_start() const noexcept {
  return std::ranges::none_of(findings, [](const Finding& finding) {
    return finding.required && finding.status == FindingStatus::missing;
  });
}

namespace {

std::string remedy_of(const ProbeResult& result, const std::string& since) {
  const std::string filtered =
      "a seccomp filter inherited from the caller may refuse it: allow the call there (docker, "
      "podman: "
      "--security-opt seccomp=unconfined)";
  if (result.signal == SIGSYS || (!result.good() && has_seccomp_filter())) {
    return filtered + (result.signal == SIGSYS ? "" : "; or the kernel lacks it: " + since);
  }
  if (result.errnum == EPERM || result.errnum == EACCES) {
    return geteuid() == 0 ? "run it with all capabilities (see the group privileges), outside of a "
                            "container"
                          : "run it as root, or see user-namespaces";
  }
  if (result.errnum == ENOSPC) {
    return "a limit on namespaces is reached: raise the sysctls user.max_*_namespaces";
  }
  return "use a kernel that has it: " + since;
}

}  // namespace

Finding evaluate(Finding finding, const ProbeResult& result, const std::string& since) {
  if (result.good()) {
    return finding;
  }
  finding.found = result.text();
  if (result.entering) {
    finding.status = FindingStatus::limited;
    finding.found.insert(0, "cannot be tried: ");
    finding.remedy = "see namespace-mount and user-namespaces";
    return finding;
  }
  finding.status = FindingStatus::missing;
  finding.remedy = remedy_of(result, since);
  return finding;
}

Examination examine_host(const Runtime& runtime) {
  const Runtime resolved = resolve_runtime(runtime);
  ExaminedCaller caller{.runtime = resolved, .rootless = geteuid() != 0};
  caller.tolerant = runtime.rootless.value_or(caller.rootless || in_user_namespace());
  caller.cgroups = find_cgroup_host();

  Examination examination{.rootless = caller.rootless, .state_root = resolved.root};
  Findings& findings = examination.findings;
  examine_kernel(caller, findings);
  examine_namespaces(caller, findings);
  examine_file_systems(caller, findings);
  examine_users(caller, findings);
  examine_privileges(caller, findings);
  examine_cgroups(caller, findings);
  examine_security(caller, findings);
  examine_services(caller, findings);
  examine_state(caller, findings);
  return examination;
}

namespace {

void write_finding(json::Writer& writer, const Finding& finding) {
  writer.begin_object();
  writer.key("group").string(finding.group);
  writer.key("name").string(finding.name);
  writer.key("status").string(finding_status_name(finding.status));
  writer.key("required").boolean(finding.required);
  writer.key("found").string(finding.found);
  writer.key("neededFor").string(finding.needed_for);
  writer.key("remedy").string(finding.remedy);
  writer.end_object();
}

}  // namespace

std::string examination_json(const Examination& examination) {
  json::Writer writer(2);
  writer.begin_object();
  writer.key("canStart").boolean(examination.can_start());
  writer.key("rootless").boolean(examination.rootless);
  writer.key("stateRoot").string(examination.state_root);
  writer.key("findings").begin_array();
  for (const Finding& finding : examination.findings) {
    write_finding(writer, finding);
  }
  writer.end_array();
  writer.end_object();
  return writer.take();
}

}  // namespace tare
