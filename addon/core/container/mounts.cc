// mounts add and mounts remove, in an existing container. See
// docs/decisions/0028-sources-of-mounts-add.md.
#include <algorithm>
#include <functional>
#include <iterator>

#include "container/impl.h"
#include "json/json.h"
#include "tare/error.h"
#include "tare/validate.h"

namespace tare {
namespace {

/// A mount made by `mounts add`. Its number tells it from a mount that the container has made in
/// its place.
struct AddedMount {
  std::string destination;  ///< as it was given
  std::uint64_t number = 0;
};

std::vector<AddedMount> read_added(const StateDir& dir) {
  std::vector<AddedMount> added;
  if (auto text = dir.read_added_mounts()) {
    const json::Document document(std::move(*text), dir.path() + "/mounts.json");
    document.root().for_each_element([&added](const json::Value& entry) {
      added.push_back(
          {std::string(entry.at("destination").as_string()), entry.at("number").as_uint64()});
    });
  }
  return added;
}

void write_added(StateDir& dir, const std::vector<AddedMount>& added) {
  json::Writer writer;
  writer.begin_array();
  for (const AddedMount& mount : added) {
    writer.begin_object().key("destination").string(mount.destination);
    writer.key("number").number_unsigned(mount.number).end_object();
  }
  writer.end_array();
  dir.write_added_mounts(writer.take());
}

/// Changes the mounts of a container by init processes that enter it.
class Visit {
 public:
  Visit(const StateRecord& record, const Spec& config)
      : root_(open_root_of(record.pid)),
        pid_(record.pid),
        pidfd_(open_process(record.pid, record.start_time)),
        host_(find_host(absolute_path("."), find_cgroup_host())),
        pass_root_(root_ && may_be_in_chroot()),
        config_(config) {
    if (!pidfd_) {
      throw Error(ErrorKind::bad_status, "container not running");
    }
  }

  /// Makes the mounts of `spec` and appends them to `added`; if one fails, those made before it.
  void add(const Spec& spec, const std::string& list, const Runtime& runtime,
           std::vector<AddedMount>& added) const {
    const Plan plan = make_mounts_plan(spec, host_, list, pass_root_);
    log_plan(runtime, plan, "");
    std::vector<Fd> owned;
    const SpawnOptions options = spawn_options(plan, owned);
    InitProcess init = spawn(plan, options);
    const auto note = [&] {
      for (std::size_t i = 0; i < init.mounted().size(); ++i) {
        added.push_back({spec.mounts[i].destination, init.mounted()[i]});
      }
    };
    try {
      answer_mount_requests(init, plan, options.passed);
      init.await(wire::WaitTag::go);
    } catch (...) {
      note();
      throw;
    }
    note();
  }

  void remove(const AddedMount& mount, const std::string& origin, const Runtime& runtime) const {
    const Plan plan =
        make_unmount_plan(config_, host_, mount.destination, mount.number, origin, pass_root_);
    log_plan(runtime, plan, "");
    std::vector<Fd> owned;
    InitProcess init = spawn(plan, spawn_options(plan, owned));
    init.await(wire::WaitTag::go);
  }

 private:
  SpawnOptions spawn_options(const Plan& plan, std::vector<Fd>& owned) const {
    SpawnOptions options;
    std::fill(std::begin(options.stdio), std::end(options.stdio), -1);
    options.passed = open_passed(plan, nullptr, {pid_, pidfd_.get(), root_.get()}, owned);
    return options;
  }

  Fd root_;
  pid_t pid_;
  Fd pidfd_;
  Host host_;
  bool pass_root_;
  const Spec& config_;
};

void refuse_status(const StateRecord& record, Status status) {
  if (record.creating) {
    throw Error(ErrorKind::bad_status, "the container is being created; wait for that");
  }
  if (status == Status::stopped) {
    throw Error(ErrorKind::bad_status, "container not running");
  }
}

std::string config_path_of(const std::string& name, std::size_t index) {
  return name + ": [" + std::to_string(index) + "]";
}

}  // namespace

void Container::add_mounts(const std::string& mounts, const std::string& name) {
  const ErrorContext context("mounts add", id());
  const Locked locked(impl_->dir, impl_->runtime);
  impl_->refresh();
  refuse_status(impl_->record, impl_->status());
  Spec further = spec();
  further.mounts = parse_mounts(mounts, name, spec());
  validate_further_mounts(further, name);
  std::vector<AddedMount> added = read_added(impl_->dir);
  const std::size_t before = added.size();
  const Visit visit(impl_->record, spec());
  try {
    visit.add(further, name + ": ", impl_->runtime, added);
    write_added(impl_->dir, added);
  } catch (...) {
    for (; added.size() > before; added.pop_back()) {
      try {
        visit.remove(added.back(), "", impl_->runtime);
      } catch (const Error& error) {
        warn(impl_->runtime, error.what());
      }
    }
    throw;
  }
}

void Container::remove_mounts(const std::string& mounts, const std::string& name) {
  const ErrorContext context("mounts remove", id());
  const Locked locked(impl_->dir, impl_->runtime);
  impl_->refresh();
  refuse_status(impl_->record, impl_->status());
  const std::vector<Mount> wanted = parse_mounts(mounts, name, spec());
  std::vector<AddedMount> added = read_added(impl_->dir);

  // Remove in reverse order: the last of several mounts at one destination covers the others, and a
  // mount below another was made after it.
  struct Removal {
    std::size_t added;
    std::size_t wanted;
  };
  std::vector<Removal> removals;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::size_t found = added.size();
    for (std::size_t j = 0; j < added.size(); ++j) {
      const bool taken =
          std::ranges::any_of(removals, [j](const Removal& removal) { return removal.added == j; });
      if (!taken && absolute_path(added[j].destination) == absolute_path(wanted[i].destination)) {
        found = j;
      }
    }
    if (found == added.size()) {
      throw Error(ErrorKind::invalid_argument,
                  config_path_of(name, i) + ".destination: \"" + wanted[i].destination +
                      "\": not mounted by `mounts add`; only such mounts can be removed")
          .with_path("[" + std::to_string(i) + "].destination");
    }
    removals.push_back({found, i});
  }
  std::ranges::sort(removals, std::greater<>(), &Removal::added);

  const Visit visit(impl_->record, spec());
  for (const Removal& removal : removals) {
    const AddedMount mount = added[removal.added];
    const auto forget = [&] {
      added.erase(added.begin() + static_cast<std::ptrdiff_t>(removal.added));
      write_added(impl_->dir, added);
    };
    try {
      visit.remove(mount, config_path_of(name, removal.wanted) + ".destination", impl_->runtime);
    } catch (const Error& error) {
      // The mount is gone, or permanently out of reach: a process that may mount in the container
      // has done that.
      if (error.syscall().empty() && !error.path().empty()) {
        forget();
      }
      throw;
    }
    forget();
  }
}

}  // namespace tare
