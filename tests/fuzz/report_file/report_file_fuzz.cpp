// Any bytes as a report on a stick: reading ends, what was read is written as the same bytes.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "skerry/cli/report_file.hpp"

#include "memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace cli = skerry::cli;
  skerry::test::MemoryFile file{std::string{reinterpret_cast<const char*>(data), size}};
  std::size_t bytes = 8;
  std::uint64_t seen = 0;
  const auto parts = cli::read_report_file(file, [&](std::string part) -> skerry::Result<void> {
    if (part.empty() || part.size() > cli::ReportFileLimits::kPartBytes) {
      std::abort();
    }
    bytes += 4 + part.size();
    ++seen;
    return {};
  });
  if (parts && (*parts != seen || bytes != size)) {
    std::abort();
  }
  return 0;
}
