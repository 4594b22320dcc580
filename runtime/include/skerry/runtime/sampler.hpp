#pragma once

// Chooses a token from logits. Lives on the host's side of the plugin ABI, so that every step
// engine samples alike. Deterministic: the same parameters, seed, history and logits give the same
// token on every machine of one architecture.

#include <cstdint>
#include <deque>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skerry/runtime/request.hpp"

namespace skerry::runtime {

// Natural-log probabilities of `token` and of the `top` best tokens (by probability, then token).
struct LogProbs {
  float of_token = 0;
  std::vector<std::pair<std::int32_t, float>> top;
};
LogProbs log_probs(std::span<const float> logits, std::int32_t token, std::uint32_t top);

class Sampler {
 public:
  // `seed` is used when the parameters carry none.
  Sampler(const SamplingParams& params, std::uint64_t seed);

  // Order: penalties, top_k, temperature, top_p, min_p, draw. NaN counts as minus infinity; -1 if
  // no logit is finite. Penalties are those of llama.cpp's `penalties` sampler: first repeat, then
  // frequency and presence; a test compares the two.
  std::int32_t sample(std::span<const float> logits) { return sample(logits, {}); }
  // Among the tokens whose `allowed` is not 0; empty: all.
  std::int32_t sample(std::span<const float> logits, std::span<const std::uint8_t> allowed);
  // Adds a token to what the penalties look at. A prompt token counts for repeat_penalty alone: an
  // answer that quotes its prompt is not held back by frequency and presence (as in OpenAI's API).
  void accept_prompt(std::int32_t token);
  void accept(std::int32_t token);

 private:
  struct Candidate {
    std::int32_t token;
    float logit;
    float probability;
  };
  double draw();
  void remember(std::int32_t token);
  void penalise(std::vector<Candidate>& candidates) const;

  SamplingParams params_;
  std::uint64_t state_;
  std::deque<std::int32_t> history_;
  std::unordered_map<std::int32_t, std::uint32_t> counts_;    // in the window of repeat_last
  std::unordered_map<std::int32_t, std::uint32_t> answered_;  // in the whole answer
  std::vector<Candidate> candidates_;
};

}  // namespace skerry::runtime
