#include "fair_share.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

TEST(FairShareTest, ChargesRowsByWhatTheyCost) {
  FairShare shares;
  shares.enter("a");
  shares.charge("a", 2, 10);
  EXPECT_DOUBLE_EQ(shares.served("a"), 2 * FairShare::kGenerated + 10);
  shares.charge("unknown", 1, 1);
  EXPECT_DOUBLE_EQ(shares.served("unknown"), 0);
}

TEST(FairShareTest, NewcomersStartLevelAndPausesEarnNothing) {
  FairShare shares;
  shares.enter("old");
  shares.charge("old", 0, 1000);
  shares.enter("new");
  EXPECT_DOUBLE_EQ(shares.served("new"), 1000);
  shares.leave("new");
  shares.charge("old", 0, 500);
  shares.enter("new");
  EXPECT_DOUBLE_EQ(shares.served("new"), 1500);
}

TEST(FairShareTest, LeavingForAMomentDoesNotClearADebt) {
  FairShare shares;
  shares.enter("greedy");
  shares.enter("modest");
  shares.charge("greedy", 0, 1000);
  shares.charge("modest", 0, 100);
  shares.leave("greedy");
  shares.enter("greedy");
  EXPECT_DOUBLE_EQ(shares.served("greedy"), 1000);
  // Until the others have caught up.
  shares.leave("greedy");
  shares.charge("modest", 0, 2000);
  shares.enter("greedy");
  EXPECT_DOUBLE_EQ(shares.served("greedy"), 2100);
}

TEST(FairShareTest, CountsWhoWaitsAndWhoRuns) {
  FairShare shares;
  shares.enter("a");
  shares.enter("a");
  shares.enter("b");
  EXPECT_EQ(shares.active(), 2U);
  shares.start("a");
  EXPECT_EQ(shares.running("a"), 1U);
  shares.stop("a");
  shares.stop("a");
  EXPECT_EQ(shares.running("a"), 0U);
  shares.leave("a");
  EXPECT_EQ(shares.active(), 2U);
  shares.leave("a");
  shares.leave("b");
  shares.leave("b");
  EXPECT_EQ(shares.active(), 0U);
}

}  // namespace
}  // namespace skerry::runtime
