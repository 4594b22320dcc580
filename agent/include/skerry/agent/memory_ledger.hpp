#pragma once

// Who leaves when a model needs memory that others hold. Pure arithmetic on what ModelHost knows of
// each: how large it is, how long it took to load, how often it is asked for. ADR 0113.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "skerry/common/clock.hpp"

namespace skerry::agent {

// How often something is used: a count in which a use weighs half after each half-life.
class UseRate {
 public:
  static constexpr std::chrono::hours kHalfLife{1};

  void used(BootTime now);
  [[nodiscard]] double at(BootTime now) const;

 private:
  double count_ = 0;
  BootTime last_{};
};

// One loaded model.
struct MemoryHolder {
  std::uint64_t bytes = 0;
  // The wait of the next caller if it leaves.
  std::chrono::nanoseconds reload{};
  // UseRate::at(now).
  double uses = 0;
  BootTime last_used{};
  // Nobody is being answered by it, it is neither loading nor leaving, and the operator did not pin
  // it.
  bool may_leave = true;
};

// Indices of those whose leaving frees at least `wanted` bytes and costs little: the expected wait
// (reload times uses) per byte decides, among equals who was not used for longest. None of them
// could stay. Empty if `wanted` is 0, or if all who may leave are not enough.
std::vector<std::size_t> choose_leaving(const std::vector<MemoryHolder>& holders,
                                        std::uint64_t wanted);

}  // namespace skerry::agent
