#pragma once

// Finds bytes of the target in the base, wherever they moved: both are cut where their content says
// so (a gear hash, as FastCDC does), and equal pieces are compared byte by byte. For headers, and
// for files without tensors.

#include <cstdint>
#include <functional>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"

namespace skerry::registry::delta {

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// A piece of the target, in order: found at `base_offset`, or not found.
struct MatchedPiece {
  std::uint64_t length = 0;
  bool found = false;
  std::uint64_t base_offset = 0;
};

// Pieces that cover `wanted` of `target`, matched against `known` of `base`. Neighbouring pieces
// are joined.
Result<std::vector<MatchedPiece>> match_chunks(
    File& base, ByteRange known, File& target, ByteRange wanted, const CancelFlag* cancel);

}  // namespace skerry::registry::delta
