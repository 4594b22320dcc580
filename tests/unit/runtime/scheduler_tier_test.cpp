// The second tier of the prefix cache: what is saved and when, what is asked for, what a request
// that waits costs the others, and that no answer changes.

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "skerry/runtime/scheduler.hpp"

#include "cell_engine.hpp"
#include "prefix_chain.hpp"

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t kBlock = PrefixChain::kBlock;

// Keeps states in memory, over the lives of schedulers. Answers when it is told to.
class FakeTier final : public PrefixTier {
 public:
  struct Kept {
    PrefixState state;
    std::shared_ptr<std::vector<std::uint8_t>> bytes;
  };
  struct Question {
    RequestKey key = 0;
    std::vector<Digest> names;
  };

  [[nodiscard]] std::uint64_t largest() const override { return most; }
  [[nodiscard]] bool busy() const override { return is_busy; }
  Result<void> save(PrefixState state, std::size_t room, const Fill& fill) override {
    auto bytes = std::make_shared<std::vector<std::uint8_t>>(room);
    const auto size = fill(*bytes);
    if (!size) {
      return size.error();
    }
    bytes->resize(*size);
    kept.push_back({std::move(state), std::move(bytes)});
    return {};
  }
  void find(RequestKey key, std::vector<Digest> names) override {
    questions.push_back({key, std::move(names)});
  }
  void drop(const Digest& name) override { dropped.push_back(name); }

  // The longest that one of the kept shares with the question.
  [[nodiscard]] FoundPrefix look(const Question& question) const {
    for (const Digest& name : question.names) {
      for (const Kept& one : kept) {
        const auto at = std::find(one.state.names.begin(), one.state.names.end(), name);
        if (at != one.state.names.end()) {
          const auto blocks = static_cast<std::uint32_t>(at - one.state.names.begin()) + 1;
          return {.tokens = one.state.tokens,
                  .common = static_cast<std::uint32_t>(blocks * kBlock),
                  .bytes = *one.bytes,
                  .holder = one.bytes};
        }
      }
    }
    return {};
  }

  std::vector<Kept> kept;
  std::vector<Question> questions;
  std::vector<Digest> dropped;
  std::uint64_t most = 1U << 20U;
  bool is_busy = false;
};

std::vector<std::int32_t> some_tokens(std::size_t count, std::int32_t salt = 0) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < count; ++i) {
    tokens.push_back((static_cast<std::int32_t>(i % 83) * 5 + salt * 17) % 96);
  }
  return tokens;
}

