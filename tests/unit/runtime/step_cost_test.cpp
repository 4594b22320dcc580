#include "step_cost.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

TEST(StepCostTest, KnowsNothingAtFirst) {
  StepCost cost;
  EXPECT_FALSE(cost.seconds(1, 0));
  EXPECT_FALSE(cost.seconds(0, 64));
  EXPECT_DOUBLE_EQ(*cost.seconds(0, 0), 0);
  cost.learn({.rows = 64, .generating = 0, .time = 0ns});
  EXPECT_FALSE(cost.prompt_row()) << "a batch that took no time tells nothing";
}

TEST(StepCostTest, LearnsGenerationByRowsAndGuessesTheRest) {
  StepCost cost;
  cost.learn({.rows = 1, .generating = 1, .time = 20ms});
  EXPECT_DOUBLE_EQ(*cost.seconds(1, 0), 0.020);
  EXPECT_NEAR(*cost.seconds(2, 0), 0.033, 1e-6);
  cost.learn({.rows = 4, .generating = 4, .time = 37ms});
  EXPECT_DOUBLE_EQ(*cost.seconds(4, 0), 0.037);
  EXPECT_GT(*cost.seconds(200, 0), 0.037);
}

TEST(StepCostTest, TakesTheGeneratingRowsOutOfAMixedBatch) {
  StepCost cost;
  cost.learn({.rows = 3, .generating = 3, .time = 41ms});
  cost.learn({.rows = 64, .generating = 3, .time = 41ms + 61 * 4ms});
  EXPECT_NEAR(*cost.prompt_row(), 0.004, 1e-9);
  EXPECT_NEAR(*cost.seconds(3, 125), 0.041 + 0.5, 1e-9);
}

TEST(StepCostTest, FollowsADeepeningContext) {
  StepCost cost;
  for (int chunk = 0; chunk < 12; ++chunk) {
    cost.learn({.rows = 64, .generating = 0, .time = 64 * 6ms});
  }
  for (int chunk = 0; chunk < 12; ++chunk) {
    cost.learn({.rows = 64, .generating = 0, .time = 64 * 12ms});
  }
  EXPECT_NEAR(*cost.prompt_row(), 0.012, 0.0005);
  // The short rest of a prompt is not typical.
  cost.learn({.rows = 3, .generating = 0, .time = 90ms});
  EXPECT_NEAR(*cost.prompt_row(), 0.012, 0.0005);
}

}  // namespace
}  // namespace skerry::runtime
