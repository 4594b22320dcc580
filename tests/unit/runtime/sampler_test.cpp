#include "skerry/runtime/sampler.hpp"

#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

std::map<std::int32_t, int> draw_many(const SamplingParams& params,
                                      const std::vector<float>& logits,
                                      int times = 2000) {
  Sampler sampler{params, 1};
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < times; ++i) {
    ++counts[sampler.sample(logits)];
  }
  return counts;
}

TEST(Sampler, GreedyTakesTheLargestAndTheFirstOfEquals) {
  Sampler sampler{{.temperature = 0.0F}, 1};
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 5, 5, 2}), 1);
}

TEST(Sampler, SameSeedSameTokens) {
  const std::vector<float> logits{1, 1, 1, 1, 1, 1, 1, 1};
  Sampler one{{.seed = 42}, 1};
  Sampler two{{.seed = 42}, 2};
  Sampler other{{.seed = 43}, 1};
  std::vector<std::int32_t> a;
  std::vector<std::int32_t> b;
  std::vector<std::int32_t> c;
  for (int i = 0; i < 64; ++i) {
    a.push_back(one.sample(logits));
    b.push_back(two.sample(logits));
    c.push_back(other.sample(logits));
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

TEST(Sampler, FollowsTheDistribution) {
  // Probabilities 1/4 and 3/4.
  const auto counts = draw_many({}, {0.0F, std::log(3.0F)});
  EXPECT_NEAR(counts.at(1), 1500, 100);
}

TEST(Sampler, TopKKeepsThatMany) {
  const auto counts = draw_many({.top_k = 2}, {3, 2, 2.5F, 1});
  EXPECT_EQ(counts.size(), 2U);
  EXPECT_TRUE(counts.contains(0) && counts.contains(2));
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.3, 0.2.
  const std::vector<float> logits{std::log(0.5F), std::log(0.3F), std::log(0.2F)};
  EXPECT_EQ(draw_many({.top_p = 0.45F}, logits).size(), 1U);
  EXPECT_EQ(draw_many({.top_p = 0.7F}, logits).size(), 2U);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheBest) {
  const std::vector<float> logits{std::log(0.6F), std::log(0.3F), std::log(0.1F)};
  EXPECT_EQ(draw_many({.min_p = 0.4F}, logits).size(), 2U);
}

TEST(Sampler, RepeatPenaltyTurnsAwayFromRecentTokens) {
  Sampler sampler{{.temperature = 0.0F, .repeat_penalty = 2.0F, .repeat_last = 2}, 1};
  const std::vector<float> logits{3, 2, 1.6F};
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(0);
  EXPECT_EQ(sampler.sample(logits), 1);
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits), 2);
  sampler.accept(2);  // 0 leaves the window
  EXPECT_EQ(sampler.sample(logits), 0);
}

TEST(Sampler, FrequencyPenaltyGrowsWithEachUse) {
  Sampler sampler{{.temperature = 0.0F, .frequency_penalty = 0.6F}, 1};
  const std::vector<float> logits{3, 2};
  std::vector<std::int32_t> answer;
  for (int i = 0; i < 6; ++i) {
    answer.push_back(sampler.sample(logits));
    sampler.accept(answer.back());
  }
  // 3, 2.4, 1.8 < 2, then 1.4 < 1.8, and so on in turn.
  EXPECT_EQ(answer, (std::vector<std::int32_t>{0, 0, 1, 0, 1, 0}));
}

TEST(Sampler, PresencePenaltyIsTakenOnce) {
  Sampler sampler{{.temperature = 0.0F, .presence_penalty = 1.5F}, 1};
  const std::vector<float> logits{3, 2};
  std::vector<std::int32_t> answer;
  for (int i = 0; i < 4; ++i) {
    answer.push_back(sampler.sample(logits));
    sampler.accept(answer.back());
  }
  // Both have been said after two tokens: 1.5 and 0.5 from then on.
  EXPECT_EQ(answer, (std::vector<std::int32_t>{0, 1, 0, 0}));
}

TEST(Sampler, NegativePenaltiesInviteRepetitionAndThePromptDoesNotCount) {
  Sampler sampler{{.temperature = 0.0F, .frequency_penalty = -2.0F, .presence_penalty = -2.0F}, 1};
  const std::vector<float> logits{3, 2};
  sampler.accept_prompt(1);
  EXPECT_EQ(sampler.sample(logits), 0) << "a prompt token is no repetition";
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits), 1);
}

TEST(Sampler, DamagedLogitsAreNoToken) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Sampler greedy{{.temperature = 0.0F}, 1};
  Sampler warm{{}, 1};
  EXPECT_EQ(greedy.sample(std::vector<float>{nan, nan}), -1);
  EXPECT_EQ(warm.sample(std::vector<float>{nan, nan}), -1);
  EXPECT_EQ(warm.sample(std::vector<float>{nan, 1, nan}), 1);
  EXPECT_EQ(warm.sample(std::vector<float>{}), -1);
}

TEST(LogProbs, AreNormalisedAndRanked) {
  const std::vector<float> logits{0.0F, std::log(3.0F)};
  const LogProbs probs = log_probs(logits, 0, 5);
  EXPECT_NEAR(probs.of_token, std::log(0.25F), 1e-5);
  ASSERT_EQ(probs.top.size(), 2U);
  EXPECT_EQ(probs.top[0].first, 1);
  EXPECT_NEAR(probs.top[0].second, std::log(0.75F), 1e-5);
}

}  // namespace
}  // namespace skerry::runtime
