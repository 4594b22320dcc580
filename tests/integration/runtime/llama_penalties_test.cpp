// The host's sampler beside llama.cpp's own: the same penalties give the same logits' order.
#include <llama.h>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/runtime/sampler.hpp"

namespace skerry::runtime {
namespace {

constexpr std::int32_t kVocabulary = 64;
constexpr std::int32_t kTokens = 400;

struct FreeSampler {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
using EngineSampler = std::unique_ptr<llama_sampler, FreeSampler>;

std::int32_t engine_choice(llama_sampler* penalties, const std::vector<float>& logits) {
  std::vector<llama_token_data> data;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    data.push_back({static_cast<llama_token>(i), logits[i], 0.0F});
  }
  llama_token_data_array all{data.data(), data.size(), -1, false};
  llama_sampler_apply(penalties, &all);
  std::size_t best = 0;
  for (std::size_t i = 1; i < all.size; ++i) {
    if (all.data[i].logit > all.data[best].logit) {
      best = i;
    }
  }
  return all.data[best].id;
}

void expect_alike(const SamplingParams& params) {
  Sampler ours{params, 1};
  const EngineSampler theirs{llama_sampler_init_penalties(kVocabulary,
                                                          kTokens,
                                                          params.repeat_penalty,
                                                          params.frequency_penalty,
                                                          params.presence_penalty)};
  ASSERT_NE(theirs, nullptr);
  std::mt19937 random{7};
  std::normal_distribution<float> logit{0.0F, 2.0F};
  for (std::int32_t i = 0; i < kTokens; ++i) {
    std::vector<float> logits(kVocabulary);
    for (float& value : logits) {
      value = logit(random);
    }
    const std::int32_t token = ours.sample(logits);
    ASSERT_EQ(token, engine_choice(theirs.get(), logits)) << "token " << i;
    ours.accept(token);
    llama_sampler_accept(theirs.get(), token);
  }
}

TEST(LlamaPenalties, TheHostsSamplerAgreesWithTheEngines) {
  expect_alike({.temperature = 0.0F, .repeat_last = kTokens, .frequency_penalty = 0.7F});
  expect_alike({.temperature = 0.0F, .repeat_last = kTokens, .presence_penalty = 1.9F});
  expect_alike({.temperature = 0.0F,
                .repeat_last = kTokens,
                .frequency_penalty = -0.05F,
                .presence_penalty = -1.0F});
  expect_alike({.temperature = 0.0F,
                .repeat_penalty = 1.3F,
                .repeat_last = kTokens,
                .frequency_penalty = 0.2F,
                .presence_penalty = 0.4F});
}

}  // namespace
}  // namespace skerry::runtime
