/// \file
/// Hosts of every kind that a plan is made for, and what holds of each plan.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "fuzz.h"
#include "init/verify.h"
#include "json/json.h"
#include "tare/plan.h"

namespace fuzz {

/// A host of root, one of an ordinary user, one in a user namespace with security modules.
inline std::array<tare::Host, 3> hosts() {
  std::array<tare::Host, 3> all;
  for (tare::Host& host : all) {
    host.bundle = "/bundle";
    host.cgroup_dir = "/sys/fs/cgroup/c";
  }
  all[1].rootless = all[1].in_user_namespace = true;
  all[1].euid = 1000;
  all[1].egid = 1000;
  all[2].in_user_namespace = all[2].enters_cgroup = true;
  all[2].cgroup_unified = false;
  all[2].has_apparmor = all[2].has_selinux = true;
  all[2].inner_namespaces = 0x40000000;  // CLONE_NEWNET
  return all;
}

/// What becomes of any plan: init's bytes, its text, its JSON, a sentence for each op.
inline void check_plan(const tare::Plan& plan) {
  require(!plan.ops().empty() && plan.ops().back().code == tare::wire::OpCode::exec,
          "a plan does not end with exec");
  const std::string bytes = plan.bytes();
  // In memory that ends where the plan does.
  const std::unique_ptr<char[]> memory(new char[bytes.size()]);
  bytes.copy(memory.get(), bytes.size());
  require(init::is_sound(memory.get(), bytes.size()), "init would refuse a plan");
  for (std::size_t op = 0; op < plan.ops().size(); ++op) {
    require(!plan.describe(op).empty(), "an op has no words");
  }
  require(plan.to_text().ends_with('\n'), "a plan's text has no end");
  const tare::json::Document document(plan.to_json(), "plan");
  require(document.root().at("ops").size() == plan.ops().size(), "a plan's JSON lacks ops");
}

}  // namespace fuzz
