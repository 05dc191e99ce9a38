// process.scheduler, process.ioPriority and process.execCPUAffinity.
#include <linux/ioprio.h>
#include <linux/sched.h>

#include <algorithm>
#include <charconv>

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

/// sched(7).
constexpr Word policies[] = {
    {"SCHED_OTHER", SCHED_NORMAL},
    {"SCHED_FIFO", SCHED_FIFO},
    {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},
    {"SCHED_ISO", Scheduler::sched_iso},
    {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
};

/// sched_setattr(2).
constexpr Word scheduling_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

/// ioprio_set(2).
constexpr Word io_classes[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

template <std::size_t count>
std::uint64_t read_word(const json::Value& value, std::string_view what,
                        const Word (&words)[count]) {
  const std::string_view name = value.as_string();
  const Word* found = json::find_word(words, name);
  if (found == nullptr) {
    std::vector<std::string_view> names;
    for (const Word& word : words) {
      names.push_back(word.name);
    }
    json::fail_unknown(value, what, names);
  }
  return found->number;
}

void read_policy(Scheduler& scheduler, const json::Value& value) {
  scheduler.policy = static_cast<int>(read_word(value, "scheduling policy", policies));
}

void read_flags(Scheduler& scheduler, const json::Value& value) {
  value.for_each_element([&scheduler](const json::Value& element) {
    scheduler.flags |= read_word(element, "scheduling flag", scheduling_flags);
  });
}

constexpr Field<Scheduler> scheduler_fields[] = {
    {"policy", read_policy, required},
    {"nice", read_member<&Scheduler::nice>},
    {"priority", read_member<&Scheduler::priority>},
    {"flags", read_flags},
    {"runtime", read_member<&Scheduler::runtime>},
    {"deadline", read_member<&Scheduler::deadline>},
    {"period", read_member<&Scheduler::period>},
};

void read_io_class(IoPriority& priority, const json::Value& value) {
  priority.io_class = static_cast<int>(read_word(value, "I/O scheduling class", io_classes));
}

/// The spec requires `priority`; engines omit it for IOPRIO_CLASS_IDLE, which has none.
constexpr Field<IoPriority> io_priority_fields[] = {
    {"class", read_io_class, required},
    {"priority", read_member<&IoPriority::priority>},
};

constexpr Field<CpuAffinity> exec_cpu_affinity_fields[] = {
    {"initial", read_member<&CpuAffinity::initial>},
    {"final", read_member<&CpuAffinity::final_>},
};

bool take_number(std::string_view& text, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && text.back() == ' ') {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace

void read(Scheduler& scheduler, const json::Value& value) {
  read_fields(scheduler, value, scheduler_fields);
}

void read(IoPriority& priority, const json::Value& value) {
  read_fields(priority, value, io_priority_fields);
}

void read(CpuAffinity& affinity, const json::Value& value) {
  read_fields(affinity, value, exec_cpu_affinity_fields);
}

const char* scheduling_policy_name(int policy) noexcept {
  const Word* word = json::find_number(policies, static_cast<std::uint64_t>(policy));
  return word == nullptr ? nullptr : word->name.data();
}

std::optional<std::string> number_mask(std::string_view list, std::uint32_t limit) {
  std::string mask;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view element = trimmed(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (element.empty()) {
      continue;
    }
    std::uint32_t first = 0;
    if (!take_number(element, first)) {
      return std::nullopt;
    }
    std::uint32_t last = first;
    if (element.starts_with('-')) {
      element.remove_prefix(1);
      if (!take_number(element, last)) {
        return std::nullopt;
      }
    }
    if (!element.empty() || last < first || last >= limit) {
      return std::nullopt;
    }
    // The kernel reads whole longs.
    mask.resize(std::max(mask.size(), last / 64 * 8 + std::size_t{8}));
    for (std::uint32_t number = first; number <= last; ++number) {
      mask[number / 8] = static_cast<char>(mask[number / 8] | 1 << number % 8);
    }
  }
  return mask.empty() ? std::nullopt : std::optional(std::move(mask));
}

std::string mask_digits(std::string_view mask) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = mask.size(); i > 0; --i) {
    const auto byte = static_cast<unsigned char>(mask[i - 1]);
    if (byte != 0 || !text.empty()) {
      text += digits[byte >> 4];
      text += digits[byte & 15];
    }
  }
  return text;
}

}  // namespace tare
