#include "symbol_model.hpp"

#include <algorithm>
#include <bit>

#include "symbol_tables.hpp"

namespace skerry::registry::delta {
namespace {

constexpr unsigned kRawPiece = 12;
constexpr unsigned kWidthBits = 5;

// What one residual puts into the stream, in reading order.
struct Event {
  std::uint32_t start;
  std::uint32_t frequency;
};
class Events {
 public:
  void raw(std::uint32_t value, unsigned bits) {
    const unsigned shift = kProbabilityBits - bits;
    events_[count_++] = {value << shift, 1U << shift};
  }
  // As RansReader's caller asks for them: twelve bits at a time, the low ones first.
  void raw_pieces(std::uint32_t value, unsigned bits) {
    while (bits > 0) {
      const unsigned piece = std::min(bits, kRawPiece);
      raw(value & ((1U << piece) - 1), piece);
      value >>= piece;
      bits -= piece;
    }
  }
  void symbol(std::uint32_t start, std::uint32_t frequency) {
    events_[count_++] = {start, frequency};
  }
  void put_backwards(RansWriter& writer, unsigned lane) const {
    for (std::size_t i = count_; i-- > 0;) {
      writer.put(lane, events_[i].start, events_[i].frequency);
    }
  }

 private:
  std::array<Event, 10> events_{};
  std::size_t count_ = 0;
};

std::uint32_t symbol_of(std::int32_t residual, unsigned shift) {
  return std::min<std::uint32_t>(fold(residual >> shift), kSymbols - 1);
}

struct Spread {
  std::uint64_t count = 0;
  std::uint64_t magnitude = 0;
};

// Low bits that are noise where residuals are large.
std::uint8_t shift_for(const Spread& spread) {
  const std::uint64_t mean = spread.magnitude / spread.count;
  return mean < 8 ? 0 : static_cast<std::uint8_t>(std::bit_width(mean) - 3);
}

// Where each symbol of a table begins and how frequent it is.
struct Forward {
  std::array<std::uint32_t, kSymbols> start{};
  std::array<std::uint32_t, kSymbols> frequency{};
};

}  // namespace

void SymbolRecorder::reserve(std::size_t residuals) {
  contexts_.reserve(residuals);
  values_.reserve(residuals);
}

Bytes SymbolRecorder::finish() const {
  std::vector<Spread> spread(kContexts);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    Spread& s = spread[contexts_[i]];
    ++s.count;
    s.magnitude += fold(values_[i]) / 2;
  }
  std::vector<Histogram> used;
  std::vector<std::uint32_t> place(kContexts, 0);
  for (std::uint32_t c = 0; c < kContexts; ++c) {
    if (spread[c].count != 0) {
      place[c] = static_cast<std::uint32_t>(used.size());
      used.push_back({.context = c, .shift = shift_for(spread[c])});
    }
  }
  for (std::size_t i = 0; i < values_.size(); ++i) {
    Histogram& histogram = used[place[contexts_[i]]];
    ++histogram.total;
    ++histogram.count[symbol_of(values_[i], histogram.shift)];
  }
  if (used.empty()) {
    return {};
  }
  const TableSet set = make_tables(used);
  std::vector<Forward> forward(set.tables.size());
  for (std::size_t t = 0; t < forward.size(); ++t) {
    const SymbolTable& table = set.tables[t];
    for (unsigned i = 0; i < table.count; ++i) {
      forward[t].start[table.symbol[i]] = table.start[i];
      forward[t].frequency[table.symbol[i]] = table.frequency(i);
    }
  }
  // Residuals of a batch take the lanes in turn, and so do those that are read alone (from lane 1
  // on).
  std::size_t batched = 0;
  for (const std::uint16_t context : contexts_) {
    batched += context % kFamilyContexts < kBatchContexts ? 1 : 0;
  }
  std::size_t alone = contexts_.size() - batched + 1;
  RansWriter writer;
  for (std::size_t i = values_.size(); i-- > 0;) {
    const std::uint8_t t = set.table_of[contexts_[i]];
    const unsigned shift = set.tables[t].shift;
    const std::uint32_t symbol = symbol_of(values_[i], shift);
    Events events;
    events.symbol(forward[t].start[symbol], forward[t].frequency[symbol]);
    if (symbol == kSymbols - 1) {
      const std::uint32_t rest = fold(values_[i] >> shift) - symbol + 1;
      const auto width = static_cast<unsigned>(std::bit_width(rest));
      events.raw(width - 1, kWidthBits);
      events.raw_pieces(rest & ((1U << (width - 1)) - 1), width - 1);
    }
    events.raw_pieces(static_cast<std::uint32_t>(values_[i]) & ((1U << shift) - 1), shift);
    const std::size_t turn = contexts_[i] % kFamilyContexts < kBatchContexts ? --batched : --alone;
    events.put_backwards(writer, static_cast<unsigned>(turn % kLanes));
  }
  Bytes out = serialize_tables(set);
  const Bytes coded = writer.finish();
  out.insert(out.end(), coded.begin(), coded.end());
  return out;
}

Result<SymbolReader> SymbolReader::open(ByteView bytes) {
  std::size_t length = 0;
  auto set = parse_tables(bytes, length);
  if (!set) {
    return set.error();
  }
  std::vector<ReadTable> tables{set->tables.begin(), set->tables.end()};
  return SymbolReader{std::move(set->table_of), std::move(tables), bytes.subspan(length)};
}

std::int32_t SymbolReader::read_wide(RansReader::Lanes& lanes,
                                     unsigned lane,
                                     const ReadTable& table,
                                     std::uint32_t folded) {
  const auto raw = [&](unsigned bits) {
    std::uint32_t value = 0;
    for (unsigned at = 0; at < bits;) {
      const unsigned piece = std::min(bits - at, kRawPiece);
      value |= lanes.raw(lane, piece) << at;
      at += piece;
    }
    return value;
  };
  if (folded == kSymbols - 1) {
    const std::uint32_t width = lanes.raw(lane, kWidthBits);
    folded += (1U << width | raw(width)) - 1;
  }
  const auto high = static_cast<std::uint32_t>(unfold(folded));
  return static_cast<std::int32_t>(high << table.shift | raw(table.shift));
}

}  // namespace skerry::registry::delta
