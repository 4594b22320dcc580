// Who runs, how large prompt chunks are and who is refused early, by an engine whose batches take
// time on a clock of its own.

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "skerry/runtime/scheduler.hpp"

#include "fake_step_engine.hpp"

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

// 20 ms and 8 ms for each row that generates, 4 ms for each prompt row.
class TimedEngine final : public test::FakeStepEngine {
 public:
  explicit TimedEngine(FakeClock& clock) : clock_(clock) {}
  DecodeOutcome decode(std::span<const Row> rows) override {
    const DecodeOutcome outcome = FakeStepEngine::decode(rows);
    std::chrono::nanoseconds time{0};
    for (const auto& [sequence, count] : count_rows(rows)) {
      time += count == 1 ? generated_row : prompt_row * static_cast<std::int64_t>(count);
    }
    clock_.advance(time + 12ms);
    times.push_back(time + 12ms);
    return outcome;
  }
  static std::map<std::uint32_t, std::size_t> count_rows(std::span<const Row> rows) {
    std::map<std::uint32_t, std::size_t> counts;
    for (const Row& row : rows) {
      ++counts[row.sequence];
    }
    return counts;
  }

  std::chrono::nanoseconds generated_row{8ms};
  std::chrono::nanoseconds prompt_row{4ms};
  std::vector<std::chrono::nanoseconds> times;

 private:
  FakeClock& clock_;
};

class SchedulerFairnessTest : public ::testing::Test {
 protected:
  SchedulerFairnessTest() {
    options_.model = Digest::of("m");
    options_.max_sequences = 4;
    options_.context_length = 8192;
    options_.context_total = 4 * 8192;
    options_.vocabulary = test::FakeStepEngine::kVocabulary;
    options_.max_rows = 512;
    options_.max_queued = 1000;
    engine_.end_token = -1;
  }

  Scheduler& scheduler() {
    if (!scheduler_) {
      scheduler_ = std::make_unique<Scheduler>(
          engine_, options_, clock_, [this](RequestKey key, Event event) { take(key, event); });
    }
    return *scheduler_;
  }
  void take(RequestKey key, const Event& event) {
    Seen& seen = seen_[key];
    if (const auto* delta = std::get_if<TextDelta>(&event)) {
      seen.text += delta->text;
      seen.token_times.insert(seen.token_times.end(), delta->tokens.size(), clock_.boot_now());
      tokens_[seen.principal] += delta->tokens.size();
    } else if (std::holds_alternative<Started>(event)) {
      ++seen.started;
    } else if (const auto* done = std::get_if<Done>(&event)) {
      seen.done = *done;
    } else if (const auto* failed = std::get_if<Failure>(&event)) {
      seen.failure = failed->error;
    }
  }
  void generate(RequestKey key,
                std::size_t prompt,
                std::uint32_t max_tokens,
                std::string principal,
                PriorityClass priority = PriorityClass::kNormal,
                std::optional<std::chrono::nanoseconds> timeout = std::nullopt) {
    GenerateRequest request;
    request.meta = {.id = RequestId{"r"},
                    .principal = principal,
                    .priority = priority,
                    .deadline = std::nullopt,
                    .model = options_.model};
    if (timeout) {
      request.meta.deadline = clock_.boot_now() + *timeout;
    }
    request.prompt = PromptTokens{std::vector<std::int32_t>(prompt, 'a')};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    seen_[key].principal = std::move(principal);
    scheduler().submit(key, std::move(request));
  }
  void run_for(std::chrono::nanoseconds time) {
    const BootTime end = clock_.boot_now() + time;
    while (clock_.boot_now() < end && scheduler().step()) {
    }
  }
  void run() {
    for (int i = 0; i < 100'000 && !scheduler().idle(); ++i) {
      scheduler().step();
    }
  }
  bool ended(RequestKey key) { return seen_[key].done || seen_[key].failure; }
  bool started(RequestKey key) { return seen_[key].started > 0; }

