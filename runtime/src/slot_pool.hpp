#pragma once

// The engine's sequences by number ("slots"): free, in use by a request, or idle and kept for the
// prefix they hold. Every change of what they hold goes through here, so that it knows how many
// cells are in use, and which kept prefix is worth least; the scheduler says when one has to go.
// ADR 0102.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/step_engine.hpp"

#include "cell_ledger.hpp"
#include "prefix_chain.hpp"

namespace skerry::runtime {

class SlotPool {
 public:
  // An idle slot that holds exactly the tokens its chain names.
  struct Kept {
    std::uint32_t slot = 0;
    PrefixChain chain;
    BootTime used{0};
    bool settled = false;   // saved elsewhere, or not worth it
    std::uint32_t pin = 0;  // the number of the pinned prompt that it is of; 0: of none
  };

  SlotPool(StepEngine& engine, std::uint32_t slots);

  // The smallest free one, since dense slots batch best; else that of the kept prefix worth least,
  // `spare` if there is no other, one of a pinned prompt last. Empty only while every slot is in
  // use.
  std::optional<std::uint32_t> take(BootTime now, std::optional<std::uint32_t> spare = {});
  // The kept slot itself, cut to its first `tokens`, for a request that goes on from there.
  void take_over(std::uint32_t kept_slot, std::size_t tokens);
  // The engine has computed so many tokens for a slot in use; fewer than before: it began anew.
  void holds(std::uint32_t slot, std::size_t tokens);
  // `to`, a slot in use, gets the first `tokens` of `from`, whole blocks, for what it had. On
  // failure it holds nothing.
  Result<void> copy(std::uint32_t from, std::uint32_t to, std::size_t tokens);
  // A slot in use with nothing in it gets the first `keep`, whole blocks, of the `tokens` that a
  // saved state holds. On failure it holds nothing.
  Result<void> restore(std::uint32_t slot, ByteView state, std::size_t tokens, std::size_t keep);
  // Out of use, with nothing in it.
  void give_back(std::uint32_t slot);
  // Out of use; it holds `chain.tokens()` tokens or more and keeps those. Others that `chain`
  // covers go, except for pinned ones.
  void keep(std::uint32_t slot, PrefixChain chain, BootTime now, std::uint32_t pin = 0);
  // It need not be looked at again for saving.
  void settle(std::uint32_t kept_slot);
  // Somebody used its prefix.
  void touch(std::uint32_t kept_slot, BootTime now);
  // Forgets the kept prefix worth least, never a pinned one; false if there is none.
  bool forget_least(BootTime now);
  // The same among those whose going frees cells: what a request or another prefix holds as well
  // stays where it is. Pinned ones go last.
  bool make_room(BootTime now);
  // All but pinned ones; false if there were none.
  bool forget_ordinary();
  void forget_all();
  // The slot that keeps something of the pinned prompt; null: none.
  [[nodiscard]] const Kept* pinned(std::uint32_t pin) const;
  // Forgets it, if there is one.
  void unpin(std::uint32_t pin);

  [[nodiscard]] const std::vector<Kept>& kept() const { return kept_; }
  // Cells in use, shared ones counted once: of the kept ones, and of all slots.
  [[nodiscard]] std::size_t kept_cells() const;
  // Of pinned ones.
  [[nodiscard]] std::size_t pinned_cells() const;
  [[nodiscard]] std::size_t cells() const { return ledger_.cells(); }
  [[nodiscard]] bool has_free() const { return !free_.empty(); }

 private:
  [[nodiscard]] double worth(std::size_t index, BootTime now) const;
  [[nodiscard]] std::optional<std::size_t> least(BootTime now,
                                                 std::optional<std::uint32_t> spare,
                                                 bool frees_cells,
                                                 bool pinned_too) const;
  [[nodiscard]] std::size_t index_of(std::uint32_t slot) const;
  void forget(std::size_t index);
  void set_free(std::uint32_t slot);

  StepEngine& engine_;
  std::vector<std::uint32_t> free_;  // smallest last
  std::vector<Kept> kept_;
  CellLedger ledger_;
};

}  // namespace skerry::runtime
