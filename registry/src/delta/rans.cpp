#include "rans.hpp"

#include <algorithm>

namespace skerry::registry::delta {

Bytes RansWriter::finish() {
  Bytes out;
  out.reserve(std::size_t{4} * kLanes + 2 * words_.size());
  for (const std::uint32_t state : state_) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      out.push_back(static_cast<std::uint8_t>(state >> shift));
    }
  }
  for (auto word = words_.rbegin(); word != words_.rend(); ++word) {
    out.push_back(static_cast<std::uint8_t>(*word));
    out.push_back(static_cast<std::uint8_t>(*word >> 8U));
  }
  return out;
}

ReadTable::ReadTable(const SymbolTable& table) : symbol(table.symbol), shift(table.shift) {
  unsigned place = 0;
  for (unsigned g = 0; g < kGuesses; ++g) {
    while ((g << kGuessShift) >= table.start[place + 1]) {
      ++place;
    }
    guess[g] = static_cast<std::uint8_t>(place);
  }
  for (unsigned i = 0; i < table.count; ++i) {
    range[i] = table.start[i] | table.frequency(i) << 16U;
    const std::uint32_t folded = table.symbol[i];
    residual[i] = shift != 0 || folded == kSymbols - 1
                      ? kWideResidual
                      : static_cast<std::int8_t>(folded >> 1U ^ (0U - (folded & 1U)));
  }
}

RansReader::RansReader(ByteView bytes) {
  if (bytes.size() < std::size_t{4} * kLanes || bytes.size() % 2 != 0) {
    lanes_.overrun = true;
    lanes_.state.fill(kStateFloor);
    return;
  }
  lanes_.at = bytes.data();
  lanes_.end = bytes.data() + bytes.size();
  for (std::uint32_t& state : lanes_.state) {
    const std::uint8_t* at = lanes_.at;
    state = at[0] | static_cast<std::uint32_t>(at[1]) << 8U |
            static_cast<std::uint32_t>(at[2]) << 16U | static_cast<std::uint32_t>(at[3]) << 24U;
    lanes_.overrun = lanes_.overrun || state < kStateFloor;
    lanes_.at += 4;
  }
}

bool RansReader::ended_well() const {
  return !lanes_.overrun && lanes_.at == lanes_.end &&
         std::all_of(lanes_.state.begin(), lanes_.state.end(), [](auto state) {
           return state == kStateFloor;
         });
}

}  // namespace skerry::registry::delta
