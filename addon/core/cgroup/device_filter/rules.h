/// \file
/// The rules of linux.resources.devices, and those that every container gets, resolved to the
/// access that they allow to each device.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "tare/spec.h"

namespace tare {

/// Access bits in the format of the kernel's program context.
using DeviceAccess = unsigned;
inline constexpr DeviceAccess device_access_all =
    BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// The kernel's bounds of a device number (MINORBITS of include/linux/kdev_t.h); no device matches a
// rule with a larger one.
inline constexpr std::int64_t device_major_end = 1 << 12;
inline constexpr std::int64_t device_minor_end = 1 << 20;

/// The access that the rules of one type allow. The first list that has a device decides.
struct DeviceMeaning {
  struct Number {
    std::uint32_t number;
    DeviceAccess access;
    bool operator==(const Number&) const = default;
  };
  /// Devices by number (major << 20 | minor), looked up first.
  std::vector<Number> devices;
  /// Any minor of these majors, second.
  std::vector<Number> majors;
  /// Any major with these minors, third.
  std::vector<Number> minors;
  /// All other devices.
  DeviceAccess rest = 0;
  bool operator==(const DeviceMeaning&) const = default;
  bool is_constant() const { return devices.empty() && majors.empty() && minors.empty(); }

  static const Number* find(const std::vector<Number>& numbers, std::int64_t number);
};

struct DeviceMeanings {
  DeviceMeaning character;
  DeviceMeaning block;
};

/// Resolves `rules` as `device_filter_program` documents. Throws `invalid_config` for a negative
/// number or unknown access.
DeviceMeanings device_meanings(const std::vector<DeviceRule>& rules);

}  // namespace tare
