// One device with crashes never looks like two; two copies of one disk always do, once both have
// talked to the controller.

#include "nonce_chain.hpp"

#include <gtest/gtest.h>

#include "skerry/common/random.hpp"

namespace skerry::controller {
namespace {

// A disk with a nonce on it, as the agent keeps it.
struct Disk {
  std::string nonce;
};

enum class Ending { kAnswerLost, kCrashBeforeStore, kConfirmationLost, kComplete };

class Fleet {
 public:
  // One connection of the device with that disk, which ends so.
  NonceVerdict sync(Disk& disk, Ending ending) {
    const std::string fresh = "n" + std::to_string(++serial_);
    const NonceVerdict verdict = take_nonce(life_, true, disk.nonce, fresh);
    if (ending == Ending::kAnswerLost || ending == Ending::kCrashBeforeStore) {
      return verdict;
    }
    disk.nonce = fresh;
    if (ending == Ending::kComplete) {
      confirm_nonce(life_, fresh);
    }
    return verdict;
  }
  DeviceLifeRecord& life() { return life_; }

 private:
  DeviceLifeRecord life_;
  int serial_ = 0;
};

struct Row {
  const char* name;
  std::vector<Ending> before;
  NonceVerdict then;
};

TEST(NonceChain, EveryCutOfTheLastConnectionIsInOrder) {
  using enum Ending;
  const std::vector<Row> rows{
      {"first contact", {}, NonceVerdict::kFirst},
      {"after a complete one", {kComplete}, NonceVerdict::kExpected},
      {"the first answer was lost", {kAnswerLost}, NonceVerdict::kRepeated},
      {"crash before the first store", {kCrashBeforeStore}, NonceVerdict::kRepeated},
      {"the first confirmation was lost", {kConfirmationLost}, NonceVerdict::kExpected},
      {"a later answer was lost", {kComplete, kAnswerLost}, NonceVerdict::kRepeated},
      {"twice", {kComplete, kAnswerLost, kCrashBeforeStore}, NonceVerdict::kRepeated},
      {"lost confirmations in a row",
       {kConfirmationLost, kConfirmationLost},
       NonceVerdict::kExpected},
      {"lost confirmation, then lost answer",
       {kConfirmationLost, kAnswerLost},
       NonceVerdict::kRepeated},
  };
  for (const Row& row : rows) {
    Fleet fleet;
    Disk disk;
    for (const Ending ending : row.before) {
      EXPECT_TRUE(finding_of(fleet.sync(disk, ending)).empty()) << row.name;
    }
    EXPECT_EQ(fleet.sync(disk, Ending::kComplete), row.then) << row.name;
    EXPECT_EQ(fleet.sync(disk, Ending::kComplete), NonceVerdict::kExpected) << row.name;
  }
}

TEST(NonceChain, OneDeviceNeverRaisesAFindingHoweverItIsCut) {
  FakeRandom random{11};
  Fleet fleet;
  Disk disk;
  for (int i = 0; i < 20'000; ++i) {
    const auto ending = static_cast<Ending>(random.below(4));
    ASSERT_TRUE(finding_of(fleet.sync(disk, ending)).empty()) << "step " << i;
  }
}

TEST(NonceChain, TheCopyIsNoticedWhenTheOriginalHasMovedOn) {
  Fleet fleet;
  Disk original;
  fleet.sync(original, Ending::kComplete);
  Disk copy = original;
  EXPECT_EQ(fleet.sync(original, Ending::kComplete), NonceVerdict::kExpected);
  const NonceVerdict verdict = fleet.sync(copy, Ending::kComplete);
  EXPECT_EQ(verdict, NonceVerdict::kForked);
  EXPECT_NE(finding_of(verdict).find("two copies"), std::string::npos);
  // And the original, when it comes again.
  EXPECT_EQ(fleet.sync(original, Ending::kComplete), NonceVerdict::kForked);
}

TEST(NonceChain, TwoCopiesAreNoticedAtTheLatestAfterOneOfThemCompletedTwice) {
  FakeRandom random{5};
  for (int round = 0; round < 500; ++round) {
    Fleet fleet;
    Disk original;
    fleet.sync(original, Ending::kComplete);
    Disk copies[2] = {original, original};
    bool noticed = false;
    int completed[2] = {0, 0};
    while (!noticed && (completed[0] < 2 || completed[1] < 2)) {
      const auto which = random.below(2);
      const auto ending = static_cast<Ending>(random.below(4));
      noticed = !finding_of(fleet.sync(copies[which], ending)).empty();
      completed[which] += ending == Ending::kComplete ? 1 : 0;
    }
    EXPECT_TRUE(noticed) << "round " << round;
  }
}

TEST(NonceChain, AResetTakesWhatComesOnce) {
  Fleet fleet;
  Disk disk;
  fleet.sync(disk, Ending::kComplete);
  Disk restored = disk;
  fleet.sync(disk, Ending::kComplete);
  fleet.life().nonce_reset = true;
  EXPECT_EQ(fleet.sync(restored, Ending::kComplete), NonceVerdict::kFirst);
  EXPECT_EQ(fleet.sync(restored, Ending::kComplete), NonceVerdict::kExpected);
  EXPECT_EQ(fleet.sync(disk, Ending::kComplete), NonceVerdict::kForked);
}

TEST(NonceChain, AnAgentThatKnowsNoNoncesIsLeftAloneUntilItDid) {
  DeviceLifeRecord life;
  EXPECT_EQ(take_nonce(life, false, "", "a"), NonceVerdict::kUnused);
  EXPECT_TRUE(life.nonce.empty());
  EXPECT_EQ(take_nonce(life, true, "", "a"), NonceVerdict::kFirst);
  EXPECT_EQ(take_nonce(life, false, "", "b"), NonceVerdict::kMissing);
  // The chain is where it was.
  EXPECT_EQ(take_nonce(life, true, "a", "c"), NonceVerdict::kExpected);
}

TEST(NonceChain, OnlyTheNewestNonceIsConfirmed) {
  DeviceLifeRecord life;
  take_nonce(life, true, "", "a");
  take_nonce(life, true, "a", "b");
  EXPECT_FALSE(confirm_nonce(life, "a"));
  EXPECT_EQ(life.previous_nonce, "a");
  EXPECT_TRUE(confirm_nonce(life, "b"));
  EXPECT_TRUE(life.previous_nonce.empty());
  EXPECT_EQ(take_nonce(life, true, "a", "d"), NonceVerdict::kForked);
}

}  // namespace
}  // namespace skerry::controller
