#include "slot_pool.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace skerry::runtime {
namespace {

// Each earlier token makes the next dearer to compute, and all take the same memory: at this depth
// a token costs twice what the first does (field notes on serving, 2.4: 4.0 ms a token at depth 0,
// 5.9 at 1024).
constexpr double kDepthDoubling = 2048;
// A prefix that nobody asks for loses half its worth in this time.
constexpr std::chrono::minutes kHalfLife{10};

}  // namespace

SlotPool::SlotPool(StepEngine& engine, std::uint32_t slots) : engine_(engine), ledger_(slots) {
  for (std::uint32_t slot = slots; slot-- > 0;) {
    free_.push_back(slot);
  }
}

std::optional<std::uint32_t> SlotPool::take(BootTime now, std::optional<std::uint32_t> spare) {
  if (free_.empty()) {
    const auto victim = least(now, spare, false, true);
    if (!victim) {
      return std::nullopt;
    }
    forget(*victim);
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void SlotPool::take_over(std::uint32_t kept_slot, std::size_t tokens) {
  engine_.trim_sequence(kept_slot, tokens);
  ledger_.cut(kept_slot, tokens);
  kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index_of(kept_slot)));
}

void SlotPool::holds(std::uint32_t slot, std::size_t tokens) {
  if (tokens < ledger_.tokens(slot)) {
    ledger_.cut(slot, 0);
  }
  ledger_.grow(slot, tokens);
}

Result<void> SlotPool::copy(std::uint32_t from, std::uint32_t to, std::size_t tokens) {
  if (ledger_.tokens(to) > 0) {
    engine_.remove_sequence(to);
    ledger_.cut(to, 0);
  }
  auto copied = engine_.copy_sequence(from, to, tokens);
  if (copied) {
    ledger_.share(from, to, tokens);
  } else {
    engine_.remove_sequence(to);
  }
  return copied;
}

Result<void> SlotPool::restore(std::uint32_t slot,
                               ByteView state,
                               std::size_t tokens,
                               std::size_t keep) {
  auto restored = engine_.restore_state(slot, state, tokens);
  if (!restored) {
    engine_.remove_sequence(slot);
    return restored;
  }
  if (keep < tokens) {
    engine_.trim_sequence(slot, keep);
  }
  ledger_.grow(slot, keep);
  return {};
}

void SlotPool::give_back(std::uint32_t slot) {
  engine_.remove_sequence(slot);
  ledger_.cut(slot, 0);
  set_free(slot);
}

void SlotPool::keep(std::uint32_t slot, PrefixChain chain, BootTime now, std::uint32_t pin) {
  for (std::size_t i = kept_.size(); i-- > 0;) {
    if (kept_[i].pin == 0 && kept_[i].chain.common(chain) == kept_[i].chain.tokens()) {
      forget(i);
    }
  }
  engine_.trim_sequence(slot, chain.tokens());
  ledger_.cut(slot, chain.tokens());
  kept_.push_back(
      {.slot = slot, .chain = std::move(chain), .used = now, .settled = false, .pin = pin});
}

void SlotPool::settle(std::uint32_t kept_slot) {
  kept_[index_of(kept_slot)].settled = true;
}

void SlotPool::touch(std::uint32_t kept_slot, BootTime now) {
  kept_[index_of(kept_slot)].used = now;
}

bool SlotPool::forget_least(BootTime now) {
  const auto victim = least(now, std::nullopt, false, false);
  if (victim) {
    forget(*victim);
  }
  return victim.has_value();
}

bool SlotPool::make_room(BootTime now) {
  const auto victim = least(now, std::nullopt, true, true);
  if (victim) {
    forget(*victim);
  }
  return victim.has_value();
}

bool SlotPool::forget_ordinary() {
  const std::size_t before = kept_.size();
  for (std::size_t i = kept_.size(); i-- > 0;) {
    if (kept_[i].pin == 0) {
      forget(i);
    }
  }
  return kept_.size() < before;
}

const SlotPool::Kept* SlotPool::pinned(std::uint32_t pin) const {
  const auto at =
      std::find_if(kept_.begin(), kept_.end(), [pin](const Kept& one) { return one.pin == pin; });
  return at == kept_.end() ? nullptr : &*at;
}

void SlotPool::unpin(std::uint32_t pin) {
  for (std::size_t i = kept_.size(); i-- > 0;) {
    if (kept_[i].pin == pin) {
      forget(i);
    }
  }
}

void SlotPool::forget_all() {
  while (!kept_.empty()) {
    forget(kept_.size() - 1);
  }
}

// Time to compute it again over the memory that forgetting it frees, both of the part that no other
// holds; less the longer nobody asked.
double SlotPool::worth(std::size_t index, BootTime now) const {
  const Kept& one = kept_[index];
  std::size_t elsewhere = 0;
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    elsewhere = i == index ? elsewhere : std::max(elsewhere, one.chain.common(kept_[i].chain));
  }
  const double depth = static_cast<double>(elsewhere + one.chain.tokens()) / 2;
  const double age = std::chrono::duration<double>(now - one.used) /
                     std::chrono::duration<double>(std::chrono::nanoseconds{kHalfLife});
  return (1 + depth / kDepthDoubling) * std::exp2(-age);
}

std::optional<std::size_t> SlotPool::least(BootTime now,
                                           std::optional<std::uint32_t> spare,
                                           bool frees_cells,
                                           bool pinned_too) const {
  std::optional<std::size_t> found;
  const auto key = [&](std::size_t i) {
    return std::tuple(kept_[i].pin != 0, kept_[i].slot == spare, worth(i, now), kept_[i].used);
  };
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if ((frees_cells && ledger_.own_cells(kept_[i].slot) == 0) ||
        (!pinned_too && kept_[i].pin != 0)) {
      continue;
    }
    if (!found || key(i) < key(*found)) {
      found = i;
    }
  }
  return found;
}

std::size_t SlotPool::index_of(std::uint32_t slot) const {
  const auto at = std::find_if(
      kept_.begin(), kept_.end(), [slot](const Kept& one) { return one.slot == slot; });
  return static_cast<std::size_t>(at - kept_.begin());
}

void SlotPool::forget(std::size_t index) {
  const std::uint32_t slot = kept_[index].slot;
  kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index));
  give_back(slot);
}

std::size_t SlotPool::kept_cells() const {
  std::vector<std::uint32_t> slots;
  for (const Kept& one : kept_) {
    slots.push_back(one.slot);
  }
  return ledger_.cells_of(slots);
}

std::size_t SlotPool::pinned_cells() const {
  std::vector<std::uint32_t> slots;
  for (const Kept& one : kept_) {
    if (one.pin != 0) {
      slots.push_back(one.slot);
    }
  }
  return ledger_.cells_of(slots);
}

void SlotPool::set_free(std::uint32_t slot) {
  free_.insert(std::lower_bound(free_.begin(), free_.end(), slot, std::greater<>{}), slot);
}

}  // namespace skerry::runtime
