#include "chunk_plan.hpp"

#include <gtest/gtest.h>

namespace skerry::registry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ChunkPlan make_plan(std::uint64_t chunks, std::vector<ChunkPlan::Source> sources) {
  ChunkPlanOptions options;
  options.retry_wait = milliseconds{100};
  return {chunks, {{0, chunks}}, std::move(sources), options};
}

// Every chunk of `run` arrives, evenly, until `end`.
void bring(ChunkPlan& plan, std::size_t source, ChunkRun run, BootTime end) {
  for (std::uint64_t i = 0; i < run.count; ++i) {
    plan.arrived(source, run.first + i, end);
  }
  plan.finished(source, end);
}

TEST(ChunkPlanTest, SourcesGetDifferentChunks) {
  auto plan = make_plan(100, {{"a"}, {"b"}});
  const BootTime now{};
  const auto a = plan.take(0, now);
  const auto b = plan.take(1, now);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, (ChunkRun{0, 4}));
  EXPECT_EQ(*b, (ChunkRun{4, 4}));
  EXPECT_FALSE(plan.take(0, now)) << "it has a run already";
}

TEST(ChunkPlanTest, AFasterSourceGetsLongerRunsAndTheEndIsShared) {
  auto plan = make_plan(400, {{"fast"}, {"slower"}});
  BootTime now{};
  bring(plan, 0, *plan.take(0, now), now + milliseconds{100});
  bring(plan, 1, *plan.take(1, now), now + milliseconds{200});
  now += milliseconds{200};
  EXPECT_EQ(plan.take(0, now)->count, 64U);  // 40 chunks/s for two seconds, at most 64
  EXPECT_EQ(plan.take(1, now)->count, 40U);
}

TEST(ChunkPlanTest, AloneASourceGetsTheLongestRuns) {
  auto plan = make_plan(100, {{"controller"}});
  EXPECT_EQ(plan.take(0, BootTime{})->count, 64U);
}

TEST(ChunkPlanTest, AMuchSlowerSourceIsDemotedAndAskedOnlyWhenTheOthersAreGone) {
  auto plan = make_plan(100, {{"fast"}, {"slow"}});
  BootTime now{};
  bring(plan, 0, *plan.take(0, now), now + milliseconds{100});
  bring(plan, 1, *plan.take(1, now), now + seconds{2});
  now += seconds{2};
  EXPECT_FALSE(plan.take(1, now));
  EXPECT_TRUE(plan.demoted(1));
  ASSERT_TRUE(plan.take(0, now));
  plan.failed(0, Error{Error::Code::kNotFound, "has no such blob"}, now);
  EXPECT_TRUE(plan.take(1, now));
}

TEST(ChunkPlanTest, WrongBytesDemoteAtOnceAndASecondTimeForGood) {
  auto plan = make_plan(100, {{"bad"}, {"good"}});
  BootTime now{};
  const Error wrong{Error::Code::kDigestMismatch, "chunk 1 has other bytes"};
  const auto run = plan.take(0, now);
  ASSERT_EQ(*run, (ChunkRun{0, 4}));
  plan.arrived(0, 0, now);
  EXPECT_TRUE(plan.failed(0, wrong, now));
  now += seconds{10};
  EXPECT_FALSE(plan.take(0, now)) << "the good one is there";
  // What the bad one brought rightly is kept, the rest goes to the other.
  EXPECT_EQ(*plan.take(1, now), (ChunkRun{1, 4}));
  EXPECT_FALSE(plan.exhausted());
}

TEST(ChunkPlanTest, ASilentSourceIsRelievedOfItsRun) {
  auto plan = make_plan(8, {{"fast"}, {"silent"}});
  BootTime now{};
  const auto stuck = plan.take(1, now);
  ASSERT_EQ(*stuck, (ChunkRun{0, 2}));
  while (const auto run = plan.take(0, now)) {
    bring(plan, 0, *run, now + milliseconds{50});
    now += milliseconds{50};
  }
  EXPECT_FALSE(plan.complete());
  now += seconds{1};
  EXPECT_EQ(*plan.take(0, now), (ChunkRun{1, 1})) << "half of it first";
  bring(plan, 0, {1, 1}, now);
  EXPECT_FALSE(plan.pointless(1));
  bring(plan, 0, *plan.take(0, now), now);
  EXPECT_TRUE(plan.complete());
  EXPECT_TRUE(plan.pointless(1)) << "it should be stopped";
}

TEST(ChunkPlanTest, TheSiteComesFirst) {
  auto plan = make_plan(100, {{"peer", SourceReach::kSite}, {"controller", SourceReach::kLink}});
  const BootTime now{};
  EXPECT_FALSE(plan.take(1, now));
  ASSERT_TRUE(plan.take(0, now));
  plan.failed(0, Error{Error::Code::kNotFound, "has no such blob"}, now);
  EXPECT_TRUE(plan.take(1, now));
}

TEST(ChunkPlanTest, ASiteThatDoesNotAnswerIsNotWaitedFor) {
  auto plan = make_plan(100, {{"peer", SourceReach::kSite}, {"controller", SourceReach::kLink}});
  const BootTime now{};
  ASSERT_TRUE(plan.take(0, now));
  EXPECT_FALSE(plan.take(1, now + milliseconds{900}));
  EXPECT_TRUE(plan.take(1, now + milliseconds{1100}));
}

TEST(ChunkPlanTest, WaitsLongerAfterEachFailureThenGivesUpAndNamesTheAnswers) {
  auto plan = make_plan(10, {{"a"}, {"b"}});
  const Error broken{Error::Code::kUnavailable, "the connection broke"};
  BootTime now{};
  for (const int wait : {100, 200}) {
    ASSERT_TRUE(plan.take(0, now));
    EXPECT_FALSE(plan.failed(0, broken, now));
    EXPECT_FALSE(plan.take(0, now + milliseconds{wait - 1}));
    now += milliseconds{wait};
  }
  ASSERT_TRUE(plan.take(0, now));
  EXPECT_TRUE(plan.failed(0, broken, now)) << "given up";
  plan.failed(1, Error{Error::Code::kNotFound, "has no such blob"}, now);
  EXPECT_TRUE(plan.over());
  const auto summary = plan.summary("x");
  EXPECT_EQ(summary.code(), Error::Code::kUnavailable);
  EXPECT_EQ(summary.message(),
            "blob x could not be fetched: a: the connection broke; b: has no such blob");
}

}  // namespace
}  // namespace skerry::registry
