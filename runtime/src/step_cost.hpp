#pragma once

// What a batch costs on this machine, for this model, now: learned from the batches that were
// computed. The scheduler sizes prompt chunks by it and refuses what cannot be done in time.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

#include "skerry/runtime/scheduler.hpp"

namespace skerry::runtime {

class StepCost {
 public:
  void learn(const BatchFacts& batch);

  // A batch of `generating` rows that generate and `prompt` prompt rows, in seconds; nothing while
  // too little is known. For full chunks: a few prompt rows cost more each than many.
  [[nodiscard]] std::optional<double> seconds(std::size_t generating, std::size_t prompt) const;
  // Whether batches of so many rows that generate, and no others, were computed.
  [[nodiscard]] bool seen(std::size_t generating) const {
    return generation_[std::min(generating, kMostGenerating)] > 0;
  }
  // Of one prompt row in a full chunk, at the depth of late; nothing while not known.
  [[nodiscard]] std::optional<double> prompt_row() const { return prompt_row_; }

 private:
  // Rows that generate together are counted exactly up to here.
  static constexpr std::size_t kMostGenerating = 32;

  [[nodiscard]] std::optional<double> generation(std::size_t rows) const;

  std::array<double, kMostGenerating + 1> generation_{};  // seconds by rows; 0: not seen
  std::optional<double> prompt_row_;
};

}  // namespace skerry::runtime
