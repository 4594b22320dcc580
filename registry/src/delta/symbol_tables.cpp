#include "symbol_tables.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <zstd.h>

#include "symbol_model.hpp"
#include "varint.hpp"

namespace skerry::registry::delta {
namespace {

// What a table of its own costs on the wire, about, in bits with sixteen binary places.
constexpr std::uint64_t kTableCost = std::uint64_t{60} << 16U;
constexpr std::size_t kMaxTableBytes = 1U << 16U;
constexpr int kTableLevel = 12;

// log2 with sixteen binary places, by squaring: which tables are shared must not depend on a
// machine's logarithm.
std::uint64_t log2_fixed(std::uint64_t value) {
  const auto width = static_cast<unsigned>(std::bit_width(value));
  std::uint64_t result = width - 1;
  std::uint64_t x = width > 32 ? value >> (width - 32) : value << (32 - width);  // [2^31, 2^32)
  for (int i = 0; i < 16; ++i) {
    x = x * x >> 31U;
    const std::uint64_t carry = x >> 32U;
    result = result << 1U | carry;
    x >>= carry;
  }
  return result;
}

// The bits of everything counted, under its own statistics.
std::uint64_t cost(const Histogram& histogram) {
  std::uint64_t bits = histogram.total == 0 ? 0 : histogram.total * log2_fixed(histogram.total);
  for (const std::uint64_t n : histogram.count) {
    bits -= n == 0 ? 0 : n * log2_fixed(n);
  }
  return bits;
}

Histogram merged(Histogram a, const Histogram& b) {
  a.add(b);
  return a;
}

struct Costed {
  Histogram histogram;
  std::uint64_t bits = 0;
};

// Bits lost when both use one table.
std::uint64_t loss(const Costed& a, const Costed& b) {
  if (a.histogram.shift != b.histogram.shift) {
    return UINT64_MAX;
  }
  const std::uint64_t apart = a.bits + b.bits;
  const std::uint64_t together = cost(merged(a.histogram, b.histogram));
  return together > apart ? together - apart : 0;
}

// Frequencies that add up to 2^15, each counted symbol at least 1.
SymbolTable normalized(const Histogram& histogram) {
  SymbolTable table;
  table.shift = histogram.shift;
  std::array<std::uint32_t, kSymbols> frequency{};
  std::uint32_t sum = 0;
  std::vector<std::uint8_t> order;
  for (std::uint8_t s = 0; s < kSymbols; ++s) {
    if (histogram.count[s] != 0) {
      frequency[s] = static_cast<std::uint32_t>(std::max<std::uint64_t>(
          1,
          (std::uint64_t{histogram.count[s]} * kProbabilityOne + histogram.total / 2) /
              histogram.total));
      sum += frequency[s];
      order.push_back(s);
    }
  }
  std::stable_sort(
      order.begin(), order.end(), [&](auto a, auto b) { return frequency[a] > frequency[b]; });
  // The most frequent one takes the difference; it has at least 2^15 / 32.
  frequency[order[0]] = frequency[order[0]] + kProbabilityOne - sum;
  std::uint32_t start = 0;
  table.start.fill(static_cast<std::uint16_t>(kProbabilityOne));
  for (std::size_t i = 0; i < order.size(); ++i) {
    table.symbol[i] = order[i];
    table.start[i] = static_cast<std::uint16_t>(start);
    start += frequency[order[i]];
  }
  table.count = static_cast<std::uint8_t>(order.size());
  return table;
}

}  // namespace

void Histogram::add(const Histogram& other) {
  total += other.total;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    count[s] += other.count[s];
  }
}

