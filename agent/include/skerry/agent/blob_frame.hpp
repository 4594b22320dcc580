#pragma once

// Reads one skerry.fleet.v1.BlobChunk (offset = 1, data = 2) where it lies, in the pieces that gRPC
// received it in, so that payload bytes are never copied through a protobuf string. Used by the
// controller's blob source; a fuzz target feeds it.

#include <cstdint>
#include <span>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

struct BlobFrame {
  std::uint64_t offset = 0;
  // The payload, in order; the views point into the given pieces.
  std::vector<ByteView> data;

  [[nodiscard]] std::uint64_t size() const;
};

// At most this many payload bytes in one frame; more is kTooLarge.
inline constexpr std::uint64_t kMaxBlobFrame = 16ULL << 20U;

// kParse says what is wrong and at which byte of the message. Unknown fields are skipped, as
// protobuf does; a repeated `data` field, a group or a truncated field is refused.
Result<BlobFrame> parse_blob_frame(std::span<const ByteView> pieces);

}  // namespace skerry::agent
