#include "skerry/runtime/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace skerry::runtime {
namespace {

constexpr auto kMinusInfinity = -std::numeric_limits<float>::infinity();

float usable(float logit) {
  if (std::isnan(logit)) {
    return kMinusInfinity;
  }
  return logit;
}

// Log of the sum of exponentials, and the largest value.
double log_sum(std::span<const float> logits) {
  float largest = kMinusInfinity;
  for (const float logit : logits) {
    largest = std::max(largest, usable(logit));
  }
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(usable(logit)) - static_cast<double>(largest));
  }
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace

LogProbs log_probs(std::span<const float> logits, std::int32_t token, std::uint32_t top) {
  const double total = log_sum(logits);
  const auto of = [&](std::int32_t candidate) {
    return static_cast<float>(
        static_cast<double>(usable(logits[static_cast<std::size_t>(candidate)])) - total);
  };
  LogProbs result;
  result.of_token = of(token);
  std::vector<std::int32_t> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<std::int32_t>(i);
  }
  const std::size_t count = std::min<std::size_t>(top, order.size());
  std::partial_sort(order.begin(),
                    order.begin() + static_cast<std::ptrdiff_t>(count),
                    order.end(),
                    [&](std::int32_t a, std::int32_t b) {
                      const float left = usable(logits[static_cast<std::size_t>(a)]);
                      const float right = usable(logits[static_cast<std::size_t>(b)]);
                      return left > right || (left == right && a < b);
                    });
  for (std::size_t i = 0; i < count; ++i) {
    result.top.emplace_back(order[i], of(order[i]));
  }
  return result;
}

Sampler::Sampler(const SamplingParams& params, std::uint64_t seed)
    : params_(params), state_(params.seed.value_or(seed)) {}

// splitmix64: a uniform number in [0, 1).
double Sampler::draw() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  z ^= z >> 31U;
  return static_cast<double>(z >> 11U) * 0x1.0p-53;
}

void Sampler::accept_prompt(std::int32_t token) {
  remember(token);
}

void Sampler::accept(std::int32_t token) {
  remember(token);
  if (params_.frequency_penalty != 0.0F || params_.presence_penalty != 0.0F) {
    ++answered_[token];
  }
}

void Sampler::remember(std::int32_t token) {
  if (params_.repeat_penalty == 1.0F || params_.repeat_last == 0) {
    return;
  }
  history_.push_back(token);
  ++counts_[token];
  if (history_.size() > params_.repeat_last) {
    const auto oldest = counts_.find(history_.front());
    if (--oldest->second == 0) {
      counts_.erase(oldest);
    }
    history_.pop_front();
  }
}

void Sampler::penalise(std::vector<Candidate>& candidates) const {
  for (const auto& [token, count] : counts_) {
    if (token < 0 || static_cast<std::size_t>(token) >= candidates.size()) {
      continue;
    }
    float& logit = candidates[static_cast<std::size_t>(token)].logit;
    logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
  }
  for (const auto& [token, count] : answered_) {
    if (token >= 0 && static_cast<std::size_t>(token) < candidates.size()) {
      candidates[static_cast<std::size_t>(token)].logit -=
          static_cast<float>(count) * params_.frequency_penalty + params_.presence_penalty;
    }
  }
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::uint8_t> allowed) {
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({static_cast<std::int32_t>(i), usable(logits[i]), 0.0F});
  }
  penalise(candidates_);
  if (!allowed.empty()) {
    std::erase_if(candidates_, [&](const Candidate& one) {
      const auto at = static_cast<std::size_t>(one.token);
      return at >= allowed.size() || allowed[at] == 0;
    });
  }
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  };
  if (params_.temperature == 0.0F) {
    const auto best = std::min_element(candidates_.begin(), candidates_.end(), better);
    return best == candidates_.end() || !std::isfinite(best->logit) ? -1 : best->token;
  }
  std::size_t count = candidates_.size();
  if (params_.top_k != 0) {
    count = std::min<std::size_t>(count, params_.top_k);
  }
  std::partial_sort(candidates_.begin(),
                    candidates_.begin() + static_cast<std::ptrdiff_t>(count),
                    candidates_.end(),
                    better);
  candidates_.resize(count);
  if (candidates_.empty() || !std::isfinite(candidates_.front().logit)) {
    return -1;
  }
  const float largest = candidates_.front().logit;
  double sum = 0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = std::exp((candidate.logit - largest) / params_.temperature);
    sum += static_cast<double>(candidate.probability);
  }
  // Candidates are in falling order, so that both filters cut a tail and keep at least the first.
  double kept = 0;
  std::size_t last = 0;
  const auto floor = static_cast<double>(params_.min_p * candidates_.front().probability);
  for (const Candidate& candidate : candidates_) {
    if (last > 0 && (kept >= static_cast<double>(params_.top_p) * sum ||
                     static_cast<double>(candidate.probability) < floor)) {
      break;
    }
    kept += static_cast<double>(candidate.probability);
    ++last;
  }
  double point = draw() * kept;
  for (std::size_t i = 0; i < last; ++i) {
    point -= static_cast<double>(candidates_[i].probability);
    if (point < 0) {
      return candidates_[i].token;
    }
  }
  return candidates_[last - 1].token;
}

}  // namespace skerry::runtime
