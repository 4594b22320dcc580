#pragma once

// What a delta will consist of, before anything is coded: the target in segments, each with where
// it comes from.

#include <cstdint>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"

#include "container.hpp"
#include "segment_coder.hpp"

namespace skerry::registry::delta {

struct PlannedSegment {
  // kCopy, kPredicted (with `parts`), or kPacked: to be packed with the base range as dictionary,
  // if that is smaller than storing it.
  SegmentKind kind = SegmentKind::kCopy;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t base_offset = 0;
  std::uint64_t base_length = 0;
  std::vector<Part> parts;
};

// Reads both files once. The segments cover the target in order.
Result<std::vector<PlannedSegment>> plan_delta(File& base,
                                               std::uint64_t base_size,
                                               File& target,
                                               std::uint64_t target_size,
                                               const CancelFlag* cancel);

}  // namespace skerry::registry::delta
