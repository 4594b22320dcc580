#pragma once

// Compressed layers, unpacked into a file without a name: it is gone when nobody has it open, also
// after a crash. Private to the OCI importer.

#include <memory>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

enum class Compression { kNone, kGzip, kZstd };

struct InflateLimits {
  // What comes out, for each byte that goes in, and whatever goes in.
  static constexpr std::uint64_t kRatio = 200;
  static constexpr std::uint64_t kFloor = 64ULL << 20U;
};

// In $TMPDIR or /tmp. kParse for other bytes, kTooLarge for a bomb, kNoSpace. Blocks.
Result<std::unique_ptr<File>> inflate(FileSystem& fs, File& packed, Compression compression);

}  // namespace skerry::registry
