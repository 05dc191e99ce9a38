// Host programs and services that some commands use.

#include "doctor/examine.h"
#include "host/program.h"
#include "systemd/systemd.h"
#include "tare/error.h"

namespace tare {

namespace {

constexpr const char* services_group = "services";
constexpr int program_timeout = 20;  // seconds

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

ProgramResult run(const std::vector<std::string>& words) {
  ProgramOptions options;
  options.timeout = program_timeout;
  return run_program(words, options);
}

Finding criu(const ExaminedCaller& caller) {
  Finding finding{.group = services_group, .name = "criu", .needed_for = "checkpoint and restore"};
  const ProgramResult version = run({"criu", "--version"});
  if (!version.found || version.status != 0) {
    finding.status = FindingStatus::missing;
    finding.found = version.found ? first_line(version.output) : "not in PATH";
    finding.remedy = "apt-get install criu  (Fedora: dnf install criu)";
    return finding;
  }
  finding.found = first_line(version.output);
  if (caller.rootless) {
    finding.status = FindingStatus::limited;
    finding.found += "; it needs capabilities that an ordinary user does not have";
    finding.remedy = "run checkpoint and restore as root";
    return finding;
  }
  const ProgramResult check = run({"criu", "check"});
  if (check.timed_out || check.status != 0) {
    finding.status = FindingStatus::limited;
    finding.found +=
        "; criu check: " + (check.timed_out ? "does not end" : first_line(check.output));
    finding.remedy = "run criu check --all for what this kernel or these privileges lack";
  }
  return finding;
}

Finding ps() {
  Finding finding{.group = services_group, .name = "ps", .needed_for = "ps, as a table"};
  const ProgramResult result = run({"ps", "-V"});
  if (!result.found) {
    finding.status = FindingStatus::missing;
    finding.found = "not in PATH";
    finding.remedy = "apt-get install procps, or use ps --format json";
  } else {
    finding.found = first_line(result.output);
  }
  return finding;
}

/// Splits an error "…; what to do" into the finding's description and remedy.
void take_error(Finding& finding, const Error& error) {
  std::string text(error.inner_words());
  if (const std::string_view flag = "--systemd-cgroup: "; text.starts_with(flag)) {
    text.erase(0, flag.size());
  }
  const std::size_t end = text.find("; ");
  finding.status = FindingStatus::missing;
  finding.found = text.substr(0, end);
  finding.remedy = end == text.npos ? "" : text.substr(end + 2);
}

Finding systemd(SystemdManager manager, bool required) {
  const bool system = manager == SystemdManager::system;
  Finding finding{
      .group = services_group,
      .name = system ? "systemd" : "systemd-user",
      .required = required,
      .needed_for = system ? "--systemd-cgroup as root (containerd: SystemdCgroup = true; podman's "
                             "default; kubelet's)"
                           : "--systemd-cgroup as an ordinary user (podman's default)"};
  try {
    const Systemd connected = Systemd::connect(manager, systemd_timeout);
    finding.found = "version " + std::to_string(connected.version());
  } catch (const Error& error) {
    take_error(finding, error);
  }
  return finding;
}

}  // namespace

void examine_services(const ExaminedCaller& caller, Findings& findings) {
  const bool wanted = caller.runtime.systemd_cgroup;
  findings.push_back(systemd(SystemdManager::system, wanted && !caller.rootless));
  if (caller.rootless) {
    findings.push_back(systemd(SystemdManager::user, wanted));
  }
  findings.push_back(criu(caller));
  findings.push_back(ps());
}

}  // namespace tare
