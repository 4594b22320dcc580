#include "step_cost.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

// Of the newest batch: follows a context that grows and a machine that gets busy within some steps.
constexpr double kNewest = 0.25;
// A batch of n rows that generate costs about as much as 0.35 + 0.65 n of them alone (measured on
// llama.cpp; field notes on serving, 2.4).
constexpr double kFixedShare = 0.35;
// Chunks below this are not typical: the engine's tiles are not full.
constexpr std::size_t kTypicalChunk = 32;

double relative(std::size_t rows) {
  return kFixedShare + (1 - kFixedShare) * static_cast<double>(rows);
}

double follow(double known, double seen) {
  return known + kNewest * (seen - known);
}

}  // namespace

void StepCost::learn(const BatchFacts& batch) {
  const double seconds = std::chrono::duration<double>(batch.time).count();
  if (batch.rows == 0 || seconds <= 0) {
    return;
  }
  const std::size_t prompt = batch.rows - batch.generating;
  if (prompt == 0) {
    double& known = generation_[std::min(batch.generating, kMostGenerating)];
    known = known > 0 ? follow(known, seconds) : seconds;
    return;
  }
  const double beside = batch.generating > 0 ? generation(batch.generating).value_or(0.0) : 0.0;
  const double row = std::max(seconds - beside, 0.1 * seconds) / static_cast<double>(prompt);
  if (prompt >= kTypicalChunk) {
    prompt_row_ = prompt_row_ ? follow(*prompt_row_, row) : row;
  } else if (!prompt_row_) {
    // Better than nothing, and never too low.
    prompt_row_ = row;
  }
}

std::optional<double> StepCost::generation(std::size_t rows) const {
  const std::size_t wanted = std::min(rows, kMostGenerating);
  if (generation_[wanted] > 0) {
    return generation_[wanted];
  }
  // From the nearest number of rows that was seen.
  for (std::size_t far = 1; far <= kMostGenerating; ++far) {
    for (const std::size_t near : {wanted - std::min(far, wanted), wanted + far}) {
      if (near > 0 && near <= kMostGenerating && generation_[near] > 0) {
        return generation_[near] * relative(wanted) / relative(near);
      }
    }
  }
  return std::nullopt;
}

std::optional<double> StepCost::seconds(std::size_t generating, std::size_t prompt) const {
  double sum = 0;
  if (generating > 0) {
    const auto known = generation(generating);
    if (!known) {
      return std::nullopt;
    }
    sum += *known;
  }
  if (prompt > 0) {
    if (!prompt_row_) {
      return std::nullopt;
    }
    sum += *prompt_row_ * static_cast<double>(prompt);
  }
  return sum;
}

}  // namespace skerry::runtime