  struct Seen {
    std::string principal;
    std::string text;
    std::vector<BootTime> token_times;
    int started = 0;
    std::optional<Done> done;
    std::optional<Error> failure;
  };
  FakeClock clock_{WallTime{}};
  TimedEngine engine_{clock_};
  SchedulerOptions options_;
  std::map<RequestKey, Seen> seen_;
  std::map<std::string, std::size_t> tokens_;
  std::unique_ptr<Scheduler> scheduler_;
};

double jain(double a, double b) {
  return (a + b) * (a + b) / (2 * (a * a + b * b));
}

TEST_F(SchedulerFairnessTest, FloodingPrincipalGetsNoMoreThanItsShare) {
  // The flood is there first and holds every place.
  for (RequestKey key = 0; key < 200; ++key) {
    generate(key, 20, 400, "flood");
  }
  run_for(5s);
  RequestKey next = 1000;
  tokens_.clear();
  const BootTime end = clock_.boot_now() + 120s;
  std::vector<RequestKey> open;
  while (clock_.boot_now() < end) {
    std::erase_if(open, [this](RequestKey key) { return ended(key); });
    while (open.size() < 2) {
      generate(next, 20, 60, "modest");
      open.push_back(next++);
    }
    scheduler().step();
  }
  EXPECT_GE(jain(static_cast<double>(tokens_["flood"]), static_cast<double>(tokens_["modest"])),
            0.95)
      << tokens_["flood"] << " against " << tokens_["modest"];
}

TEST_F(SchedulerFairnessTest, WhoIsSentBackGoesOnWithTheSameText) {
  options_.max_sequences = 1;
  generate(1, 10, 300, "batch", PriorityClass::kBatch);
  run_for(4s);
  const std::size_t before = seen_[1].text.size();
  ASSERT_GT(before, 10U);
  generate(2, 10, 5, "user", PriorityClass::kInteractive);
  run_for(1s);
  EXPECT_TRUE(seen_[2].done) << "it does not wait for the long answer's end";
  run();
  ASSERT_TRUE(seen_[1].done);
  EXPECT_EQ(seen_[1].started, 1);
  EXPECT_EQ(seen_[1].done->usage.prompt_tokens, 10U);
  EXPECT_EQ(seen_[1].done->usage.completion_tokens, 300U);
  // Every token is its predecessor's successor, across the break as well.
  std::string expected;
  for (std::int32_t token = 'a' + 1; expected.size() < 300; ++token) {
    expected += static_cast<char>(token % test::FakeStepEngine::kVocabulary);
  }
  EXPECT_EQ(seen_[1].text, expected);
  EXPECT_EQ(tokens_["batch"], 300U);
}

TEST_F(SchedulerFairnessTest, NobodyIsSentBackForHisOwnOrAWorseClass) {
  options_.max_sequences = 1;
  generate(1, 10, 200, "a", PriorityClass::kNormal);
  run_for(3s);
  generate(2, 10, 5, "b", PriorityClass::kBatch);
  generate(3, 10, 5, "a", PriorityClass::kNormal);
  run_for(500ms);
  EXPECT_FALSE(started(2));
  EXPECT_FALSE(started(3));
  run();
  EXPECT_EQ(seen_[1].done->usage.completion_tokens, 200U);
}

TEST_F(SchedulerFairnessTest, CancelledWhileSentBackIsDoneNotFailed) {
  options_.max_sequences = 1;
  generate(1, 10, 2000, "batch", PriorityClass::kBatch);
  run_for(4s);
  generate(2, 10, 2000, "user", PriorityClass::kInteractive);
  run_for(1s);
  ASSERT_TRUE(started(2));
  scheduler().cancel(1);
  scheduler().step();
  ASSERT_TRUE(seen_[1].done);
  EXPECT_EQ(seen_[1].done->reason, FinishReason::kCancelled);
  EXPECT_GT(seen_[1].done->usage.completion_tokens, 10U);
}