std::vector<std::int32_t> joined(std::vector<std::int32_t> head,
                                 const std::vector<std::int32_t>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

class SchedulerTierTest : public ::testing::Test {
 protected:
  SchedulerTierTest() {
    options_.model = Digest::of("m");
    options_.max_sequences = 3;
    options_.slots = 8;
    options_.prefix_cache = true;
    options_.context_length = 1024;
    options_.context_total = 3 * 1024;
    options_.vocabulary = test::CellEngine::kVocabulary;
    options_.max_rows = 128;
    options_.shared_rows = 64;
    options_.max_queued = 100;
    options_.tier = &tier_;
    restart();
  }

  // The worker dies and another one starts.
  void restart() {
    scheduler_.reset();
    engine_ = std::make_unique<test::CellEngine>(3 * 1024);
    engine_->on_decode = [this](std::size_t rows) {
      clock_.advance(1ms * static_cast<std::int64_t>(rows));
    };
  }
  Scheduler& scheduler() {
    if (!scheduler_) {
      scheduler_ = std::make_unique<Scheduler>(
          *engine_, options_, clock_, [this](RequestKey key, Event event) {
            if (const auto* delta = std::get_if<TextDelta>(&event)) {
              answers_[key].insert(answers_[key].end(), delta->tokens.begin(), delta->tokens.end());
            } else if (const auto* done = std::get_if<Done>(&event)) {
              done_[key] = *done;
            } else if (const auto* failed = std::get_if<Failure>(&event)) {
              failed_.emplace(key, failed->error);
            }
          });
    }
    return *scheduler_;
  }
  void ask(RequestKey key,
           std::vector<std::int32_t> prompt,
           std::uint32_t max_tokens,
           std::string principal = "p",
           PriorityClass priority = PriorityClass::kNormal,
           std::optional<BootTime> deadline = std::nullopt) {
    GenerateRequest request;
    request.meta = {.id = RequestId{"r"},
                    .principal = std::move(principal),
                    .priority = priority,
                    .deadline = deadline,
                    .model = options_.model};
    request.prompt = PromptTokens{std::move(prompt)};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    scheduler().submit(key, std::move(request));
  }
  void answer_all() {
    for (const FakeTier::Question& question : std::exchange(tier_.questions, {})) {
      scheduler().found(question.key, tier_.look(question));
    }
  }
  // Until every request is answered; the tier answers at once.
  void run() {
    for (int i = 0; i < 10'000 && !scheduler().idle(); ++i) {
      answer_all();
      scheduler().step();
      clock_.advance(1ms);
    }
    EXPECT_TRUE(scheduler().idle());
  }
  // Nobody asks for a while, so that what is due is saved.
  void rest() {
    clock_.advance(1s);
    while (scheduler().step()) {
    }
  }
  // One life: asks for the prompt, so that its prefix is saved.
  void save(const std::vector<std::int32_t>& prompt) {
    ask(1000, prompt, 1);
    run();
    rest();
    restart();
  }

  FakeTier tier_;
  std::unique_ptr<test::CellEngine> engine_;
  SchedulerOptions options_;
  FakeClock clock_{WallTime{}};
  std::map<RequestKey, std::vector<std::int32_t>> answers_;
  std::map<RequestKey, Done> done_;
  std::map<RequestKey, Error> failed_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTierTest, AnotherLifeGoesOnFromWhatWasSaved) {
  const auto prefix = some_tokens(640);
  ask(1, joined(prefix, some_tokens(10, 1)), 5);
  run();
  EXPECT_TRUE(tier_.kept.empty()) << "the engine has just been in use";
  rest();
  ASSERT_EQ(tier_.kept.size(), 1U);
  EXPECT_EQ(tier_.kept[0].state.tokens, 640U);
  EXPECT_EQ(tier_.kept[0].state.names.size(), 20U);
  EXPECT_EQ(tier_.kept[0].state.format, "cells");
  EXPECT_GT(tier_.kept[0].state.recompute, 300ms);
  restart();

  ask(2, joined(prefix, some_tokens(12, 2)), 5);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 640U);
  EXPECT_EQ(engine_->computed, 12U + 4U);
  EXPECT_EQ(engine_->restored, 1);

  options_.prefix_cache = false;
  restart();
  ask(3, joined(prefix, some_tokens(12, 2)), 5);
  run();
  EXPECT_EQ(answers_[3], answers_[2]);
  EXPECT_EQ(done_[3].usage.cached_tokens, 0U);
}

TEST_F(SchedulerTierTest, APartOfASavedPrefixIsEnough) {
  save(some_tokens(900));
  ask(1, joined(some_tokens(600), some_tokens(50, 4)), 5);
  run();
  EXPECT_EQ(done_[1].usage.cached_tokens, 576U) << "whole blocks of 600";
  EXPECT_EQ(engine_->cells().size(), scheduler().cache().used) << "and the rest of it is gone";
}

TEST_F(SchedulerTierTest, NobodyFindsWhatAnotherPrincipalSaved) {
  save(some_tokens(600));
  ask(1, some_tokens(600), 1, "somebody else");
  run();
  EXPECT_EQ(done_[1].usage.cached_tokens, 0U);
}

TEST_F(SchedulerTierTest, MemoryComesFirstAndShortPromptsAskNobody) {
  save(some_tokens(600));
  ask(1, some_tokens(200), 1);
  run();
  EXPECT_EQ(engine_->restored, 0);
  ask(2, some_tokens(600, 2), 1);
  run();
  tier_.questions.clear();
  ask(3, joined(some_tokens(600, 2), some_tokens(100, 3)), 1);
  EXPECT_TRUE(tier_.questions.empty()) << "memory has nearly all of it";
  run();
  EXPECT_EQ(done_[3].usage.cached_tokens, 576U);
}

