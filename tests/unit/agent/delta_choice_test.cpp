#include "skerry/agent/delta_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMegabyte = 1'000'000;

// 4.9 GB in full, a tenth of it as a delta.
DeltaFacts large_model() {
  return {.full_bytes = 4900 * kMegabyte,
          .delta_bytes = 490 * kMegabyte,
          .link_rate = 12 * kMegabyte,
          .apply_rate = 100 * kMegabyte};
}

TEST(DeltaChoice, TakesTheDeltaOnASlowLinkAndTheFileOnAFastOne) {
  auto facts = large_model();
  EXPECT_TRUE(judge_delta(facts).take);
  facts.link_rate = 1000 * kMegabyte;
  const auto verdict = judge_delta(facts);
  EXPECT_FALSE(verdict.take);
  EXPECT_THAT(verdict.why, ::testing::HasSubstr("1000000 kB/s on the link"));
}

TEST(DeltaChoice, AFasterProcessorMovesTheBalance) {
  auto facts = large_model();
  facts.link_rate = 120 * kMegabyte;
  EXPECT_FALSE(judge_delta(facts).take);
  facts.apply_rate = 400 * kMegabyte;
  EXPECT_TRUE(judge_delta(facts).take);
}

TEST(DeltaChoice, AConfiguredLimitCountsAsTheLink) {
  auto facts = large_model();
  facts.link_rate = 1000 * kMegabyte;
  facts.link_limit = kMegabyte;
  EXPECT_TRUE(judge_delta(facts).take);
}

TEST(DeltaChoice, OnAnUnknownLinkHalfTheBytesDecide) {
  auto facts = large_model();
  facts.link_rate.reset();
  EXPECT_TRUE(judge_delta(facts).take);
  facts.delta_bytes = facts.full_bytes / 2 + 1;
  EXPECT_FALSE(judge_delta(facts).take);
}

TEST(DeltaChoice, PolicyDecidesFirst) {
  auto facts = large_model();
  facts.policy = DeltaPolicy::kNever;
  EXPECT_FALSE(judge_delta(facts).take);
  facts.policy = DeltaPolicy::kAlways;
  facts.link_rate = 1'000'000 * kMegabyte;
  EXPECT_TRUE(judge_delta(facts).take);
  facts.delta_bytes = facts.full_bytes;
  EXPECT_FALSE(judge_delta(facts).take);
}

TEST(TransferRates, AreRunningMeansOfWhatCanBeMeasured) {
  TransferRates rates;
  EXPECT_FALSE(rates.link());
  rates.add_link(1000, 1s);
  EXPECT_FALSE(rates.link()) << "too small to say anything";
  rates.add_link(8 * kMegabyte, 2s);
  EXPECT_EQ(rates.link(), 4 * kMegabyte);
  rates.add_link(8 * kMegabyte, 1s);
  EXPECT_EQ(rates.link(), 5 * kMegabyte);
  EXPECT_EQ(rates.apply(), 50 * kMegabyte);
  rates.add_apply(200 * kMegabyte, 1s);
  EXPECT_EQ(rates.apply(), 200 * kMegabyte);
}

}  // namespace
}  // namespace skerry::agent
