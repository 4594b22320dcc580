#pragma once

// zstd with a range of the base as its dictionary (its "patch from"), for what no tensor predicts.

#include <cstdint>
#include <span>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry::delta {

// Empty where packing does not pay.
Bytes pack_bytes(ByteView bytes, ByteView dictionary);

// Fills all of `out`, or kParse.
Result<void> unpack_bytes(ByteView packed, ByteView dictionary, std::span<std::uint8_t> out);

}  // namespace skerry::registry::delta
