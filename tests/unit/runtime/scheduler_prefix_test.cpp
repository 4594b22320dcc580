// The prefix cache: what is computed and what is copied, for whom, and that nothing is lost of it.

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

std::vector<std::int32_t> some_tokens(std::size_t count, std::int32_t salt = 0) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < count; ++i) {
    tokens.push_back((static_cast<std::int32_t>(i % 89) * 7 + salt * 13) % 96);
  }
  return tokens;
}

std::vector<std::int32_t> joined(std::vector<std::int32_t> head,
                                 const std::vector<std::int32_t>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

TEST(PrefixChainTest, NamesWholeBlocksFromTheBeginning) {
  PrefixChain one{Digest::of("m"), "p"};
  one.extend(some_tokens(70));
  EXPECT_EQ(one.tokens(), 64U);
  PrefixChain other{Digest::of("m"), "p"};
  other.extend(joined(some_tokens(40), some_tokens(60, 1)));
  EXPECT_EQ(one.common(other), 32U);
  EXPECT_EQ(other.common(one), 32U);
  one.extend(some_tokens(100));
  EXPECT_EQ(one.tokens(), 96U);
  PrefixChain at_once{Digest::of("m"), "p"};
  at_once.extend(some_tokens(100));
  EXPECT_EQ(one.common(at_once), 96U) << "grown step by step, the same names";
  one.cut(65);
  EXPECT_EQ(one.tokens(), 64U);
}

TEST(PrefixChainTest, SaltSeparatesModelsAndPrincipals) {
  const auto chain = [](std::string_view model, std::string_view scope) {
    PrefixChain made{Digest::of(model), scope};
    made.extend(some_tokens(64));
    return made;
  };
  EXPECT_EQ(chain("m", "p").common(chain("m", "p")), 64U);
  EXPECT_EQ(chain("m", "p").common(chain("m", "q")), 0U);
  EXPECT_EQ(chain("m", "p").common(chain("n", "p")), 0U);
  PrefixChain none;
  none.extend(some_tokens(64));
  EXPECT_EQ(none.tokens(), 0U) << "without a salt nothing is named";
}

class SchedulerPrefixTest : public ::testing::Test {
 protected:
  SchedulerPrefixTest() {
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
  }

  Scheduler& scheduler() {
    if (!scheduler_) {
      scheduler_ = std::make_unique<Scheduler>(
          engine_, options_, clock_, [this](RequestKey key, Event event) {
            if (const auto* delta = std::get_if<TextDelta>(&event)) {
              answers_[key].insert(answers_[key].end(), delta->tokens.begin(), delta->tokens.end());
            } else if (const auto* started = std::get_if<Started>(&event)) {
              started_[key] = *started;
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
           PriorityClass priority = PriorityClass::kNormal) {
    GenerateRequest request;
    request.meta = {.id = RequestId{"r"},
                    .principal = std::move(principal),
                    .priority = priority,
                    .deadline = std::nullopt,
                    .model = options_.model};
    request.prompt = PromptTokens{std::move(prompt)};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    scheduler().submit(key, std::move(request));
  }
  void run() {
    for (int i = 0; i < 10'000 && !scheduler().idle(); ++i) {
      scheduler().step();
      clock_.advance(10ms);
    }
    EXPECT_TRUE(scheduler().idle());
  }
  // Rows that were computed while `work` ran.
  template <class Work>
  std::size_t rows_of(Work work) {
    const std::size_t before = engine_.computed;
    work();
    return engine_.computed - before;
  }

  test::CellEngine engine_{3 * 1024};
  SchedulerOptions options_;
  FakeClock clock_{WallTime{}};
  std::map<RequestKey, std::vector<std::int32_t>> answers_;
  std::map<RequestKey, Started> started_;
  std::map<RequestKey, Done> done_;
  std::map<RequestKey, Error> failed_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerPrefixTest, TakesThePrefixOfAnOwnerThatStillRuns) {
  const auto prefix = some_tokens(320);
  ask(1, prefix, 200);
  while (answers_[1].size() < 5) {
    scheduler().step();
  }
  ask(2, joined(prefix, some_tokens(20, 3)), 1);
  const std::size_t rows = rows_of([&] {
    while (done_.count(2) == 0) {
      scheduler().step();
    }
  });
  EXPECT_EQ(started_[2].cached_tokens, 320U);
  EXPECT_EQ(done_[2].usage.cached_tokens, 320U);
  EXPECT_EQ(done_[2].usage.prompt_tokens, 340U);
  EXPECT_LE(rows, 20U + 2U) << "the tail, and the owner's own tokens";
  EXPECT_EQ(done_.count(1), 0U) << "which goes on";
  run();
  EXPECT_EQ(answers_[1].size(), 200U);
}

TEST_F(SchedulerPrefixTest, KeepsWhatEndedAndComputesTheLastTokenAtLeast) {
  const auto prompt = some_tokens(4 * kBlock);
  ask(1, prompt, 3);
  run();
  EXPECT_EQ(done_[1].usage.cached_tokens, 0U);
  EXPECT_EQ(scheduler().cache().prefixes, 1U);
  EXPECT_EQ(scheduler().cache().tokens, 4 * kBlock);
  ask(2, prompt, 3);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 3 * kBlock) << "one token must be computed";
  EXPECT_EQ(answers_[2], answers_[1]);
  EXPECT_EQ(scheduler().cache().prefixes, 1U) << "the same is not kept twice";
}

TEST_F(SchedulerPrefixTest, AConversationGoesOnWhereItWas) {
  auto prompt = some_tokens(100);
  ask(1, prompt, 60);
  run();
  prompt = joined(joined(prompt, answers_[1]), some_tokens(10, 5));
  const std::size_t rows = rows_of([&] {
    ask(2, prompt, 1);
    run();
  });
  EXPECT_EQ(done_[2].usage.cached_tokens, 128U) << "of 159 that were in the engine";
  EXPECT_EQ(rows, 170U - 128U);
  EXPECT_EQ(scheduler().cache().prefixes, 1U) << "it took the kept one over";
}

TEST_F(SchedulerPrefixTest, NobodyFindsWhatAnotherPrincipalAsked) {
  const auto prompt = some_tokens(200);
  ask(1, prompt, 50, "alice");
  scheduler().step();
  scheduler().step();
  ask(2, prompt, 1, "bob");
  run();
  EXPECT_EQ(started_[2].cached_tokens, 0U);
  EXPECT_EQ(done_[2].usage.cached_tokens, 0U);
  EXPECT_EQ(engine_.computed, 200U + 49U + 200U);
}

TEST_F(SchedulerPrefixTest, IdenticalPrefixesInFlightAreComputedOnce) {
  const auto prefix = some_tokens(512);
  for (RequestKey key = 1; key <= 3; ++key) {
    ask(key, joined(prefix, some_tokens(10, static_cast<std::int32_t>(key))), 1);
  }
  run();
  EXPECT_EQ(engine_.computed, 512U + 3 * 10U);
  EXPECT_EQ(done_[1].usage.cached_tokens, 0U);
  EXPECT_EQ(done_[2].usage.cached_tokens, 512U);
  EXPECT_EQ(done_[3].usage.cached_tokens, 512U);
}

TEST_F(SchedulerPrefixTest, TheWaitEndsWithTheOneThatComputes) {
  const auto prefix = some_tokens(512);
  ask(1, joined(prefix, some_tokens(10, 1)), 1);
  ask(2, joined(prefix, some_tokens(10, 2)), 1);
  scheduler().step();
  scheduler().cancel(1);
  run();
  EXPECT_EQ(done_[1].reason, FinishReason::kCancelled);
  ASSERT_EQ(done_.count(2), 1U);
  EXPECT_EQ(done_[2].usage.cached_tokens, 128U) << "what the first batch held of it";
  EXPECT_EQ(engine_.computed, 512U + 10U);
}

TEST_F(SchedulerPrefixTest, TheUrgentOneReadsAndTheOtherWaits) {
  options_.max_rows = 64;
  const auto prefix = some_tokens(512);
  ask(1, joined(prefix, some_tokens(10, 1)), 1, "p", PriorityClass::kBatch);
  scheduler().step();
  ask(2, joined(prefix, some_tokens(10, 2)), 1, "p", PriorityClass::kInteractive);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 64U);
  EXPECT_EQ(done_[1].usage.cached_tokens, 448U) << "of the other's work";
  EXPECT_EQ(engine_.computed, 512U + 2 * 10U);
}

TEST_F(SchedulerPrefixTest, FailedSequencesAreNotKept) {
  engine_.failing = 2;
  ask(1, some_tokens(200), 5);
  run();
  EXPECT_EQ(failed_.count(1), 1U);
  EXPECT_EQ(scheduler().cache().prefixes, 0U);
  EXPECT_TRUE(engine_.sequences.empty());
  ask(2, some_tokens(200), 5);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 0U);
}

TEST_F(SchedulerPrefixTest, RequestsComeBeforeKeptPrefixes) {
  for (RequestKey key = 1; key <= 3; ++key) {
    ask(key, some_tokens(900, static_cast<std::int32_t>(key)), 1);
    run();
  }
  EXPECT_EQ(scheduler().cache().prefixes, 3U);
  // Whole windows for all that may run: every cell but a few.
  for (RequestKey key = 11; key <= 13; ++key) {
    ask(key, some_tokens(600, static_cast<std::int32_t>(key)), 0);
  }
  run();
  EXPECT_EQ(engine_.no_space, 0U);
  for (RequestKey key = 11; key <= 13; ++key) {
    EXPECT_EQ(answers_[key].size(), 1024U - 600U);
  }
}

// Three requests at once over one prefix of 512 tokens: 512 + 3 * 20 cells, not 3 * 532.
TEST_F(SchedulerPrefixTest, SharedCellsCountOnceWhenRoomIsMade) {
  options_.context_total = 2048;
  const auto kept = some_tokens(600, 7);
  ask(1, kept, 1);
  run();
  const auto prefix = some_tokens(512, 5);
  ask(2, prefix, 1);
  run();
  ASSERT_EQ(scheduler().cache().prefixes, 2U);
  for (RequestKey key = 11; key <= 13; ++key) {
    ask(key, joined(prefix, some_tokens(20, static_cast<std::int32_t>(key))), 1);
  }
  run();
  EXPECT_EQ(done_[12].usage.cached_tokens, 512U);
  ask(21, joined(kept, some_tokens(20, 8)), 1);
  run();
  EXPECT_EQ(done_[21].usage.cached_tokens, 18 * kBlock) << "there was room for it all the time";
}

// Two answers that begin alike but were computed each by itself take cells of their own.
TEST_F(SchedulerPrefixTest, EqualTextThatWasComputedTwiceCountsTwice) {
  const auto prompt = some_tokens(2 * kBlock);
  ask(1, prompt, 100);
  ask(2, prompt, 70);
  while (done_.count(2) == 0) {
    scheduler().step();
    ASSERT_EQ(scheduler().cache().used, engine_.cells().size());
  }
  run();
  EXPECT_EQ(scheduler().cache().used, engine_.cells().size());
  EXPECT_EQ(scheduler().cache().tokens, engine_.cells().size());
}

TEST_F(SchedulerPrefixTest, TheBoundHoldsAndTheLeastUsedGoesFirst) {
  options_.kept_tokens = 10 * kBlock;
  for (RequestKey key = 1; key <= 4; ++key) {
    ask(key, some_tokens(4 * kBlock, static_cast<std::int32_t>(key)), 2);
    run();
    EXPECT_LE(scheduler().cache().tokens, options_.kept_tokens);
    clock_.advance(1min);
  }
  EXPECT_EQ(scheduler().cache().prefixes, 2U);
  ask(14, some_tokens(4 * kBlock, 4), 1);
  ask(11, some_tokens(4 * kBlock, 1), 1);
  run();
  EXPECT_EQ(done_[14].usage.cached_tokens, 3 * kBlock);
  EXPECT_EQ(done_[11].usage.cached_tokens, 0U) << "the oldest is gone";
}

TEST_F(SchedulerPrefixTest, TheDeeperPrefixStaysLonger) {
  options_.kept_tokens = 30 * kBlock;
  ask(1, some_tokens(20 * kBlock, 1), 2);
  run();
  ask(2, some_tokens(5 * kBlock, 2), 2);
  run();
  ask(3, some_tokens(10 * kBlock, 3), 2);
  run();
  // Of equal age, nearly: a token far from the beginning costs more to compute again.
  ask(11, some_tokens(20 * kBlock, 1), 1);
  run();
  EXPECT_EQ(done_[11].usage.cached_tokens, 19 * kBlock);
}

TEST_F(SchedulerPrefixTest, WhoeverWasSentBackFindsItsWork) {
  options_.max_sequences = 1;
  options_.slots = 4;
  ask(1, some_tokens(300), 100, "p", PriorityClass::kBatch);
  while (answers_[1].size() < 40) {
    scheduler().step();
  }
  clock_.advance(5s);
  ask(2, some_tokens(40, 9), 1, "q", PriorityClass::kInteractive);
  const std::size_t rows = rows_of([&] { run(); });
  EXPECT_EQ(done_.count(2), 1U);
  EXPECT_EQ(answers_[1].size(), 100U);
  EXPECT_LT(rows, 40U + 60U + 2 * kBlock) << "no second prefill";
  EXPECT_EQ(done_[1].usage.cached_tokens, 0U) << "its own work is no cache hit";
}

TEST_F(SchedulerPrefixTest, AnEngineThatCannotCopyIsServedAsBefore) {
  engine_.copies = false;
  ask(1, some_tokens(200), 5);
  run();
  ask(2, some_tokens(200), 5);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 0U);
  EXPECT_TRUE(engine_.sequences.empty());
}

TEST_F(SchedulerPrefixTest, ARefusedCopyCostsNothingButTime) {
  ask(1, some_tokens(200), 100);
  scheduler().step();
  scheduler().step();
  engine_.refuse_copies = true;
  ask(2, some_tokens(200), 5);
  run();
  EXPECT_EQ(done_[2].usage.cached_tokens, 0U);
  EXPECT_TRUE(std::equal(answers_[2].begin(), answers_[2].end(), answers_[1].begin()));
}

TEST_F(SchedulerPrefixTest, ARefusedCopyEndsTheCacheAndLeavesNothingKept) {
  ask(1, some_tokens(200), 5);
  run();
  ASSERT_EQ(scheduler().cache().prefixes, 1U);
  engine_.refuse_copies = true;
  ask(2, joined(some_tokens(100), some_tokens(100, 4)), 5);
  run();
  EXPECT_EQ(answers_[2].size(), 5U);
  EXPECT_EQ(scheduler().cache().prefixes, 0U);
  EXPECT_TRUE(engine_.sequences.empty());
}

TEST_F(SchedulerPrefixTest, LessThanABlockIsNotKept) {
  ask(1, some_tokens(10), 2);
  run();
  EXPECT_EQ(scheduler().cache().prefixes, 0U);
  EXPECT_TRUE(engine_.sequences.empty());
}

// Of three prefixes as deep the oldest goes first, whatever short requests came in between.
TEST_F(SchedulerPrefixTest, ShortRequestsDoNotKeepAPrefixYoung) {
  options_.kept_tokens = 8 * kBlock;
  ask(1, some_tokens(4 * kBlock, 1), 2);
  run();
  clock_.advance(1min);
  ask(2, some_tokens(4 * kBlock, 2), 2);
  run();
  clock_.advance(1min);
  ask(3, some_tokens(10), 2);
  run();
  clock_.advance(1min);
  ask(4, some_tokens(4 * kBlock, 3), 2);
  run();
  ask(12, some_tokens(4 * kBlock, 2), 1);
  run();
  EXPECT_EQ(done_[12].usage.cached_tokens, 3 * kBlock);
}

// Random arrivals, cancellations, failures and full memory, with the cache and without: the same
// answers, no sequence lost, and no cell left when all is over.
class SchedulerChurn : public SchedulerPrefixTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  struct Asked {
    std::vector<std::int32_t> prompt;
    std::string principal;
  };

  void churn(bool cache) {
    options_.prefix_cache = cache;
    options_.context_length = 512;
    options_.context_total = 1024;
    options_.slots = 6;
    std::mt19937 random{GetParam()};
    const auto pick = [&random](unsigned below) { return static_cast<unsigned>(random() % below); };
    RequestKey next = 1;
    for (int round = 0; round < 1500; ++round) {
      if (pick(6) == 0) {
        auto prompt = some_tokens(pick(250) + 1, static_cast<std::int32_t>(pick(3)));
        prompt =
            joined(std::move(prompt), some_tokens(pick(40), static_cast<std::int32_t>(pick(5))));
        const std::string principal{pick(4) == 0 ? "q" : "p"};
        const auto priority = static_cast<PriorityClass>(pick(3));
        asked_[next] = {prompt, principal};
        ask(next++, std::move(prompt), pick(3) == 0 ? 0 : pick(80) + 1, principal, priority);
      }
      if (pick(25) == 0 && next > 1) {
        scheduler().cancel(pick(static_cast<unsigned>(next) - 1) + 1);
      }
      if (pick(120) == 0) {
        engine_.failing = 1;
      }
      scheduler().step();
      clock_.advance(std::chrono::milliseconds{pick(200)});
      check();
    }
    run();
  }
  void check() {
    ASSERT_FALSE(scheduler().dead());
    ASSERT_LE(scheduler().running(), options_.max_sequences);
    // Whatever the engine holds belongs to somebody that runs or is kept.
    ASSERT_LE(engine_.sequences.size(), scheduler().running() + scheduler().cache().prefixes);
    ASSERT_LE(engine_.cells().size(), options_.context_total);
    ASSERT_EQ(engine_.cells().size(), scheduler().cache().used);
    for (const auto& [slot, held] : engine_.sequences) {
      ASSERT_LT(slot, options_.slots);
    }
  }

  std::map<RequestKey, Asked> asked_;
};

TEST_P(SchedulerChurn, LosesNothingAndAnswersTheSame) {
  churn(true);
  std::size_t cached = 0;
  for (const auto& [key, done] : done_) {
    cached += done.usage.cached_tokens;
    EXPECT_LT(done.usage.cached_tokens, asked_[key].prompt.size());
    EXPECT_EQ(failed_.count(key), 0U);
  }
  EXPECT_EQ(done_.size() + failed_.size(), asked_.size()) << "each ended once";
  EXPECT_GT(cached, 0U);
  EXPECT_EQ(engine_.no_space, 0U);
  const auto with = std::exchange(answers_, {});
  scheduler_.reset();
  EXPECT_TRUE(engine_.sequences.empty()) << "an unloaded scheduler leaves no cell behind";

  // Each by itself, computed from its first token.
  options_.prefix_cache = false;
  for (const auto& [key, answer] : with) {
    if (answer.empty()) {
      continue;
    }
    done_.clear();
    answers_.clear();
    ask(key, asked_[key].prompt, static_cast<std::uint32_t>(answer.size()));
    run();
    ASSERT_EQ(answers_[key], answer) << "request " << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerChurn, ::testing::Range(1U, 13U));

}  // namespace
}  // namespace skerry::runtime
