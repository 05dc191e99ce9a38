// Checks that a plan can be read without leaving it.
//
// The plan comes from the host, in a memfd that the host has sealed or over a channel that no other
// process has, so it cannot change any more. A user that runs init with a plan of its own gains
// nothing, as init has no rights but the user's. What remains is a mistake of the host (an offset
// that does not fit, another build's plan). It must not make init read or write out of bounds, so
// every offset, count and index is checked against the plan's size once, before any op is executed.
// The meaning of the ops is not checked: that is up to the host.
#include "verify.h"

#include <linux/filter.h>
#include <linux/mount.h>

namespace init {
namespace {

using namespace tare::wire;

constexpr std::uint32_t max_passed = 1 << 16;

/// What Op::fd of an op refers to.
enum class FdUse : std::uint8_t {
  none,            ///< not used
  passed,          ///< a passed fd
  passed_or_none,  ///< a passed fd, or less than 0
  kept,            ///< the number of a kept mount, or less than 0
  source,  ///< a requested mount with op_source_is_fd; n is a passed fd for MOUNT_ATTR_IDMAP
  root,    ///< a passed fd, or a requested mount where n is not 0
};

/// What an op reads from the pool beyond its two strings, and the indices that it uses.
enum class DataUse : std::uint8_t {
  none,
  blob,              ///< str[0]: n bytes
  second_blob,       ///< str[1]: n bytes
  words,             ///< str[0]: n bytes, read as whole words
  gids,              ///< str[0]: n uint32_t
  source,            ///< str[0]: one string, or two with op_source_beneath
  requested_source,  ///< the same, and a: the index of a requested mount
  pairs,             ///< str[1]: 1 + 2n strings
  labelled_pairs,    ///< the same, and d: a string
  three_strings,     ///< str[1]
  kept_number,       ///< a: the number of a kept mount
  filter,            ///< str[0]: n bytes of struct sock_filter
  program,           ///< as of exec
};

struct Uses {
  FdUse fd;
  DataUse data;
};

constexpr Uses uses[] = {
#define OP(name, fd, data, text) {FdUse::fd, DataUse::data},
#include "tare/ops.def"
};

constexpr std::size_t op_codes = sizeof uses / sizeof uses[0];

class Verifier {
 public:
  explicit Verifier(const char* begin)
      : header_(reinterpret_cast<const PlanHeader*>(begin)),
        ops_(reinterpret_cast<const Op*>(begin + sizeof(PlanHeader))),
        strings_(begin + header_->strings_offset) {}

  bool is_sound() const {
    for (std::uint32_t i = 0; i < header_->op_count; ++i) {
      const Op& op = ops_[i];
      const std::uint32_t row = static_cast<std::uint32_t>(op.code) - 1U;
      if (row >= op_codes || !is_string(op.str[0]) || !is_string(op.str[1]) ||
          !has_fd(op, uses[row].fd) || !has_data(op, uses[row].data, i)) {
        return false;
      }
    }
    return true;
  }

 private:
  // The pool ends with a NUL, so that each string that begins in it ends in it.
  bool is_string(std::uint64_t offset) const { return offset < header_->strings_size; }
  bool is_passed(std::uint64_t index) const { return index < header_->passed_fds; }

  bool is_blob(std::uint64_t offset, std::uint64_t size) const {
    return size <= header_->strings_size && offset <= header_->strings_size - size;
  }

  // Returns the offset behind `count` strings, or strings_size + 1 if there are fewer.
  std::uint64_t after_strings(std::uint64_t offset, std::uint64_t count) const {
    for (; count > 0 && is_string(offset); --count) {
      offset += sys::length(strings_ + offset) + 1;
    }
    return count > 0 ? std::uint64_t{header_->strings_size} + 1 : offset;
  }
  bool has_strings(std::uint64_t offset, std::uint64_t count) const {
    return after_strings(offset, count) <= header_->strings_size;
  }

