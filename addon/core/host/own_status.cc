#include "host/own_status.h"

#include <fcntl.h>

#include <cstddef>

#include "tare/error.h"
#include "tare/fd.h"

namespace tare {

std::string own_status(std::string_view name) {
  const std::string text = read_file_if_exists(AT_FDCWD, "/proc/self/status").value_or("");
  const std::string key = "\n" + std::string(name) + ":\t";
  const std::size_t begin = text.find(key);
  if (begin == std::string::npos) {
    return {};
  }
  const std::size_t value = begin + key.size();
  return text.substr(value, text.find('\n', value) - value);
}

bool has_seccomp_filter() {
  try {
    return own_status("Seccomp") == "2";
  } catch (const Error&) {
    return false;
  }
}

}  // namespace tare
