#pragma once

// From residuals to bytes and back: each residual is coded under a context; contexts with alike
// statistics share one static table, which travels with the segment. `block_codec` decides what is
// predicted and under which context; `rans` codes the symbols.

#include <array>
#include <cstdint>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

#include "rans.hpp"

namespace skerry::registry::delta {

inline constexpr std::size_t kFamilyContexts = 1024;
inline constexpr std::size_t kFamilies = 6;
inline constexpr std::size_t kContexts = kFamilyContexts * kFamilies;
// Of each family: those below are read in batches, those from here on one by one.
inline constexpr std::size_t kBatchContexts = 768;
inline constexpr std::size_t kMaxTables = 64;

// A residual as the coder sees it: 0, -1, 1, -2 … become 0, 1, 2, 3 …
inline std::uint32_t fold(std::int32_t residual) {
  return static_cast<std::uint32_t>(residual) << 1U ^ static_cast<std::uint32_t>(residual >> 31);
}
inline std::int32_t unfold(std::uint32_t folded) {
  return static_cast<std::int32_t>(folded >> 1U ^ (0U - (folded & 1U)));
}

// Collects the residuals of one segment, then writes them. Not thread-safe.
class SymbolRecorder {
 public:
  static constexpr bool kDecodes = false;

  void reserve(std::size_t residuals);
  // A residual under a context that is read alone.
  std::int32_t residual(unsigned context, std::int32_t value) {
    contexts_.push_back(static_cast<std::uint16_t>(context));
    values_.push_back(value);
    return value;
  }
  template <std::size_t N>
  void residuals(const std::array<std::uint16_t, N>& contexts,
                 std::array<std::int32_t, N>& values) {
    contexts_.insert(contexts_.end(), contexts.begin(), contexts.end());
    values_.insert(values_.end(), values.begin(), values.end());
  }

  // Tables and coded residuals.
  [[nodiscard]] Bytes finish() const;

 private:
  std::vector<std::uint16_t> contexts_;
  std::vector<std::int32_t> values_;
};

// Reads what SymbolRecorder wrote, under the same contexts in the same order.
class SymbolReader {
 public:
  static constexpr bool kDecodes = true;

  // kParse for tables that are not well formed.
  static Result<SymbolReader> open(ByteView bytes);

  std::int32_t residual(unsigned context, std::int32_t /*value*/) {
    lane_ = (lane_ + 1) % kLanes;
    return read(reader_.lanes(), lane_, context);
  }
  template <std::size_t N>
  void residuals(const std::array<std::uint16_t, N>& contexts,
                 std::array<std::int32_t, N>& values) {
    static_assert(N % kLanes == 0);
    RansReader::Lanes lanes = reader_.lanes();
    for (std::size_t i = 0; i < N; i += kLanes) {
#pragma GCC unroll 4
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        values[i + lane] = read(lanes, lane, contexts[i + lane]);
      }
    }
    reader_.lanes() = lanes;
  }
  // True if the residuals asked for were all there was.
  [[nodiscard]] bool ended_well() const {
    return reader_.ended_well();
  }

 private:
  SymbolReader(std::vector<std::uint8_t> table_of, std::vector<ReadTable> tables, ByteView coded)
      : table_of_(std::move(table_of)), tables_(std::move(tables)), reader_(coded) {}

  std::int32_t read(RansReader::Lanes& lanes, unsigned lane, unsigned context) {
    // Every context has an entry and every entry is a table: parse_tables saw to that.
    const ReadTable& table = tables_.data()[table_of_.data()[context]];
    const unsigned place = lanes.place(lane, table);
    const std::int8_t residual = table.residual.data()[place];
    if (residual == kWideResidual) [[unlikely]] {
      // A copy, so that the lanes of the caller need no address.
      RansReader::Lanes copy = lanes;
      const std::int32_t wide = read_wide(copy, lane, table, table.symbol[place]);
      lanes = copy;
      return wide;
    }
    return residual;
  }
  static std::int32_t read_wide(RansReader::Lanes& lanes,
                                unsigned lane,
                                const ReadTable& table,
                                std::uint32_t folded);

  std::vector<std::uint8_t> table_of_;
  std::vector<ReadTable> tables_;
  RansReader reader_;
  unsigned lane_ = 0;  // of the residual read alone before
};

}  // namespace skerry::registry::delta
