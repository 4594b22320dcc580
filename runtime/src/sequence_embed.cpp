#include "sequence_embed.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace skerry::runtime {
namespace {

void add_rows(Embedding& work, StepEngine& engine, std::size_t first, std::size_t count) {
  for (std::size_t row = first; row < first + count; ++row) {
    const std::span<const float> values = engine.embedding(row);
    work.sum.resize(values.size(), 0.0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      work.sum[i] += static_cast<double>(values[i]);
    }
  }
}

// The mean over the tokens, scaled to length 1: the number of tokens cancels out.
Result<std::vector<float>> direction(const std::vector<double>& sum) {
  double square = 0;
  for (const double value : sum) {
    square += value * value;
  }
  if (!(square > 0) || !std::isfinite(square)) {
    return Error{Error::Code::kInternal, "the model gave no finite embedding"};
  }
  std::vector<float> vector;
  vector.reserve(sum.size());
  for (const double value : sum) {
    vector.push_back(static_cast<float>(value / std::sqrt(square)));
  }
  return vector;
}

Result<std::vector<float>> relevance(std::span<const float> values) {
  if (values.empty() || !std::isfinite(values[0])) {
    return Error{Error::Code::kInternal, "the model gave no finite relevance"};
  }
  return std::vector<float>{std::clamp(values[0], 0.0F, 1.0F)};
}

}  // namespace

Verdict take_embeddings(
    Sequence& sequence, Embedding& work, StepEngine& engine, std::size_t first, std::size_t count) {
  if (!work.ranks) {
    add_rows(work, engine, first, count);
  }
  if (sequence.computed < sequence.prompt().size()) {
    return {};
  }
  Result<std::vector<float>> vector =
      work.ranks ? relevance(engine.embedding(first + count - 1)) : direction(work.sum);
  if (!vector) {
    return {.finished = {}, .failed = vector.error()};
  }
  work.result.vectors.push_back(*std::move(vector));
  work.sum.clear();
  ++work.text;
  sequence.computed = 0;
  engine.remove_sequence(sequence.slot);
  if (work.text == sequence.prompts.size()) {
    return {.finished = FinishReason::kStop, .failed = {}};
  }
  return {};
}

}  // namespace skerry::runtime
