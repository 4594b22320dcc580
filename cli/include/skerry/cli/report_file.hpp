#pragma once

// The file in which a gateway's signed reports travel on a stick (docs/formats/bundle.md): a magic,
// then parts with their lengths. Written by `skerry bundle report`, read by `skerry fleet reports
// import`. The parts are signed, the file is not: nothing of it is believed here.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::cli {

inline constexpr std::string_view kReportFile = "outbox.skreport";

struct ReportFileLimits {
  static constexpr std::uint32_t kPartBytes = 4U << 20U;
  static constexpr std::uint64_t kParts = 65'536;
};

// Writes from the beginning of an empty file; the caller syncs it.
class ReportFileWriter {
 public:
  explicit ReportFileWriter(File& file) : file_(file) {}
  // kTooLarge beyond the limits.
  Result<void> add(std::string_view part);
  [[nodiscard]] std::uint64_t bytes() const { return end_; }
  [[nodiscard]] std::uint64_t parts() const { return parts_; }

 private:
  File& file_;
  std::uint64_t end_ = 0;
  std::uint64_t parts_ = 0;
};

// Calls `each` for every part, in order; its failure ends the reading and is returned. Returns how
// many there were. kParse names the offset of what is no part, or says that the file was cut.
Result<std::uint64_t> read_report_file(File& file,
                                       const std::function<Result<void>(std::string)>& each);

}  // namespace skerry::cli