TEST_F(SchedulerTierTest, TheOneThatWaitsHoldsNobodyUp) {
  save(some_tokens(600));
  ask(1, some_tokens(600), 1);
  ask(2, some_tokens(40, 7), 3);
  ASSERT_EQ(tier_.questions.size(), 1U);
  for (int i = 0; i < 10; ++i) {
    scheduler().step();
  }
  EXPECT_EQ(done_.count(2), 1U);
  EXPECT_EQ(scheduler().queued(), 1U);
  const auto until = scheduler().rests_until();
  ASSERT_TRUE(until);
  EXPECT_GT(*until, clock_.boot_now());
  EXPECT_LE(*until, clock_.boot_now() + options_.tier_wait);
  run();
  EXPECT_EQ(done_[1].usage.cached_tokens, 576U);
}

TEST_F(SchedulerTierTest, ATierThatDoesNotAnswerCostsItsTimeAndNoMore) {
  save(some_tokens(600));
  ask(1, some_tokens(600), 1);
  scheduler().step();
  EXPECT_EQ(scheduler().running(), 0U);
  clock_.advance(options_.tier_wait);
  EXPECT_FALSE(scheduler().rests_until());
  scheduler().step();
  EXPECT_EQ(scheduler().running(), 1U);
  const FakeTier::Question late = tier_.questions.at(0);
  scheduler().found(late.key, tier_.look(late));
  scheduler().found(77, tier_.look(late));
  tier_.questions.clear();
  run();
  EXPECT_EQ(done_[1].usage.cached_tokens, 0U);
  EXPECT_EQ(engine_->computed, 600U);
}

TEST_F(SchedulerTierTest, OneThatWaitsCanBeCancelled) {
  save(some_tokens(600));
  ask(1, some_tokens(600), 1);
  scheduler().step();
  scheduler().cancel(1);
  EXPECT_FALSE(scheduler().rests_until());
  scheduler().step();
  ASSERT_EQ(failed_.count(1), 1U);
  EXPECT_EQ(failed_.at(1).code(), Error::Code::kCancelled);
  answer_all();
  EXPECT_TRUE(scheduler().idle());
  EXPECT_EQ(engine_->restored, 0);
}

TEST_F(SchedulerTierTest, ADeadlineIsJudgedByWhatWasFound) {
  save(some_tokens(900));
  ask(1, some_tokens(60, 3), 1);  // 1 ms for each token
  run();
  ask(2, some_tokens(900), 1, "p", PriorityClass::kNormal, clock_.boot_now() + 300ms);
  EXPECT_EQ(failed_.count(2), 0U);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 896U);
  ask(3, some_tokens(900, 5), 1, "p", PriorityClass::kNormal, clock_.boot_now() + 300ms);
  run();
  ASSERT_EQ(failed_.count(3), 1U);
  EXPECT_EQ(failed_.at(3).code(), Error::Code::kDeadlineExceeded);
}

TEST_F(SchedulerTierTest, PromptsThatBeginAlikeAskOnce) {
  save(some_tokens(640));
  for (RequestKey key = 1; key <= 3; ++key) {
    ask(key, joined(some_tokens(640), some_tokens(10, static_cast<std::int32_t>(key))), 1);
  }
  EXPECT_EQ(tier_.questions.size(), 1U);
  run();
  EXPECT_EQ(engine_->restored, 1);
  EXPECT_EQ(engine_->computed, 3 * 10U);
  for (RequestKey key = 1; key <= 3; ++key) {
    EXPECT_EQ(done_[key].usage.cached_tokens, 640U) << key;
  }
}

TEST_F(SchedulerTierTest, ARefusedStateIsDroppedAndThePromptComputed) {
  save(some_tokens(640));
  ASSERT_EQ(tier_.kept.size(), 1U);
  tier_.kept[0].bytes->pop_back();
  ask(1, joined(some_tokens(640), some_tokens(8, 1)), 5);
  run();
  EXPECT_EQ(done_[1].usage.cached_tokens, 0U);
  EXPECT_EQ(engine_->computed, 648U + 4U);
  ASSERT_EQ(tier_.dropped.size(), 1U);
  EXPECT_EQ(tier_.dropped[0], tier_.kept[0].state.names.back());
}

