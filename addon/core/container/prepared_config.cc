#include "container/prepared_config.h"

#include <algorithm>
#include <utility>

#include "container/id_ranges.h"
#include "container/impl.h"
#include "json/json.h"
#include "tare/error.h"
#include "tare/validate.h"

namespace tare {
namespace {

/// What parse_process() refuses in a string.
bool has_nul(const Command& command) {
  const auto contains_nul = [](const std::string& text) {
    return text.find('\0') != std::string::npos;
  };
  return contains_nul(command.cwd) || std::ranges::any_of(command.args, contains_nul) ||
         std::ranges::any_of(command.env, contains_nul);
}

void set_command(Process& process, const Command& command) {
  process.args = command.args;
  process.env = command.env;
  process.cwd = command.cwd;
}

}  // namespace

PreparedConfig::PreparedConfig(std::string bundle, std::string config, std::string process,
                               const std::string& root_entries)
    : path_(std::move(bundle)),
      config_(std::move(config)),
      process_(std::move(process)),
      root_entries_text_(root_entries) {}

void PreparedConfig::parse() {
  if (!root_entries_text_.empty()) {
    root_entries_ =
        std::make_shared<const std::vector<RootEntry>>(parse_root_entries(root_entries_text_));
  }
  if (process_.empty()) {
    return;
  }
  CreateOptions options;
  options.bundle = path_;
  options.root_entries = root_entries_;
  options.config = config_;
  Bundle bundle = read_bundle(options);
  // Annotations may concern the process, and a warning may name a place in it.
  if (!bundle.spec.annotations.empty() || !bundle.spec.warnings.empty()) {
    return;
  }
  try {
    bundle.spec.process = parse_process(process_, "process");
  } catch (const Error&) {
    return;
  }
  if (!bundle.spec.process->warnings.empty()) {
    return;
  }
  bundle.has_process = true;
  bundle.own_id_offsets = find_own_ids(config_);
  bundle.config.clear();
  if (bundle.spec.linux_.seccomp) {
    profile_ = *bundle.spec.linux_.seccomp;
    if (!seccomp_needs_agent(*profile_)) {
      bundle.spec.linux_.seccomp->syscalls.clear();
    }
  }
  common_ = std::move(bundle);
}

std::string PreparedConfig::text(const Command& command) const {
  json::Writer writer;
  writer.begin_object();
  writer.key("process").begin_object();
  writer.key("args").begin_array();
  for (const std::string& argument : command.args) {
    writer.string(argument);
  }
  writer.end_array();
  writer.key("env").begin_array();
  for (const std::string& variable : command.env) {
    writer.string(variable);
  }
  writer.end_array();
  writer.key("cwd").string(command.cwd);
  writer.members(process_).end_object();
  writer.members(config_).end_object();
  return writer.take();
}

Bundle PreparedConfig::parsed_bundle(const CreateOptions& options) const {
  CreateOptions whole;
  whole.bundle = path_;
  whole.root_entries = root_entries_;
  whole.config = process_.empty() ? config_ : text(options.command);
  return read_bundle(whole);
}

Bundle PreparedConfig::bundle(const CreateOptions& options) {
  std::call_once(is_parsed_, [this] { parse(); });
  if (!common_ || has_nul(options.command)) {
    return parsed_bundle(options);
  }
  Bundle bundle = *common_;
  set_command(*bundle.spec.process, options.command);
  try {
    validate_process(*bundle.spec.process, bundle.spec, {});
  } catch (const Error&) {
    // Its error names the same place as for a configuration without prepare_config().
    return parsed_bundle(options);
  }
  bundle.config = text(options.command);
  // The process comes first.
  for (std::size_t& offset : *bundle.own_id_offsets) {
    offset += bundle.config.size() - config_.size();
  }
  return bundle;
}

SeccompFilter PreparedConfig::filter(const Spec& spec, const Runtime& runtime) {
  if (!common_) {
    return container_filter(spec.linux_.seccomp, runtime);
  }
  const std::lock_guard lock(mutex_);
  if (!filter_) {
    filter_ = container_filter(profile_, runtime);
    profile_.reset();
  }
  return *filter_;
}

std::shared_ptr<const PlanStart> PreparedConfig::start(const Host& host,
                                                       const PlanOptions& options) {
  const StartOptions wanted = start_options(options);
  {
    const std::lock_guard lock(mutex_);
    if (start_ && same_facts(start_->facts, host, wanted)) {
      return start_;
    }
  }
  auto made = std::make_shared<const PlanStart>(
      make_plan_start(common_->spec, {host, wanted}, root_entries_.get()));
  const std::lock_guard lock(mutex_);
  start_ = made;
  return made;
}

Plan PreparedConfig::plan(const Spec& spec, const Host& host, const PlanOptions& options,
                          std::uint32_t first_own_id) {
  PlanOptions complete = options;
  complete.root_entries = root_entries_;
  if (!common_ || !has_common_start(spec)) {
    return make_plan(spec, host, complete);
  }
  return make_plan(*start(host, options), spec, host, complete,
                   [first_own_id](IdMapping& mapping) { give_own_ids(mapping, first_own_id); });
}

std::shared_ptr<PreparedConfig> prepare_config(std::string bundle, std::string config,
                                               std::string process,
                                               const std::string& root_entries) {
  return std::make_shared<PreparedConfig>(std::move(bundle), std::move(config), std::move(process),
                                          root_entries);
}

}  // namespace tare