  bool has_source(const Op& op) const {
    return has_strings(op.str[0], (op.flags & op_source_beneath) != 0 ? 2 : 1);
  }

  bool has_fd(const Op& op, FdUse use) const {
    const bool requested = op.fd <= -2 && op.fd > -2 - static_cast<int>(max_requested_mounts);
    const bool passed = op.fd >= 0 && is_passed(static_cast<std::uint64_t>(op.fd));
    switch (use) {
      case FdUse::none:
        return true;
      case FdUse::passed:
        return passed;
      case FdUse::passed_or_none:
        return op.fd < 0 || passed;
      case FdUse::kept:
        return op.fd < static_cast<int>(max_kept_mounts);
      case FdUse::source:
        return ((op.flags & op_source_is_fd) == 0 || requested) &&
               (((op.a | op.d) & MOUNT_ATTR_IDMAP) == 0 || is_passed(op.n));
      case FdUse::root:
        return passed || (op.fd < 0 && op.n <= max_requested_mounts &&
                          (op.n == 0 || (op.flags & op_open_only) != 0 || requested));
    }
    return false;
  }

  bool has_data(const Op& op, DataUse use, std::uint32_t index) const {
    const std::uint64_t n = op.n;
    switch (use) {
      case DataUse::none:
        return true;
      case DataUse::blob:
        return is_blob(op.str[0], n);
      case DataUse::second_blob:
        return is_blob(op.str[1], n);
      case DataUse::words:
        return is_blob(op.str[0], (n + 7) / 8 * 8);
      case DataUse::gids:
        return is_blob(op.str[0], n * sizeof(std::uint32_t));
      case DataUse::source:
        return has_source(op);
      case DataUse::requested_source:
        return op.a < max_requested_mounts && has_source(op);
      case DataUse::pairs:
        return has_strings(op.str[1], 1 + 2 * n);
      case DataUse::labelled_pairs:
        return is_string(op.d) && has_strings(op.str[1], 1 + 2 * n);
      case DataUse::three_strings:
        return has_strings(op.str[1], 3);
      case DataUse::kept_number:
        return op.a < max_kept_mounts;
      case DataUse::filter:
        // The thread that hands the listener over executes the op that follows.
        return is_blob(op.str[0], n) && n / sizeof(sock_filter) <= BPF_MAXINSNS &&
               index + 1 < header_->op_count;
      case DataUse::program:
        return exec_fits(op);
    }
    return false;
  }

  // exec writes pointers into the plan: they must not overlap the strings that they point to.
  bool exec_fits(const Op& op) const {
    const std::uint64_t size = header_->strings_size;
    if (op.n > size || op.a > size || op.b % sizeof(char*) != 0 ||
        !is_blob(op.b, (op.n + op.a + 3) * sizeof(char*)) || op.b > size) {
      return false;
    }
    const std::uint64_t end = op.b + (op.n + op.a + 3) * sizeof(char*);
    const std::uint64_t counts[2] = {op.n, op.a};
    for (int list = 0; list < 2; ++list) {
      const std::uint64_t begins = op.str[list];
      const std::uint64_t ends = after_strings(begins, counts[list]);
      if (ends > size || (begins < end && op.b < ends)) {
        return false;
      }
    }
    return true;
  }

  const PlanHeader* header_;
  const Op* ops_;
  const char* strings_;
};

}  // namespace

bool is_sound(const char* begin, std::uint64_t size) {
  if (size < sizeof(PlanHeader)) {
    return false;
  }
  const auto* header = reinterpret_cast<const PlanHeader*>(begin);
  const std::uint64_t ops_end = sizeof(PlanHeader) + std::uint64_t{header->op_count} * sizeof(Op);
  return header->magic_number == magic && header->size == size &&
         header->ops_offset == sizeof(PlanHeader) && header->strings_offset == ops_end &&
         ops_end + header->strings_size == size && header->strings_size > 0 &&
         begin[size - 1] == '\0' && header->passed_fds <= max_passed && Verifier(begin).is_sound();
}

}  // namespace init
