// linux.personality, linux.timeOffsets and linux.memoryPolicy.
#include <linux/mempolicy.h>
#include <linux/personality.h>

#include <algorithm>

#include "json/fields.h"
#include "json/json.h"
#include "spec/sections.h"
#include "tare/spec.h"

namespace tare {

using json::Field;
using json::read_fields;
using json::read_member;
using json::required;
using json::Word;

namespace {

void read_domain(Personality& personality, const json::Value& value) {
  const std::string_view name = value.as_string();
  if (name != "LINUX" && name != "LINUX32") {
    json::fail_unknown(value, "execution domain", {"LINUX", "LINUX32"});
  }
  personality.domain = name == "LINUX" ? PER_LINUX : PER_LINUX32;
}

void read_personality_flags(Personality&, const json::Value& value) {
  value.for_each_element([](const json::Value& flag) {
    flag.fail("unknown flag " + std::string(flag.as_string()) +
              "; the spec has no flags of the personality, leave it out");
  });
}

constexpr Field<Personality> personality_fields[] = {
    {"domain", read_domain, required},
    {"flags", read_personality_flags},
};

constexpr Field<TimeOffset> time_offset_fields[] = {
    {"secs", read_member<&TimeOffset::secs>},
    {"nanosecs", read_member<&TimeOffset::nanosecs>},
};

// Missing in some headers.
constexpr unsigned weighted_interleave = 6;

/// set_mempolicy(2).
constexpr Word memory_modes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT},       {"MPOL_BIND", MPOL_BIND},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE}, {"MPOL_WEIGHTED_INTERLEAVE", weighted_interleave},
    {"MPOL_PREFERRED", MPOL_PREFERRED},   {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
    {"MPOL_LOCAL", MPOL_LOCAL},
};
constexpr Word memory_flags[] = {
    {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
};

template <std::size_t count>
std::vector<std::string> names_of(const Word (&words)[count]) {
  std::vector<std::string> names;
  for (const Word& word : words) {
    names.emplace_back(word.name);
  }
  return names;
}

template <std::size_t count>
std::string names_text(const Word (&words)[count]) {
  std::string text;
  for (const Word& word : words) {
    text.append(text.empty() ? "" : ", ").append(word.name);
  }
  return text;
}

/// Uses runc's wording, which its users search for.
template <std::size_t count>
unsigned read_word(const json::Value& value, const char* what, const Word (&words)[count]) {
  const std::string_view name = value.as_string();
  const Word* found = json::find_word(words, name);
  if (found == nullptr) {
    json::Writer quoted;
    quoted.string(name);
    value.fail(std::string("invalid memory policy ") + what + " " + quoted.take() +
               "; use one of " + names_text(words));
  }
  return static_cast<unsigned>(found->number);
}

void read_mode(MemoryPolicy& policy, const json::Value& value) {
  policy.mode = static_cast<int>(read_word(value, "mode", memory_modes));
}

void read_memory_flags(MemoryPolicy& policy, const json::Value& value) {
  value.for_each_element([&policy](const json::Value& flag) {
    policy.flags |= read_word(flag, "flag", memory_flags);
  });
}

constexpr Field<MemoryPolicy> memory_policy_fields[] = {
    {"mode", read_mode},
    {"nodes", read_member<&MemoryPolicy::nodes>},
    {"flags", read_memory_flags},
};

}  // namespace

void read(Personality& personality, const json::Value& value) {
  read_fields(personality, value, personality_fields);
}

void read(std::vector<TimeOffset>& offsets, const json::Value& value) {
  value.for_each_member([&offsets](std::string_view clock, const json::Value& member) {
    if (clock != "monotonic" && clock != "boottime") {
      member.fail("unknown clock; a time namespace has monotonic and boottime");
    }
    if (!member.is_null()) {
      TimeOffset& offset = offsets.emplace_back();
      offset.clock = clock;
      read_fields(offset, member, time_offset_fields);
    }
  });
}

void read(MemoryPolicy& policy, const json::Value& value) {
  read_fields(policy, value, memory_policy_fields);
  if (!value.find("mode")) {
    value.fail("invalid memory policy mode: it is missing; use one of " + names_text(memory_modes));
  }
}

std::vector<std::string> memory_policy_modes() { return names_of(memory_modes); }
std::vector<std::string> memory_policy_flags() { return names_of(memory_flags); }

std::string memory_mode_name(int mode) {
  const Word* word = json::find_number(memory_modes, static_cast<unsigned>(mode));
  return word == nullptr ? std::to_string(mode) : std::string(word->name);
}

}  // namespace tare