TEST_F(SchedulerTierTest, AnAnswerThatMakesNoSenseIsIgnored) {
  save(some_tokens(640));
  const auto bytes = tier_.kept[0].bytes;
  RequestKey key = 1;
  for (const auto& [tokens, common] :
       {std::pair{640U, 641U}, std::pair{640U, 33U}, std::pair{32U, 640U}, std::pair{0U, 0U}}) {
    ask(key, joined(some_tokens(640), some_tokens(8, 1)), 1);
    tier_.questions.clear();
    scheduler().found(key, {.tokens = tokens, .common = common, .bytes = *bytes, .holder = bytes});
    run();
    EXPECT_EQ(done_.count(key), 1U);
    EXPECT_EQ(engine_->restored, 0);
    restart();
    ++key;
  }
}

TEST_F(SchedulerTierTest, NothingIsSavedWhileSomebodyIsServed) {
  ask(1, some_tokens(600), 1);
  run();
  ask(2, some_tokens(40, 5), 200);
  clock_.advance(10s);
  while (!scheduler().idle()) {
    scheduler().step();
    EXPECT_EQ(engine_->saved, 0);
  }
  rest();
  EXPECT_EQ(engine_->saved, 1);
}

TEST_F(SchedulerTierTest, OneIsSavedAtATimeAndOnce) {
  ask(1, some_tokens(600, 1), 1);
  ask(2, some_tokens(600, 2), 1);
  run();
  clock_.advance(1s);
  EXPECT_TRUE(scheduler().step());
  EXPECT_EQ(engine_->saved, 1);
  tier_.is_busy = true;
  EXPECT_FALSE(scheduler().step());
  EXPECT_EQ(scheduler().rests_until(), BootTime::max()) << "until it has finished";
  tier_.is_busy = false;
  EXPECT_FALSE(scheduler().rests_until());
  rest();
  EXPECT_EQ(engine_->saved, 2);
  rest();
  EXPECT_EQ(engine_->saved, 2);
  EXPECT_EQ(scheduler().rests_until(), BootTime::max());
}

TEST_F(SchedulerTierTest, WhatAddsLittleToASavedOneIsNotSaved) {
  const auto prefix = some_tokens(640);
  ask(1, joined(prefix, some_tokens(40, 1)), 1);
  run();
  rest();
  ask(2, joined(prefix, some_tokens(70, 2)), 1);
  run();
  rest();
  EXPECT_EQ(tier_.kept.size(), 1U);
  ask(3, joined(prefix, some_tokens(300, 3)), 1);
  run();
  rest();
  EXPECT_EQ(tier_.kept.size(), 2U);
}

TEST_F(SchedulerTierTest, WhatCameFromTheTierIsNotSavedAgain) {
  save(some_tokens(640));
  ask(1, joined(some_tokens(640), some_tokens(40, 1)), 1);
  run();
  rest();
  EXPECT_EQ(engine_->restored, 1);
  EXPECT_EQ(engine_->saved, 0);
}

TEST_F(SchedulerTierTest, ShortCheapAndLargeOnesAreNotSaved) {
  ask(1, some_tokens(200), 1);
  run();
  rest();
  EXPECT_EQ(engine_->saved, 0) << "short";
  tier_.most = 1000;
  ask(2, some_tokens(600, 2), 1);
  run();
  rest();
  EXPECT_EQ(engine_->saved, 0) << "larger than the tier takes";
  restart();
  tier_.most = 1U << 20U;
  engine_->on_decode = [this](std::size_t) { clock_.advance(10us); };
  ask(3, some_tokens(600, 3), 1);
  run();
  rest();
  EXPECT_EQ(engine_->saved, 0) << "computed in no time";
}

TEST_F(SchedulerTierTest, AnEngineThatSavesNothingHasNoTier) {
  engine_->saves = false;
  ask(1, some_tokens(600), 1);
  EXPECT_TRUE(tier_.questions.empty());
  run();
  EXPECT_EQ(scheduler().rests_until(), BootTime::max());
  rest();
  EXPECT_TRUE(tier_.kept.empty());
}

