#include "cell_ledger.hpp"

#include <algorithm>

namespace skerry::runtime {

std::size_t CellLedger::filled(const Held& held, std::size_t index) {
  return std::min(held.tokens - index * kBlock, kBlock);
}

std::uint32_t CellLedger::new_block() {
  if (unused_.empty()) {
    holders_.push_back(1);
    return static_cast<std::uint32_t>(holders_.size() - 1);
  }
  const std::uint32_t block = unused_.back();
  unused_.pop_back();
  holders_[block] = 1;
  return block;
}

void CellLedger::grow(std::uint32_t slot, std::size_t tokens) {
  Held& held = slots_[slot];
  if (tokens <= held.tokens) {
    return;
  }
  while (held.blocks.size() * kBlock < tokens) {
    held.blocks.push_back(new_block());
  }
  cells_ += tokens - held.tokens;
  held.tokens = tokens;
}

void CellLedger::cut(std::uint32_t slot, std::size_t tokens) {
  Held& held = slots_[slot];
  const std::size_t keep = (tokens + kBlock - 1) / kBlock;
  while (held.blocks.size() > keep) {
    const std::uint32_t block = held.blocks.back();
    const std::size_t in_block = filled(held, held.blocks.size() - 1);
    held.blocks.pop_back();
    held.tokens -= in_block;
    if (--holders_[block] == 0) {
      cells_ -= in_block;
      unused_.push_back(block);
    }
  }
}

void CellLedger::share(std::uint32_t from, std::uint32_t to, std::size_t tokens) {
  const Held& source = slots_[from];
  Held& held = slots_[to];
  const std::size_t count = std::min(tokens / kBlock, source.tokens / kBlock);
  held.blocks.assign(source.blocks.begin(),
                     source.blocks.begin() + static_cast<std::ptrdiff_t>(count));
  held.tokens = count * kBlock;
  for (const std::uint32_t block : held.blocks) {
    ++holders_[block];
  }
}

std::size_t CellLedger::cells_of(std::span<const std::uint32_t> slots) const {
  std::vector<bool> seen(holders_.size());
  std::size_t cells = 0;
  for (const std::uint32_t slot : slots) {
    const Held& held = slots_[slot];
    for (std::size_t i = 0; i < held.blocks.size(); ++i) {
      if (!seen[held.blocks[i]]) {
        seen[held.blocks[i]] = true;
        cells += filled(held, i);
      }
    }
  }
  return cells;
}

std::size_t CellLedger::own_cells(std::uint32_t slot) const {
  const Held& held = slots_[slot];
  std::size_t cells = 0;
  for (std::size_t i = 0; i < held.blocks.size(); ++i) {
    cells += holders_[held.blocks[i]] == 1 ? filled(held, i) : 0;
  }
  return cells;
}

}  // namespace skerry::runtime
