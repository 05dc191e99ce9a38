// Entry point of init, and the functions that a program without a C library has to define itself.
#include "init.h"

namespace init {
namespace {

Context context;

}  // namespace

extern "C" [[noreturn]] void init_main(const long* stack);

extern "C" [[noreturn]] void init_main(const long* stack) { run(context, stack); }

}  // namespace init

// The compiler turns loops and copies into calls to these functions.
extern "C" {
void* memcpy(void* to, const void* from, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < size; ++i) {
    out[i] = in[i];
  }
  return to;
}

void* memset(void* to, int byte, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  for (std::size_t i = 0; i < size; ++i) {
    out[i] = static_cast<unsigned char>(byte);
  }
  return to;
}

void* memmove(void* to, const void* from, std::size_t size) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (out <= in) {
    return memcpy(to, from, size);
  }
  for (std::size_t i = size; i > 0; --i) {
    out[i - 1] = in[i - 1];
  }
  return to;
}

int memcmp(const void* a, const void* b, std::size_t size) noexcept {
  const auto* x = static_cast<const unsigned char*>(a);
  const auto* y = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < size; ++i) {
    if (x[i] != y[i]) {
      return x[i] < y[i] ? -1 : 1;
    }
  }
  return 0;
}
}