TEST_F(SchedulerTierTest, RequestsKeepTheirCells) {
  save(some_tokens(960));
  ask(1, some_tokens(900, 1), 100);
  ask(2, some_tokens(900, 2), 100);
  for (int i = 0; i < 20; ++i) {
    answer_all();
    scheduler().step();
  }
  ask(3, joined(some_tokens(400), some_tokens(20, 3)), 1);
  run();
  EXPECT_EQ(engine_->no_space, 0U);
  EXPECT_EQ(answers_[1].size(), 100U);
  EXPECT_EQ(answers_[2].size(), 100U);
  EXPECT_EQ(done_[3].usage.cached_tokens, 384U);
}

// Random arrivals, cancellations, failures, restarts and a tier that answers late or never: the
// same answers as computed each alone, no sequence and no cell lost.
class SchedulerTierChurn : public SchedulerTierTest,
                           public ::testing::WithParamInterface<unsigned> {
 protected:
  void churn() {
    options_.context_length = 640;
    options_.context_total = 1280;
    options_.slots = 6;
    options_.tier_least = 64;
    std::mt19937 random{GetParam()};
    const auto pick = [&random](unsigned below) { return static_cast<unsigned>(random() % below); };
    RequestKey next = 1;
    for (int round = 0; round < 2000; ++round) {
      if (pick(8) == 0) {
        auto prompt = some_tokens(pick(400) + 1, static_cast<std::int32_t>(pick(3)));
        prompt =
            joined(std::move(prompt), some_tokens(pick(40), static_cast<std::int32_t>(pick(5))));
        asked_[next] = prompt;
        ask(next++,
            std::move(prompt),
            pick(40) + 1,
            pick(4) == 0 ? "q" : "p",
            static_cast<PriorityClass>(pick(3)));
      }
      if (pick(40) == 0 && next > 1) {
        scheduler().cancel(pick(static_cast<unsigned>(next) - 1) + 1);
      }
      if (pick(150) == 0) {
        engine_->failing = 1;
      }
      if (pick(3) == 0) {
        answer_some(pick);
      }
      tier_.is_busy = pick(5) == 0;
      scheduler().step();
      clock_.advance(std::chrono::milliseconds{pick(100)});
      ASSERT_FALSE(scheduler().dead());
      ASSERT_LE(engine_->sequences.size(), scheduler().running() + scheduler().cache().prefixes);
      ASSERT_EQ(engine_->cells().size(), scheduler().cache().used);
      ASSERT_LE(engine_->cells().size(), options_.context_total);
      if (pick(100) == 0) {
        run();
        rest();
        restored_ += engine_->restored;
        restart();
      }
    }
    run();
  }
  template <class Pick>
  void answer_some(const Pick& pick) {
    for (const FakeTier::Question& question : std::exchange(tier_.questions, {})) {
      const unsigned fate = pick(6);
      if (fate > 1) {
        scheduler().found(question.key, tier_.look(question));
      } else if (fate == 1) {
        tier_.questions.push_back(question);
      }
    }
  }

  std::map<RequestKey, std::vector<std::int32_t>> asked_;
  int restored_ = 0;
};

TEST_P(SchedulerTierChurn, LosesNothingAndAnswersTheSame) {
  churn();
  EXPECT_GT(restored_, 0);
  EXPECT_EQ(done_.size() + failed_.size(), asked_.size()) << "each ended once";
  EXPECT_EQ(engine_->no_space, 0U);
  const auto with = std::exchange(answers_, {});
  options_.prefix_cache = false;
  restart();
  for (const auto& [key, answer] : with) {
    if (answer.empty()) {
      continue;
    }
    answers_.clear();
    ask(key, asked_[key], static_cast<std::uint32_t>(answer.size()));
    run();
    ASSERT_EQ(answers_[key], answer) << "request " << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerTierChurn, ::testing::Range(1U, 9U));

}  // namespace
}  // namespace skerry::runtime
