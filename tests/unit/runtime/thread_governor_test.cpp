#include "thread_governor.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

// A machine of `cores` cores, sampled four times a second.
class ThreadGovernorTest : public ::testing::Test {
 protected:
  ThreadGovernorTest() { sample_.cores = 2; }

  ThreadGovernor& governor() {
    if (!governor_) {
      governor_.emplace(options_);
    }
    return *governor_;
  }

  // Lets `time` pass with what `sample_` says. The number of times that the plan changed.
  int pass(std::chrono::nanoseconds time) {
    int changes = 0;
    for (std::chrono::nanoseconds passed{0}; passed < time; passed += 250ms) {
      now_ += 250ms;
      sample_.at = now_;
      sample_.seconds = 0.25;
      if (const auto own = step_times_.find(threads()); own != step_times_.end()) {
        for (int i = 0; i < 8; ++i) {
          governor().on_step(1, own->second);
        }
      }
      changes += governor().on_sample(sample_) ? 1 : 0;
    }
    return changes;
  }
  std::uint32_t threads() { return governor().plan().threads; }
  CpuState state() { return governor().plan().state; }

  ThreadGovernor::Options options_{.threads = 2};
  CpuSample sample_;
  BootTime now_{1s};
  std::map<std::uint32_t, std::chrono::nanoseconds> step_times_;  // by threads
  std::optional<ThreadGovernor> governor_;
};

TEST_F(ThreadGovernorTest, QuietMachineKeepsEveryThreadAndLetsThemPoll) {
  sample_.others = 0.05;
  pass(5s);
  EXPECT_EQ(threads(), 2U);
  EXPECT_EQ(state(), CpuState::kQuiet);
  EXPECT_EQ(governor().plan().poll, 2U);
}

TEST_F(ThreadGovernorTest, NeighbourTakesAThreadWithinASecondAndGivesItBackInSeconds) {
  sample_.others = 0.0;
  pass(5s);
  sample_.others = 1.0;
  pass(1s);
  EXPECT_EQ(threads(), 1U);
  EXPECT_EQ(governor().plan().poll, 0U);
  EXPECT_EQ(state(), CpuState::kShared);
  sample_.others = 0.0;
  pass(1s);
  EXPECT_EQ(threads(), 1U) << "not at once: it may only draw breath";
  pass(4s);
  EXPECT_EQ(threads(), 2U);
  EXPECT_EQ(state(), CpuState::kQuiet);
}

TEST_F(ThreadGovernorTest, ShortBurstsDoNotMakeItFlap) {
  sample_.others = 0.0;
  pass(5s);
  int changes = 0;
  for (int i = 0; i < 40; ++i) {
    sample_.others = i % 4 == 0 ? 0.8 : 0.0;
    changes += pass(250ms);
  }
  EXPECT_LE(changes, 2) << "at most the polling is given up once";
  EXPECT_EQ(threads(), 2U);
}

TEST_F(ThreadGovernorTest, OneThreadForEachCoreThatIsLeft) {
  options_.threads = 8;
  sample_.cores = 8;
  struct Case {
    double others;
    std::uint32_t threads;
  };
  for (const Case& one : {Case{0.2, 8}, Case{1.0, 7}, Case{2.0, 6}, Case{7.5, 1}, Case{8.0, 1}}) {
    governor_.reset();
    sample_.others = one.others;
    pass(3s);
    EXPECT_EQ(threads(), one.threads) << one.others << " cores are taken";
  }
}

TEST_F(ThreadGovernorTest, QuotaIsRoundedDownAndIsNotTakenForNeighbours) {
  struct Case {
    double quota;
    std::uint32_t threads;
  };
  options_.threads = 4;
  sample_.cores = 4;
  sample_.others = 0.0;
  for (const Case& one : {Case{0.5, 1}, Case{1.0, 1}, Case{1.9, 1}, Case{2.0, 2}, Case{9.0, 4}}) {
    governor_.reset();
    sample_.quota = one.quota;
    pass(1s);
    EXPECT_EQ(threads(), one.threads) << "a quota of " << one.quota;
    EXPECT_EQ(state(), one.quota < 4 ? CpuState::kCapped : CpuState::kQuiet);
  }
  // On a big machine with a small quota, what happens on the other cores does not matter.
  governor_.reset();
  sample_.cores = 64;
  sample_.quota = 2.0;
  sample_.others = 40.0;
  pass(1s);
  EXPECT_EQ(threads(), 2U);
}