TEST_F(SchedulerFairnessTest, WaitingRaisesTheClass) {
  options_.max_sequences = 1;
  generate(1, 10, 5, "batch", PriorityClass::kBatch);
  // Interactive requests never end.
  RequestKey next = 100;
  generate(next, 10, 20, "user", PriorityClass::kInteractive);
  while (!seen_[1].done && clock_.boot_now() < 120s) {
    if (seen_[next].done) {
      generate(++next, 10, 20, "user", PriorityClass::kInteractive);
      generate(next + 10'000, 10, 20, "other", PriorityClass::kInteractive);
    }
    scheduler().step();
  }
  EXPECT_TRUE(seen_[1].done);
  EXPECT_GE(clock_.boot_now(), 15s) << "not before its time";
  EXPECT_LE(clock_.boot_now(), 60s);
}

TEST_F(SchedulerFairnessTest, PromptsOfOthersKeepTheTimeBetweenTokens) {
  options_.inter_token_target = 600ms;
  generate(1, 10, 500, "reader");
  run_for(1s);
  engine_.times.clear();
  generate(2, 4000, 1, "arriving");
  while (!seen_[2].done) {
    scheduler().step();
  }
  // After a first look at what a tile costs, as much as the target allows: 128 rows and no more.
  EXPECT_LE(*std::max_element(engine_.times.begin(), engine_.times.end()), 600ms);
  EXPECT_LE(engine_.times.size(), 4000 / 127 + 4);
}

TEST_F(SchedulerFairnessTest, TargetBelowATileCostsATile) {
  options_.inter_token_target = 50ms;
  generate(1, 10, 500, "reader");
  run_for(1s);
  engine_.batches.clear();
  generate(2, 1000, 1, "arriving");
  while (!seen_[2].done) {
    scheduler().step();
  }
  for (const auto& batch : engine_.batches) {
    EXPECT_LE(batch.size(), options_.shared_rows);
  }
  EXPECT_LE(engine_.batches.size(), 1000 / 63 + 2);
}

TEST_F(SchedulerFairnessTest, LonePromptsAreCutSoThatOthersCanStart) {
  generate(1, 3000, 1, "first");
  engine_.times.clear();
  run();
  // The first batch cannot know; the rest take four targets at most.
  for (std::size_t i = 1; i < engine_.times.size(); ++i) {
    EXPECT_LE(engine_.times[i], 4 * options_.inter_token_target);
  }
}

TEST_F(SchedulerFairnessTest, WhatCannotBeInTimeIsRefusedAtOnce) {
  generate(1, 600, 3, "a");
  run();
  // 4 ms a row: 2000 rows take 8 s.
  generate(2, 2000, 3, "a", PriorityClass::kNormal, 2s);
  ASSERT_TRUE(seen_[2].failure);
  EXPECT_EQ(seen_[2].failure->code(), Error::Code::kDeadlineExceeded);
  EXPECT_NE(seen_[2].failure->message().find("2000 tokens"), std::string::npos)
      << seen_[2].failure->message();
  generate(3, 2000, 3, "a", PriorityClass::kNormal, 20s);
  run();
  EXPECT_TRUE(seen_[3].done);
}

TEST_F(SchedulerFairnessTest, WaitingRequestIsRefusedWhenItsTimeRunsShort) {
  options_.max_sequences = 1;
  generate(1, 600, 1000, "a");
  run_for(5s);
  generate(2, 1000, 1, "a", PriorityClass::kNormal, 8s);
  EXPECT_FALSE(ended(2)) << "4 s of reading in 8 s";
  run_for(6s);
  ASSERT_TRUE(seen_[2].failure);
  EXPECT_FALSE(started(2));
  EXPECT_LT(clock_.boot_now(), 14s) << "before the deadline itself";
}

}  // namespace
}  // namespace skerry::runtime
