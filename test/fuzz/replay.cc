// Passes the named files to a fuzzer, for `npm test`, so that found errors do not return. A
// directory stands for the files in it.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz.h"

namespace {

void replay(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  // A buffer of exactly this size, so that a sanitizer detects reads beyond it.
  const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
  fuzz::require(!stream.bad(), "cannot read " + file.string());
  // Printed first, because the program may end at this file.
  std::printf("%s\n", file.c_str());
  std::fflush(stdout);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::string& argument : std::vector<std::string>(argv + 1, argv + argc)) {
    if (!std::filesystem::is_directory(argument)) {
      replay(argument);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argument)) {
      replay(entry.path());
    }
  }
  return 0;
}
