#pragma once

// Which of the engine's cells its sequences hold, in blocks: a copy shares those of its source, so
// that a cell counts once, whoever holds it, and is free when nobody does. For the slot pool.
// ADR 0102.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "prefix_chain.hpp"

namespace skerry::runtime {

class CellLedger {
 public:
  static constexpr std::size_t kBlock = PrefixChain::kBlock;

  explicit CellLedger(std::uint32_t slots) : slots_(slots) {}

  // The slot holds so many tokens now, those that came to it in cells of its own.
  void grow(std::uint32_t slot, std::size_t tokens);
  // It keeps its first `tokens`, whole blocks.
  void cut(std::uint32_t slot, std::size_t tokens);
  // `to`, which must hold nothing, shares the first `tokens` of `from`, whole blocks.
  void share(std::uint32_t from, std::uint32_t to, std::size_t tokens);

  [[nodiscard]] std::size_t tokens(std::uint32_t slot) const { return slots_[slot].tokens; }
  // In use by any slot.
  [[nodiscard]] std::size_t cells() const { return cells_; }
  // Of these slots together.
  [[nodiscard]] std::size_t cells_of(std::span<const std::uint32_t> slots) const;
  // What becomes free if the slot lets go of all it holds.
  [[nodiscard]] std::size_t own_cells(std::uint32_t slot) const;

 private:
  struct Held {
    std::vector<std::uint32_t> blocks;
    std::size_t tokens = 0;
  };
  // Tokens of the slot in its block `index`.
  [[nodiscard]] static std::size_t filled(const Held& held, std::size_t index);
  std::uint32_t new_block();

  std::vector<Held> slots_;
  std::vector<std::uint32_t> holders_;  // by block
  std::vector<std::uint32_t> unused_;   // blocks without a holder
  std::size_t cells_ = 0;
};

}  // namespace skerry::runtime
