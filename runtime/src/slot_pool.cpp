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

SlotPool::SlotPool(StepEngine& engine, std::uint32_t slots) : engine_(engine) {
  for (std::uint32_t slot = slots; slot-- > 0;) {
    free_.push_back(slot);
  }
}

std::optional<std::uint32_t> SlotPool::take(BootTime now, std::optional<std::uint32_t> spare) {
  if (free_.empty()) {
    const auto victim = least(now, spare);
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
  kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index_of(kept_slot)));
  count();
}

void SlotPool::give_back(std::uint32_t slot) {
  engine_.remove_sequence(slot);
  set_free(slot);
}

void SlotPool::keep(std::uint32_t slot, PrefixChain chain, BootTime now) {
  for (std::size_t i = kept_.size(); i-- > 0;) {
    if (kept_[i].chain.common(chain) == kept_[i].chain.tokens()) {
      forget(i);
    }
  }
  engine_.trim_sequence(slot, chain.tokens());
  kept_.push_back({.slot = slot, .chain = std::move(chain), .used = now});
  count();
}

void SlotPool::touch(std::uint32_t kept_slot, BootTime now) {
  kept_[index_of(kept_slot)].used = now;
}

bool SlotPool::forget_least(BootTime now) {
  const auto victim = least(now, std::nullopt);
  if (victim) {
    forget(*victim);
  }
  return victim.has_value();
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

std::optional<std::size_t> SlotPool::least(BootTime now, std::optional<std::uint32_t> spare) const {
  std::optional<std::size_t> found;
  const auto key = [&](std::size_t i) {
    return std::tuple(kept_[i].slot == spare, worth(i, now), kept_[i].used);
  };
  for (std::size_t i = 0; i < kept_.size(); ++i) {
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
  count();
}

// The kept prefixes are paths of a tree: each adds what none before it has.
void SlotPool::count() {
  cells_ = 0;
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    std::size_t known = 0;
    for (std::size_t j = 0; j < i; ++j) {
      known = std::max(known, kept_[i].chain.common(kept_[j].chain));
    }
    cells_ += kept_[i].chain.tokens() - known;
  }
}

void SlotPool::set_free(std::uint32_t slot) {
  free_.insert(std::lower_bound(free_.begin(), free_.end(), slot, std::greater<>{}), slot);
}

}  // namespace skerry::runtime
