/// \file
/// Shared by the sources of spec.h: the readers of the big sections, each in its own file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/json.h"
#include "tare/spec.h"

namespace tare {

void read(Linux& target, const json::Value& value);
void read(IdMapping& mapping, const json::Value& value);
void read(Resources& resources, const json::Value& value);
void read(Seccomp& seccomp, const json::Value& value);
void read(Personality& personality, const json::Value& value);
void read(std::vector<TimeOffset>& offsets, const json::Value& value);
void read(MemoryPolicy& policy, const json::Value& value);
void read(Scheduler& scheduler, const json::Value& value);
void read(IoPriority& priority, const json::Value& value);
void read(CpuAffinity& affinity, const json::Value& value);

/// Reads crun's annotations into their fields. `document` denotes the text in errors. Throws
/// `invalid_config`, `unsupported`.
void read_annotations(Spec& spec, const std::string& document);
/// Converts crun's option "idmap=…" to mappings. `list` denotes the mounts in messages. Throws
/// `invalid_config`.
void read_idmap_options(Spec& spec, const std::string& document,
                        const std::string& list = "mounts");

/// Whether the table of `linux` has the field ("intelRdt", "intelRdt.schemata").
bool reads_linux(std::string_view field);

/// Returns every "RLIMIT_…" name that the parser knows.
std::vector<std::string_view> rlimit_names();

/// Throws `invalid_config` for a text of more than 16 MiB.
void check_text_size(const std::string& text, const std::string& name);

}  // namespace tare
