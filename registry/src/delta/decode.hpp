#pragma once

// One segment from its payload; shared by the reader and by the maker, which checks what it made.

#include <span>

#include "container.hpp"

namespace skerry::registry::delta {

// Not for copies. Fills all of `out`, which has the segment's length.
Result<void> decode(File& delta,
                    File& base,
                    std::uint64_t base_size,
                    const Segment& segment,
                    std::span<std::uint8_t> out);

inline void count(DeltaSummary& summary, const Segment& segment) {
  (segment.kind == SegmentKind::kCopy        ? summary.copied_bytes
   : segment.kind == SegmentKind::kStored    ? summary.stored_bytes
   : segment.kind == SegmentKind::kPredicted ? summary.predicted_bytes
                                             : summary.packed_bytes) += segment.length;
}

}  // namespace skerry::registry::delta
