#include "skerry/agent/memory_ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

BootTime at(seconds since_boot) {
  return BootTime{} + since_boot;
}

MemoryHolder holder(std::uint64_t bytes, seconds reload, double uses, seconds last_used = {}) {
  return {.bytes = bytes, .reload = reload, .uses = uses, .last_used = at(last_used)};
}

TEST(UseRate, AUseWeighsHalfAnHourLater) {
  UseRate rate;
  EXPECT_EQ(rate.at(at(seconds{5})), 0);
  rate.used(at(seconds{0}));
  EXPECT_DOUBLE_EQ(rate.at(at(seconds{0})), 1);
  EXPECT_DOUBLE_EQ(rate.at(at(hours{1})), 0.5);
  rate.used(at(hours{1}));
  EXPECT_DOUBLE_EQ(rate.at(at(hours{1})), 1.5);
  EXPECT_DOUBLE_EQ(rate.at(at(hours{3})), 0.375);
  EXPECT_NEAR(rate.at(at(hours{24 * 400})), 0, 1e-9);
}

TEST(ChooseLeaving, NobodyLeavesForNothing) {
  EXPECT_THAT(choose_leaving({}, 0), IsEmpty());
  EXPECT_THAT(choose_leaving({holder(10, seconds{1}, 1)}, 0), IsEmpty());
}

TEST(ChooseLeaving, NobodyLeavesInVain) {
  EXPECT_THAT(choose_leaving({}, 1), IsEmpty());
  EXPECT_THAT(choose_leaving({holder(10, seconds{1}, 1), holder(10, seconds{1}, 1)}, 21),
              IsEmpty());
}

TEST(ChooseLeaving, TheOneWhoseReturnCostsLeastPerByte) {
  // Used as often, but loaded in a second: it leaves before one that takes a minute.
  EXPECT_THAT(choose_leaving({holder(100, seconds{60}, 5), holder(100, seconds{1}, 5)}, 50),
              ElementsAre(1));
  // Slow to load, but hardly used.
  EXPECT_THAT(choose_leaving({holder(100, seconds{60}, 0.01), holder(100, seconds{1}, 5)}, 50),
              ElementsAre(0));
  // The same wait, more bytes.
  EXPECT_THAT(choose_leaving({holder(100, seconds{2}, 1), holder(400, seconds{2}, 1)}, 50),
              ElementsAre(1));
}

TEST(ChooseLeaving, AmongEqualsTheOneThatWasNotUsedForLongest) {
  EXPECT_THAT(choose_leaving({holder(10, seconds{1}, 0, seconds{9}),
                              holder(10, seconds{1}, 0, seconds{3}),
                              holder(10, seconds{1}, 0, seconds{6})},
                             10),
              ElementsAre(1));
}

TEST(ChooseLeaving, WhoIsNeededOrPinnedStays) {
  MemoryHolder pinned = holder(100, seconds{0}, 0);
  pinned.may_leave = false;
  EXPECT_THAT(choose_leaving({pinned, holder(100, seconds{60}, 9)}, 100), ElementsAre(1));
  EXPECT_THAT(choose_leaving({pinned}, 100), IsEmpty());
}

TEST(ChooseLeaving, NoneOfThoseWhoLeaveCouldStay) {
  // The two small ones are cheaper, but the large one, which is needed anyway, is enough.
  EXPECT_THAT(choose_leaving({holder(10, seconds{1}, 0, seconds{1}),
                              holder(10, seconds{1}, 0, seconds{2}),
                              holder(100, seconds{9}, 9)},
                             100),
              ElementsAre(2));
  // Together with one of them it is.
  EXPECT_THAT(choose_leaving({holder(10, seconds{1}, 0, seconds{1}),
                              holder(10, seconds{1}, 0, seconds{2}),
                              holder(100, seconds{9}, 9)},
                             105),
              UnorderedElementsAre(0, 2));
}

}  // namespace
}  // namespace skerry::agent
