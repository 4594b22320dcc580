#pragma once

// Header and directory of a delta file (docs/formats/delta.md), and the limits of the format.
// `make` writes them, `reader` reads them.

#include <cstdint>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/delta.hpp"

namespace skerry::registry::delta {

inline constexpr std::size_t kHeaderBytes = 128;
// What one segment makes, copies apart: the unit of resuming and of parallel work.
inline constexpr std::uint64_t kSegmentBytes = 4U << 20U;
inline constexpr std::uint64_t kMaxPayload = kSegmentBytes + (256U << 10U);
// The part of the base that helps to unpack a segment.
inline constexpr std::uint64_t kMaxPrefix = 8U << 20U;
inline constexpr std::uint64_t kMaxSegments = 1U << 18U;
inline constexpr std::uint64_t kMaxDirectory = 8U << 20U;
inline constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 40U;

enum class SegmentKind : std::uint8_t {
  kCopy = 0,       // `length` bytes of the base
  kStored = 1,     // the payload
  kPacked = 2,     // the payload unpacked by zstd, with a range of the base as its dictionary
  kPredicted = 3,  // tensors: segment_coder
};

struct Segment {
  SegmentKind kind = SegmentKind::kCopy;
  std::uint64_t length = 0;          // of the target
  std::uint64_t payload_length = 0;  // of the delta file
  std::uint64_t base_offset = 0;     // kCopy, kPacked
  std::uint64_t base_length = 0;     // kPacked: 0 for no dictionary
  // Not stored: where the segments before end.
  std::uint64_t offset = 0;
  std::uint64_t payload_offset = 0;
};

struct Directory {
  DeltaHeader header;
  std::vector<Segment> segments;
};

Bytes serialize_directory(const std::vector<Segment>& segments);
Bytes serialize_header(const DeltaHeader& header,
                       std::uint64_t directory_offset,
                       ByteView directory);

// kParse, kTooLarge as DeltaReader::open.
Result<Directory> read_directory(File& delta);

// kIo if the file ends before `out` is full.
Result<void> read_exactly(File& file, std::uint64_t offset, std::span<std::uint8_t> out);

}  // namespace skerry::registry::delta
