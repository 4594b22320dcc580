#pragma once

// The entropy coder of deltas: four interleaved range-variant asymmetric numeral systems (rANS,
// Duda 2013) over static tables of at most 32 symbols. Integers only, so that every machine reads
// the same bits. Used by `symbol_model`; nobody else needs it.

#include <array>
#include <cstdint>
#include <vector>

#include "skerry/common/bytes.hpp"

namespace skerry::registry::delta {

inline constexpr unsigned kProbabilityBits = 15;
inline constexpr std::uint32_t kProbabilityOne = 1U << kProbabilityBits;
inline constexpr std::uint32_t kStateFloor = 1U << 16U;
inline constexpr unsigned kLanes = 4;
inline constexpr unsigned kSymbols = 32;

// Symbols by falling frequency. Unused places of `start` are 2^15, so that a search stops before
// them.
struct SymbolTable {
  std::array<std::uint16_t, kSymbols + 4> start{};
  std::array<std::uint8_t, kSymbols> symbol{};
  std::uint8_t shift = 0;  // low bits of a residual that follow as they are
  std::uint8_t count = 0;

  [[nodiscard]] std::uint32_t frequency(unsigned i) const {
    return static_cast<std::uint32_t>(start[i + 1] - start[i]);
  }
};

// Bits go out last first: `put` everything from the end, then `finish` gives the bytes to be read
// forwards.
class RansWriter {
 public:
  // An event of `frequency` out of 2^15 that begins at `start`, for the lane it is read from.
  void put(unsigned lane, std::uint32_t start, std::uint32_t frequency) {
    std::uint32_t& state = state_[lane];
    if (state >= (std::uint64_t{frequency} << (32U - kProbabilityBits))) {
      words_.push_back(static_cast<std::uint16_t>(state));
      state >>= 16U;
    }
    state = ((state / frequency) << kProbabilityBits) + state % frequency + start;
  }
  void put_raw(unsigned lane, std::uint32_t value, unsigned bits) {
    const unsigned shift = kProbabilityBits - bits;
    put(lane, value << shift, 1U << shift);
  }
  Bytes finish();

 private:
  std::array<std::uint32_t, kLanes> state_{kStateFloor, kStateFloor, kStateFloor, kStateFloor};
  std::vector<std::uint16_t> words_;
};

// Reads what RansWriter wrote. Behind the end it reads zeros; `ended_well` tells afterwards.
class RansReader {
 public:
  explicit RansReader(ByteView bytes);

  // The place in `table` of the next symbol of `lane`.
  unsigned place(unsigned lane, const SymbolTable& table) {
    const unsigned i = step(state_[lane], table);
    refill(state_[lane]);
    return i;
  }
  // `bits` at most 12.
  std::uint32_t raw(unsigned lane, unsigned bits) {
    std::uint32_t& state = state_[lane];
    const unsigned shift = kProbabilityBits - bits;
    const std::uint32_t slot = state & (kProbabilityOne - 1);
    state = ((state >> kProbabilityBits) << shift) + (slot & ((1U << shift) - 1));
    refill(state);
    return slot >> shift;
  }

  // True if exactly the bytes given were read and the states are back where the writer began.
  [[nodiscard]] bool ended_well() const;

 private:
  static unsigned step(std::uint32_t& state, const SymbolTable& table) {
    const std::uint32_t slot = state & (kProbabilityOne - 1);
    if (slot < table.start[1]) [[likely]] {
      state = table.start[1] * (state >> kProbabilityBits) + slot;
      return 0;
    }
    unsigned i = 1;
    while (slot >= table.start[i + 1]) {
      ++i;
    }
    state = table.frequency(i) * (state >> kProbabilityBits) + slot - table.start[i];
    return i;
  }
  void refill(std::uint32_t& state) {
    if (state < kStateFloor) {
      if (at_ == end_) [[unlikely]] {
        overrun_ = true;
        state <<= 16U;
        return;
      }
      state = state << 16U | at_[0] | static_cast<std::uint32_t>(at_[1]) << 8U;
      at_ += 2;
    }
  }

  std::array<std::uint32_t, kLanes> state_{};
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  bool overrun_ = false;
};

}  // namespace skerry::registry::delta
