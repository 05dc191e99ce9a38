// The ops of single mounts. Used by the sources of plan alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "plan/builder.h"
#include "spec/mount_options.h"

namespace tare {

bool is_destination(const Mount& mount, std::string_view path);
/// A tmpfs is made read-only at the end (add_root_finish): until then /dev is filled, and mount
/// points are made in others.
bool read_only_later(const Mount& mount, const MountOptions& options);
void set_attributes(wire::Op& op, const MountOptions& options);
/// Sets what the root mount needs besides its attributes: pivot_root(2) refuses a shared one.
void make_root(const PlanBuilder& builder, wire::Op& op);

// plan/binds.cc
std::uint16_t source_flags(const MountOptions& options);
/// Returns Op::str[0] of a bind: the source, followed by the directory of src-within.
std::uint32_t source_text(PlanBuilder& builder, const Mount& mount, const MountOptions& options);
/// What a bind mount needs besides its op.
struct BindSource {
  int mapping = -1;  ///< the passed user namespace of an id-mapped mount; -1: none
  int fd = -1;       ///< Op::fd of a mount that is open by then; -1: the op opens it
};

/// Where the host opens the mounts, has it open this one; if `late`, only after the ops that the
/// plan has by now.
BindSource add_source(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
                      const std::string& origin, bool late);
void add_bind(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
              const BindSource& source, const std::string& origin);

// plan/file_systems.cc
/// Adds a file system with options of any length.
void add_new_file_system(PlanBuilder& builder, const Mount& mount, MountOptions options,
                         const std::string& origin);
void add_attributes(PlanBuilder& builder, const std::string& path, const MountOptions& options,
                    const std::string& origin);
void add_remount(PlanBuilder& builder, const Mount& mount, const MountOptions& options,
                 const std::string& origin);

}  // namespace tare
