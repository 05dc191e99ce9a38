/// \file
/// The rules of linux.resources.devices, with those that every container gets, as what they come to
/// for each device.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// Access bits as the kernel's program context has them.
using DeviceAccess = unsigned;
inline constexpr DeviceAccess device_access_all =
    BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// What the kernel keeps of a device number (MINORBITS of include/linux/kdev_t.h); no device matches
// a rule with a larger one.
inline constexpr std::int64_t device_major_end = 1 << 12;
inline constexpr std::int64_t device_minor_end = 1 << 20;

/// What the rules of one type mean.
struct DeviceMeaning {
  struct Number {
    std::uint32_t number;
    DeviceAccess access;
    bool operator==(const Number&) const = default;
  };
  /// (major << 20 | minor) by number: first, these;
  std::vector<Number> devices;
  /// then any minor of these majors,
  std::vector<Number> majors;
  /// then any major with these minors,
  std::vector<Number> minors;
  /// then the rest.
  DeviceAccess rest = 0;
  bool operator==(const DeviceMeaning&) const = default;
  bool is_constant() const { return devices.empty() && majors.empty() && minors.empty(); }

  static const Number* find(const std::vector<Number>& numbers, std::int64_t number);
};

struct DeviceMeanings {
  DeviceMeaning character;
  DeviceMeaning block;
};

/// See `device_filter_program`. Throws `invalid_config` for a negative number or unknown access.
DeviceMeanings device_meanings(const std::vector<DeviceRule>& rules);

}  // namespace tare