namespace {

// Farthest-first: the largest context begins; then whichever loses most by sharing opens a table of
// its own. Gives the table of each context.
std::vector<std::size_t> first_homes(const std::vector<Costed>& used) {
  std::vector<std::uint64_t> nearest(used.size(), UINT64_MAX);
  std::vector<std::size_t> home(used.size(), 0);
  std::size_t next = 0;
  for (std::size_t i = 1; i < used.size(); ++i) {
    next = used[i].histogram.total > used[next].histogram.total ? i : next;
  }
  for (std::size_t tables = 0; tables < kMaxTables; ++tables) {
    for (std::size_t i = 0; i < used.size(); ++i) {
      const std::uint64_t here = loss(used[i], used[next]);
      if (here < nearest[i]) {
        nearest[i] = here;
        home[i] = tables;
      }
    }
    const auto farthest = std::max_element(nearest.begin(), nearest.end());
    if (*farthest < kTableCost) {
      break;
    }
    next = static_cast<std::size_t>(farthest - nearest.begin());
  }
  return home;
}

std::vector<Costed> sums_by_home(const std::vector<Costed>& used,
                                 const std::vector<std::size_t>& home) {
  std::vector<Costed> sums(kMaxTables);
  for (std::size_t i = 0; i < used.size(); ++i) {
    sums[home[i]].histogram.shift = used[i].histogram.shift;
    sums[home[i]].histogram.add(used[i].histogram);
  }
  for (Costed& sum : sums) {
    sum.bits = cost(sum.histogram);
  }
  return sums;
}

// Moves each context to the table that suits it best, as the tables came out.
void improve_homes(const std::vector<Costed>& used, std::vector<std::size_t>& home) {
  const auto sums = sums_by_home(used, home);
  for (std::size_t i = 0; i < used.size(); ++i) {
    std::uint64_t best = UINT64_MAX;
    for (std::size_t t = 0; t < sums.size(); ++t) {
      const std::uint64_t here = sums[t].histogram.total == 0 ? UINT64_MAX : loss(used[i], sums[t]);
      if (here < best) {
        best = here;
        home[i] = t;
      }
    }
  }
}

}  // namespace

TableSet make_tables(const std::vector<Histogram>& histograms) {
  std::vector<Costed> used;
  used.reserve(histograms.size());
  for (const Histogram& histogram : histograms) {
    used.push_back({histogram, cost(histogram)});
  }
  auto home = first_homes(used);
  improve_homes(used, home);
  const auto sums = sums_by_home(used, home);
  TableSet set;
  std::vector<std::uint8_t> number(sums.size(), 0);
  for (std::size_t t = 0; t < sums.size(); ++t) {
    if (sums[t].histogram.total != 0) {
      number[t] = static_cast<std::uint8_t>(set.tables.size());
      set.tables.push_back(normalized(sums[t].histogram));
    }
  }
  set.table_of.assign(kContexts, 0);
  std::vector<int> given(kContexts, -1);
  for (std::size_t i = 0; i < used.size(); ++i) {
    given[used[i].histogram.context] = number[home[i]];
  }
  // Unused contexts repeat their neighbour, which packs to nothing.
  std::uint8_t last = 0;
  for (std::size_t c = 0; c < kContexts; ++c) {
    last = given[c] >= 0 ? static_cast<std::uint8_t>(given[c]) : last;
    set.table_of[c] = last;
  }
  return set;
}

Bytes serialize_tables(const TableSet& set) {
  Bytes plain;
  put_varint(plain, set.tables.size());
  for (const SymbolTable& table : set.tables) {
    plain.push_back(static_cast<std::uint8_t>(table.shift));
    plain.push_back(table.count);
    for (unsigned i = 0; i < table.count; ++i) {
      plain.push_back(table.symbol[i]);
      if (i > 0) {
        put_varint(plain, table.frequency(i));
      }
    }
  }
  // Runs of contexts with the same table.
  for (std::size_t c = 0; c < kContexts;) {
    std::size_t end = c + 1;
    while (end < kContexts && set.table_of[end] == set.table_of[c]) {
      ++end;
    }
    plain.push_back(set.table_of[c]);
    put_varint(plain, end - c);
    c = end;
  }
  Bytes packed(ZSTD_compressBound(plain.size()));
  const std::size_t size =
      ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), kTableLevel);
  const bool smaller = ZSTD_isError(size) == 0 && size < plain.size();
  Bytes out;
  put_varint(out, plain.size());
  put_varint(out, smaller ? size : 0);
  if (smaller) {
    out.insert(out.end(), packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
  } else {
    out.insert(out.end(), plain.begin(), plain.end());
  }
  return out;
}

