#pragma once

// Which contexts share a table, and the tables as bytes. Private to symbol_model.

#include <array>
#include <cstdint>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

#include "rans.hpp"

namespace skerry::registry::delta {

struct Histogram {
  std::uint32_t context = 0;
  std::uint8_t shift = 0;
  std::uint64_t total = 0;
  std::array<std::uint32_t, kSymbols> count{};

  void add(const Histogram& other);
};

struct TableSet {
  std::vector<std::uint8_t> table_of;  // by context, kContexts of them
  std::vector<SymbolTable> tables;     // at most kMaxTables
};

// Shares tables where a table of one's own would cost more than it saves. Integers only, like the
// coder. `histograms` is not empty.
TableSet make_tables(const std::vector<Histogram>& histograms);

Bytes serialize_tables(const TableSet& set);
// Reads from the front of `bytes` and sets `length` to what was read. kParse if malformed.
Result<TableSet> parse_tables(ByteView bytes, std::size_t& length);

}  // namespace skerry::registry::delta
