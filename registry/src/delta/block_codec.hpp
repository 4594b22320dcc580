#pragma once

// How the weights of a tensor are predicted from those of the same tensor in the base: for each way
// of storing them, the new scales first (coded against the old ones), then each new code, predicted
// as the old value over the new scale, under a context that says how sure that is. One class for
// both directions: with a SymbolRecorder it reads the new bytes, with a SymbolReader it writes
// them. docs/formats/delta.md has the rules in words.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "skerry/common/bytes.hpp"

#include "fixed_point.hpp"
#include "symbol_model.hpp"

namespace skerry::registry::delta {

// Values are part of the format; those of GGUF tensor types are GGUF's.
enum class Coding : std::uint8_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ8_0 = 8,
  kQ4K = 12,
  kQ5K = 13,
  kQ6K = 14,
  kBf16 = 30,
};

// Bytes of the smallest piece that a coding works on; nothing for a number that is no coding.
std::optional<std::size_t> coding_unit(std::uint8_t coding);

// Where most scales (or exponents) of `now` lie: contexts are relative to it.
std::int32_t reference_scale(Coding coding, ByteView now);

// Records what turns `old` into `now`. Both have the same size, a multiple of the unit.
void record_blocks(
    Coding coding, std::int32_t reference, ByteView old, ByteView now, SymbolRecorder& recorder);
// Writes `now` from `old`. Whatever `reader` gives, no byte outside `now` is touched.
void read_blocks(Coding coding,
                 std::int32_t reference,
                 ByteView old,
                 std::span<std::uint8_t> now,
                 SymbolReader& reader);

}  // namespace skerry::registry::delta
