// The error of a call, for unit tests.
#pragma once

#include <string>

#include "tare/error.h"

namespace tare::test {

/// Returns "ERR_TARE_KIND message" of the error that `call` throws; empty if it throws none.
template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error_code(error.kind())) + " " + error.what();
  }
  return {};
}

}  // namespace tare::test
