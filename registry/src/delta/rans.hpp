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
  std::array<std::uint16_t, kSymbols + 1> start{};
  std::array<std::uint8_t, kSymbols> symbol{};
  std::uint8_t shift = 0;  // low bits of a residual that follow as they are
  std::uint8_t count = 0;

  [[nodiscard]] std::uint32_t frequency(unsigned i) const {
    return static_cast<std::uint32_t>(start[i + 1] - start[i]);
  }
};

inline constexpr unsigned kGuessShift = 7;
inline constexpr unsigned kGuesses = kProbabilityOne >> kGuessShift;
// A residual that needs more bits than its symbol.
inline constexpr std::int8_t kWideResidual = -128;

// A table as it is read: a slot leads to its symbol in one look, nearly always.
struct alignas(128) ReadTable {
  explicit ReadTable(const SymbolTable& table);

  std::array<std::uint8_t, kGuesses> guess{};   // the place of the first slot of each stretch
  std::array<std::uint32_t, kSymbols> range{};  // start, and the frequency in the upper half
  std::array<std::int8_t, kSymbols> residual{};
  std::array<std::uint8_t, kSymbols> symbol{};
  std::uint8_t shift = 0;
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

// Reads what RansWriter wrote. Behind the end it goes on with anything; `ended_well` tells
// afterwards.
class RansReader {
 public:
  explicit RansReader(ByteView bytes);

  // Taken out for a batch, so that they stay in registers, and put back after it.
  struct Lanes {
    std::array<std::uint32_t, kLanes> state{};
    const std::uint8_t* at = nullptr;
    const std::uint8_t* end = nullptr;
    bool overrun = false;

    // The place of the next symbol.
    unsigned place(unsigned lane, const ReadTable& table) {
      const std::uint32_t slot = state[lane] & (kProbabilityOne - 1);
      unsigned i = table.guess[slot >> kGuessShift];
      // Plain pointers: a table is checked when it is read, not at every symbol.
      const std::uint32_t* const ranges = table.range.data();
      std::uint32_t range = ranges[i];
      while (slot - (range & 0xffffU) >= range >> 16U)
        [[unlikely]] {
          range = ranges[++i];
        }
      state[lane] = (range >> 16U) * (state[lane] >> kProbabilityBits) + slot - (range & 0xffffU);
      refill(lane);
      return i;
    }
    // `bits` at most 12.
    std::uint32_t raw(unsigned lane, unsigned bits) {
      const unsigned shift = kProbabilityBits - bits;
      const std::uint32_t slot = state[lane] & (kProbabilityOne - 1);
      state[lane] = ((state[lane] >> kProbabilityBits) << shift) + (slot & ((1U << shift) - 1));
      refill(lane);
      return slot >> shift;
    }
    void refill(unsigned lane) {
      if (state[lane] < kStateFloor) {
        if (at == end) [[unlikely]] {
          overrun = true;
          state[lane] = kStateFloor;
          return;
        }
        state[lane] = state[lane] << 16U | at[0] | static_cast<std::uint32_t>(at[1]) << 8U;
        at += 2;
      }
    }
  };
  Lanes& lanes() { return lanes_; }

  // True if exactly the bytes given were read and the states are back where the writer began.
  [[nodiscard]] bool ended_well() const;

 private:
  Lanes lanes_;
};

}  // namespace skerry::registry::delta
