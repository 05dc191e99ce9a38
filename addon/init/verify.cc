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

constexpr std::uint32_t most_passed = 1 << 16;

class Verifier {
 public:
  explicit Verifier(const char* begin)
      : header_(reinterpret_cast<const PlanHeader*>(begin)),
        ops_(reinterpret_cast<const Op*>(begin + sizeof(PlanHeader))),
        strings_(begin + header_->strings_offset) {}

  bool is_sound() const {
    for (std::uint32_t i = 0; i < header_->op_count; ++i) {
      const Op& op = ops_[i];
      if (!is_string(op.str[0]) || !is_string(op.str[1]) || !has_its_fd(op) || !fits(op, i)) {
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

  bool has_its_fd(const Op& op) const {
    const bool fetched = op.fd <= -2 && op.fd > -2 - static_cast<int>(most_fetched);
    switch (op.code) {
      case OpCode::setns:
      case OpCode::start_gate:
      case OpCode::reap:
        return op.fd >= 0 && is_passed(static_cast<std::uint64_t>(op.fd));
      case OpCode::wait:
      case OpCode::seccomp:
      case OpCode::close_fds:
        return op.fd < 0 || is_passed(static_cast<std::uint64_t>(op.fd));
      case OpCode::root:
        return op.fd >= 0 ? is_passed(static_cast<std::uint64_t>(op.fd))
                          : op.n <= most_fetched &&
                                (op.n == 0 || (op.flags & op_open_only) != 0 || fetched);
      case OpCode::attributes:
      case OpCode::reconfigure:
        return op.fd < static_cast<int>(most_kept);
      case OpCode::bind:
      case OpCode::bind_device:
        return ((op.flags & op_source_is_fd) == 0 || fetched) &&
               (((op.a | op.d) & MOUNT_ATTR_IDMAP) == 0 || op.code != OpCode::bind ||
                is_passed(op.n));
      default:
        return true;
    }
  }

  // Checks what an op has beyond its two strings.
  bool fits(const Op& op, std::uint32_t index) const {
    switch (op.code) {
      case OpCode::time_offsets:
      case OpCode::hostname:
      case OpCode::domainname:
      case OpCode::cpu_affinity:
      case OpCode::make_file:
        return is_blob(op.str[0], op.n);
      case OpCode::memory_policy:
        // The kernel reads whole words.
        return is_blob(op.str[0], (std::uint64_t{op.n} + 7) / 8 * 8);
      case OpCode::identity:
        return is_blob(op.str[0], std::uint64_t{op.n} * sizeof(std::uint32_t));
      case OpCode::sysctl:
      case OpCode::proc_write:
        return is_blob(op.str[1], op.n);
      case OpCode::bind:
        return has_strings(op.str[0], (op.flags & op_source_beneath) != 0 ? 2 : 1);
      case OpCode::mount_fs:
        return is_string(op.d) && has_strings(op.str[1], 1 + 2 * std::uint64_t{op.n});
      case OpCode::reconfigure:
        return has_strings(op.str[1], 1 + 2 * std::uint64_t{op.n});
      case OpCode::mount_data:
        return has_strings(op.str[1], 3);
      case OpCode::keep:
        return op.a < most_kept;
      case OpCode::open_source:
        return op.a < most_fetched &&
               has_strings(op.str[0], (op.flags & op_source_beneath) != 0 ? 2 : 1);
      case OpCode::seccomp:
        // The thread that hands the listener over executes the op that follows.
        return is_blob(op.str[0], op.n) && op.n / sizeof(sock_filter) <= BPF_MAXINSNS &&
               index + 1 < header_->op_count;
      case OpCode::exec:
        return exec_fits(op);
      default:
        return true;
    }
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
         begin[size - 1] == '\0' && header->passed_fds <= most_passed && Verifier(begin).is_sound();
}

}  // namespace init