TEST_F(ThreadGovernorTest, QuotaThatIsLiftedGivesThreadsBack) {
  sample_.others = 0.0;
  sample_.quota = 1.0;
  pass(1s);
  EXPECT_EQ(threads(), 1U);
  sample_.quota.reset();
  pass(3s);
  EXPECT_EQ(threads(), 2U);
}

TEST_F(ThreadGovernorTest, AffinityIsFollowed) {
  options_.threads = 4;
  sample_.cores = 4;
  sample_.others = 0.0;
  pass(1s);
  EXPECT_EQ(threads(), 4U);
  sample_.cores = 1;
  pass(250ms);
  EXPECT_EQ(threads(), 1U);
  EXPECT_EQ(state(), CpuState::kCapped);
}

TEST_F(ThreadGovernorTest, PressureStandsInWhereOthersCannotBeSeen) {
  sample_.pressure = 0.0;
  pass(3s);
  EXPECT_EQ(threads(), 2U);
  sample_.pressure = 0.9;
  pass(1s);
  EXPECT_EQ(threads(), 1U);
  sample_.pressure = 0.0;
  pass(5s);
  EXPECT_EQ(threads(), 2U);
}

TEST_F(ThreadGovernorTest, AddingAThreadInVainIsTriedEverMoreRarely) {
  // Without figures of others' load: with one thread all seems well, with two both suffer.
  sample_.pressure = 0.9;
  pass(1s);
  int changes = 0;
  for (int i = 0; i < 4 * 120; ++i) {
    sample_.pressure = threads() == 1 ? 0.0 : 0.9;
    changes += pass(250ms);
  }
  // Up, no more polling, and down again: after 2, 4, 8, 16 and 32 s.
  EXPECT_GE(changes, 10);
  EXPECT_LE(changes, 15);
}

TEST_F(ThreadGovernorTest, SlowStepsWithoutVisibleReasonCostAThread) {
  sample_.others = 0.0;
  step_times_ = {{1, 40ms}, {2, 20ms}};
  pass(5s);
  EXPECT_EQ(threads(), 2U);
  step_times_[2] = 400ms;
  pass(2s);
  EXPECT_EQ(threads(), 1U);
  EXPECT_EQ(state(), CpuState::kSlow);
  // It tries again, finds it slow, and waits longer.
  EXPECT_GE(pass(6s), 2);
  EXPECT_EQ(threads(), 1U);
  step_times_[2] = 20ms;
  pass(30s);
  EXPECT_EQ(threads(), 2U);
  EXPECT_EQ(state(), CpuState::kQuiet);
}

TEST_F(ThreadGovernorTest, LongerContextsAreNotTakenForAProblem) {
  sample_.others = 0.0;
  step_times_ = {{1, 40ms}, {2, 20ms}};
  pass(2s);
  for (int i = 0; i < 400; ++i) {
    step_times_[1] += 400us;
    step_times_[2] += 200us;
    pass(250ms);
  }
  EXPECT_EQ(threads(), 2U);
  EXPECT_EQ(state(), CpuState::kQuiet);
  // A sudden one is looked into once, for a second or two.
  step_times_ = {{1, 400ms}, {2, 220ms}};
  EXPECT_LE(pass(20s), 2);
  EXPECT_EQ(threads(), 2U);
  EXPECT_EQ(state(), CpuState::kQuiet);
}

TEST_F(ThreadGovernorTest, NothingToSeeChangesNothing) {
  EXPECT_EQ(pass(5s), 0);
  EXPECT_EQ(threads(), 2U);
}

}  // namespace
}  // namespace skerry::runtime
