#pragma once

// One predicted segment: parts of tensors in the order of the target, each coded against a range of
// the base, with one set of tables for all of them. Small copies and bytes between tensors travel
// inside, so that a segment is not cut by every norm and every padding.

#include <cstdint>
#include <span>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry::delta {

// Beside the numbers of `Coding`.
inline constexpr std::uint8_t kPartCopy = 255;
inline constexpr std::uint8_t kPartBytes = 254;

struct Part {
  std::uint8_t coding = kPartCopy;
  std::uint64_t length = 0;
  std::uint64_t base_offset = 0;  // not for kPartBytes
};

// The payload that makes `target` from `base` by `parts`, whose lengths add up to it.
Result<Bytes> encode_segment(File& base, const std::vector<Part>& parts, ByteView target);

// kParse for a payload that is malformed or was not made for a base of this size. Fills all of
// `target` or fails.
Result<void> decode_segment(File& base,
                            std::uint64_t base_size,
                            ByteView payload,
                            std::span<std::uint8_t> target);

}  // namespace skerry::registry::delta