namespace {

Error malformed_tables(const char* what) {
  return {Error::Code::kParse, std::string{"delta tables: "} + what};
}

Result<SymbolTable> parse_table(VarintReader& in) {
  SymbolTable table;
  table.shift = in.byte();
  table.count = in.byte();
  if (table.shift > 31 || table.count == 0 || table.count > kSymbols) {
    return malformed_tables("a table of no or too many symbols");
  }
  // The first frequency is what the others leave.
  std::array<std::uint64_t, kSymbols> frequency{};
  std::uint64_t others = 0;
  for (unsigned i = 0; i < table.count; ++i) {
    table.symbol[i] = in.byte();
    if (i > 0) {
      frequency[i] = in.varint();
      if (frequency[i] == 0 || frequency[i] >= kProbabilityOne) {
        return malformed_tables("a frequency of zero or beyond one");
      }
      others += frequency[i];
    }
    if (table.symbol[i] >= kSymbols) {
      return malformed_tables("a symbol beyond the alphabet");
    }
  }
  if (!in.ok() || others >= kProbabilityOne) {
    return malformed_tables("frequencies that do not add up");
  }
  frequency[0] = kProbabilityOne - others;
  std::uint64_t start = 0;
  table.start.fill(static_cast<std::uint16_t>(kProbabilityOne));
  for (unsigned i = 0; i < table.count; ++i) {
    table.start[i] = static_cast<std::uint16_t>(start);
    start += frequency[i];
  }
  return table;
}

}  // namespace

Result<TableSet> parse_tables(ByteView bytes, std::size_t& length) {
  VarintReader header{bytes};
  const std::uint64_t plain_size = header.varint();
  const std::uint64_t packed_size = header.varint();
  const std::uint64_t stored = packed_size != 0 ? packed_size : plain_size;
  if (!header.ok() || plain_size == 0 || plain_size > kMaxTableBytes || stored > header.left()) {
    return malformed_tables("cut short or too large");
  }
  length = bytes.size() - header.left() + static_cast<std::size_t>(stored);
  const ByteView body =
      bytes.subspan(bytes.size() - header.left(), static_cast<std::size_t>(stored));
  Bytes plain(static_cast<std::size_t>(plain_size));
  if (packed_size != 0) {
    if (ZSTD_decompress(plain.data(), plain.size(), body.data(), body.size()) != plain.size()) {
      return malformed_tables("not what they were packed from");
    }
  } else {
    std::copy(body.begin(), body.end(), plain.begin());
  }
  VarintReader in{plain};
  const std::uint64_t tables = in.varint();
  if (!in.ok() || tables == 0 || tables > kMaxTables) {
    return malformed_tables("no tables or too many");
  }
  TableSet set;
  for (std::uint64_t t = 0; t < tables; ++t) {
    auto table = parse_table(in);
    if (!table) {
      return table.error();
    }
    set.tables.push_back(*table);
  }
  set.table_of.reserve(kContexts);
  while (set.table_of.size() < kContexts) {
    const std::uint8_t table = in.byte();
    const std::uint64_t run = in.varint();
    if (!in.ok() || table >= tables || run == 0 || run > kContexts - set.table_of.size()) {
      return malformed_tables("a run of contexts that does not fit");
    }
    set.table_of.insert(set.table_of.end(), static_cast<std::size_t>(run), table);
  }
  if (in.left() != 0) {
    return malformed_tables("bytes after the end");
  }
  return set;
}

}  // namespace skerry::registry::delta
