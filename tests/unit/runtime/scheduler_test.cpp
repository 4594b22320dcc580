#include "skerry/runtime/scheduler.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "fake_step_engine.hpp"

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() {
    options_.model = Digest::of("m");
    options_.max_sequences = 3;
    options_.context_length = 64;
    options_.context_total = 192;
    options_.vocabulary = test::FakeStepEngine::kVocabulary;
    options_.max_rows = 32;
    options_.shared_rows = 8;
    options_.max_queued = 8;
  }

  Scheduler& scheduler() {
    if (!scheduler_) {
      scheduler_ = std::make_unique<Scheduler>(
          engine_, options_, clock_, [this](RequestKey key, Event event) {
            events_[key].push_back(std::move(event));
          });
    }
    return *scheduler_;
  }

  RequestMeta meta(std::string principal = "p", PriorityClass priority = PriorityClass::kNormal) {
    return {.id = RequestId{"r"},
            .principal = std::move(principal),
            .priority = priority,
            .deadline = std::nullopt,
            .model = options_.model};
  }

  void generate(RequestKey key,
                std::string prompt,
                std::uint32_t max_tokens,
                std::string principal = "p",
                PriorityClass priority = PriorityClass::kNormal) {
    GenerateRequest request;
    request.meta = meta(std::move(principal), priority);
    request.prompt = Prompt{std::move(prompt)};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    scheduler().submit(key, std::move(request));
  }

  void run() {
    for (int i = 0; i < 10'000 && !scheduler().idle(); ++i) {
      scheduler().step();
    }
  }

  std::string text(RequestKey key) {
    std::string all;
    for (const Event& event : events_[key]) {
      if (const auto* delta = std::get_if<TextDelta>(&event)) {
        all += delta->text;
      }
    }
    return all;
  }
  const Done* done(RequestKey key) {
    return events_[key].empty() ? nullptr : std::get_if<Done>(&events_[key].back());
  }
  std::optional<Error::Code> failure(RequestKey key) {
    const auto* failed =
        events_[key].empty() ? nullptr : std::get_if<Failure>(&events_[key].back());
    return failed == nullptr ? std::nullopt : std::optional{failed->error.code()};
  }
  bool started(RequestKey key) {
    return !events_[key].empty() && std::holds_alternative<Started>(events_[key].front());
  }

  test::FakeStepEngine engine_;
  SchedulerOptions options_;
  FakeClock clock_{WallTime{}};
  std::map<RequestKey, std::vector<Event>> events_;
  std::unique_ptr<Scheduler> scheduler_;
};

// The engine would go on through the alphabet.
TEST_F(SchedulerTest, AGrammarWaitsForTheTextThatBeginsIt) {
  GenerateRequest request;
  request.meta = meta();
  request.prompt = Prompt{"a"};
  request.sampling.temperature = 0;
  request.max_tokens = 20;
  request.grammar = "root ::= \"ef\" \"x\"";
  request.grammar_triggers = {"ef"};
  scheduler().submit(1, request);
  request.grammar_triggers.clear();
  request.grammar_starts = {"ef"};
  request.max_tokens = 6;
  scheduler().submit(2, request);
  request.grammar.clear();
  scheduler().submit(3, request);
  run();
  EXPECT_EQ(text(1), "bcdefx");
  EXPECT_EQ(done(1)->reason, FinishReason::kStop);
  EXPECT_EQ(text(2), "bcdefg");
  EXPECT_EQ(failure(3), Error::Code::kInvalidArgument);
}

TEST_F(SchedulerTest, GeneratesUntilTheLimit) {
  generate(1, "A", 3);
  run();
  EXPECT_EQ(text(1), "BCD");
  ASSERT_NE(done(1), nullptr);
  EXPECT_EQ(done(1)->reason, FinishReason::kLength);
  EXPECT_EQ(done(1)->usage.prompt_tokens, 1U);
  EXPECT_EQ(done(1)->usage.completion_tokens, 3U);
  EXPECT_TRUE(engine_.sequences.empty()) << "the engine forgot the sequence";
}

TEST_F(SchedulerTest, EndTokenFinishesAndIsNotPartOfTheText) {
  engine_.end_token = 'D';
  generate(1, "A", 0);
  run();
  EXPECT_EQ(text(1), "BC");
  EXPECT_EQ(done(1)->reason, FinishReason::kStop);
}

TEST_F(SchedulerTest, ContextFullIsLengthAndNeverTruncatesThePrompt) {
  options_.context_length = 8;
  generate(1, "ABCD", 0);
  run();
  EXPECT_EQ(text(1), "EFGH");
  EXPECT_EQ(done(1)->reason, FinishReason::kLength);
  generate(2, "ABCDEFGH", 1);
  EXPECT_EQ(failure(2), Error::Code::kContextTooLong);
}

TEST_F(SchedulerTest, DecodesComeBeforePromptsAndPromptsComeInChunks) {
  generate(1, "A", 20);
  scheduler().step();
  generate(2, std::string(20, 'a'), 1);
  engine_.batches.clear();
  run();
  ASSERT_GE(engine_.batches.size(), 3U);
  for (const auto& batch : engine_.batches) {
    if (batch.size() > 1) {
      EXPECT_EQ(batch[0].sequence, 0U) << "the row that generates leads";
      EXPECT_LE(batch.size(), options_.shared_rows);
    }
  }
  EXPECT_EQ(text(1).size(), 20U);
  EXPECT_EQ(text(2), "b");
}

TEST_F(SchedulerTest, LonePromptUsesTheWholeBatch) {
  generate(1, std::string(40, 'a'), 1);
  run();
  ASSERT_EQ(engine_.batches.size(), 2U);
  EXPECT_EQ(engine_.batches[0].size(), 32U);
  EXPECT_EQ(engine_.batches[1].size(), 8U);
  EXPECT_EQ(engine_.batches[1].back().want, Want::kLogits);
  EXPECT_EQ(engine_.batches[0].back().want, Want::kNothing);
}

TEST_F(SchedulerTest, SequencesShareBatches) {
  generate(1, "A", 4);
  generate(2, "a", 4);
  generate(3, "1", 4);
  run();
  EXPECT_EQ(engine_.batches.size(), 4U) << "one prompt batch and three of decoding";
  EXPECT_EQ(text(1), "BCDE");
  EXPECT_EQ(text(2), "bcde");
  EXPECT_EQ(text(3), "2345");
}

TEST_F(SchedulerTest, SlotsAreReusedSmallestFirst) {
  generate(1, "A", 1);
  run();
  generate(2, "A", 1);
  run();
  EXPECT_EQ(engine_.batches.back()[0].sequence, 0U);
}

TEST_F(SchedulerTest, CancelWorksWhileWaitingWhilePrefillingAndWhileGenerating) {
  options_.max_sequences = 1;
  options_.max_rows = 4;
  generate(1, std::string(16, 'a'), 20);
  generate(2, "A", 1);
  scheduler().step();
  scheduler().cancel(2);
  scheduler().step();
  EXPECT_EQ(failure(2), Error::Code::kCancelled);
  scheduler().cancel(1);
  const std::size_t batches = engine_.batches.size();
  scheduler().step();
  EXPECT_EQ(engine_.batches.size(), batches) << "not one chunk more";
  ASSERT_NE(done(1), nullptr);
  EXPECT_EQ(done(1)->reason, FinishReason::kCancelled);
  EXPECT_TRUE(scheduler().idle());

  generate(3, "A", 20);
  scheduler().step();
  scheduler().step();
  scheduler().cancel(3);
  scheduler().step();
  EXPECT_EQ(text(3), "BC");
  EXPECT_EQ(done(3)->reason, FinishReason::kCancelled);
  scheduler().cancel(3);  // unknown by now
}

TEST_F(SchedulerTest, DeadlineEndsWaitingAndRunning) {
  options_.max_sequences = 1;
  GenerateRequest request;
  request.meta = meta();
  request.meta.deadline = clock_.boot_now() + 1s;
  request.prompt = Prompt{"A"};
  scheduler().submit(1, request);
  scheduler().submit(2, request);
  scheduler().step();
  clock_.advance(2s);
  scheduler().step();
  EXPECT_EQ(failure(1), Error::Code::kDeadlineExceeded);
  EXPECT_EQ(failure(2), Error::Code::kDeadlineExceeded);
  EXPECT_TRUE(started(1));
  EXPECT_FALSE(started(2));
  EXPECT_TRUE(scheduler().idle());
}

TEST_F(SchedulerTest, HigherClassStartsFirst) {
  options_.max_sequences = 1;
  generate(1, "A", 1, "p", PriorityClass::kBatch);
  generate(2, "A", 1, "p", PriorityClass::kNormal);
  generate(3, "A", 1, "p", PriorityClass::kInteractive);
  scheduler().step();
  EXPECT_TRUE(started(3));
  EXPECT_FALSE(started(2));
  scheduler().step();
  EXPECT_TRUE(started(2));
  EXPECT_FALSE(started(1));
  run();
  EXPECT_NE(done(1), nullptr);
}

TEST_F(SchedulerTest, PrincipalsTakeTurns) {
  options_.max_sequences = 1;
  generate(1, "A", 1, "greedy");
  generate(2, "A", 1, "greedy");
  generate(3, "A", 1, "greedy");
  generate(4, "A", 1, "modest");
  std::vector<RequestKey> order;
  while (!scheduler().idle()) {
    scheduler().step();
    for (RequestKey key = 1; key <= 4; ++key) {
      if (started(key) && std::find(order.begin(), order.end(), key) == order.end()) {
        order.push_back(key);
      }
    }
  }
  EXPECT_EQ(order, (std::vector<RequestKey>{1, 4, 2, 3}));
}

TEST_F(SchedulerTest, QueueIsBounded) {
  options_.max_sequences = 1;
  options_.max_queued = 2;
  generate(1, "A", 5);
  scheduler().step();
  generate(2, "A", 1);
  generate(3, "A", 1);
  generate(4, "A", 1);
  EXPECT_EQ(failure(4), Error::Code::kQueueFull);
  EXPECT_TRUE(std::get<Failure>(events_[4].back()).retryable);
}

TEST_F(SchedulerTest, ContextIsReservedBeforeStarting) {
  options_.context_total = 64;
  generate(1, "A", 40);
  generate(2, "A", 40);
  scheduler().step();
  EXPECT_TRUE(started(1));
  EXPECT_FALSE(started(2)) << "both would not fit";
  run();
  EXPECT_EQ(text(2).size(), 40U);
}

TEST_F(SchedulerTest, FailingSequenceFailsAlone) {
  engine_.poisoned.insert('x');
  generate(1, "A", 3);
  generate(2, "x", 3);
  generate(3, "a", 3);
  run();
  EXPECT_EQ(text(1), "BCD");
  EXPECT_EQ(text(3), "bcd");
  EXPECT_EQ(failure(2), Error::Code::kInternal);
  EXPECT_FALSE(scheduler().dead());
}

TEST_F(SchedulerTest, InterruptedBatchIsComputedAgain) {
  generate(1, "A", 2);
  engine_.next_outcome = {DecodeStatus::kCancelled, "", false};
  run();
  EXPECT_EQ(text(1), "BC");
}

TEST_F(SchedulerTest, NoSpaceForOneFailsThatOne) {
  generate(1, "A", 2);
  engine_.next_outcome = {DecodeStatus::kNoSpace, "full", false};
  run();
  EXPECT_EQ(failure(1), Error::Code::kResourceExhausted);
}

TEST_F(SchedulerTest, DeadEngineFailsEverything) {
  options_.max_sequences = 1;
  generate(1, "A", 2);
  generate(2, "A", 2);
  engine_.next_outcome = {DecodeStatus::kDead, "boom", true};
  scheduler().step();
  EXPECT_EQ(failure(1), Error::Code::kOutOfMemory);
  EXPECT_EQ(failure(2), Error::Code::kOutOfMemory);
  EXPECT_TRUE(scheduler().dead());
  generate(3, "A", 2);
  EXPECT_EQ(failure(3), Error::Code::kWorkerLost);
}

TEST_F(SchedulerTest, EmbeddingsAndLogitsNeverShareABatch) {
  generate(1, "A", 6);
  EmbedRequest request;
  request.meta = meta();
  request.texts = {"abc", "d"};
  scheduler().submit(2, std::move(request));
  run();
  for (const auto& batch : engine_.batches) {
    const bool embeds = batch.front().want == Want::kEmbedding;
    for (const Row& row : batch) {
      EXPECT_EQ(row.want == Want::kEmbedding, embeds);
    }
  }
  EXPECT_EQ(text(1).size(), 6U);
  const auto& embeddings = std::get<Embeddings>(events_[2].at(1));
  ASSERT_EQ(embeddings.vectors.size(), 2U);
  // Mean of (97, 98, 99) and 1, then of length 1.
  EXPECT_NEAR(embeddings.vectors[0][0] / embeddings.vectors[0][1], 98.0, 1e-3);
  EXPECT_NEAR(embeddings.vectors[1][0] / embeddings.vectors[1][1], 100.0, 1e-3);
}

TEST_F(SchedulerTest, RanksEachDocumentByItsLastRow) {
  options_.can_rank = true;
  engine_.relevance = 0.25F;
  EmbedRequest request;
  request.meta = meta();
  request.query = "q";
  request.texts = {"abc", "", std::string(20, 'd')};
  scheduler().submit(1, request);
  run();
  ASSERT_NE(done(1), nullptr);
  EXPECT_EQ(done(1)->usage.prompt_tokens, 5U + 2U + 22U);
  const auto& found = std::get<Embeddings>(events_[1].at(1));
  EXPECT_EQ(found.vectors, (std::vector<std::vector<float>>{{0.25F}, {0.25F}, {0.25F}}));
  std::size_t wanted = 0;
  for (const auto& batch : engine_.batches) {
    for (const Row& row : batch) {
      wanted += row.want == Want::kEmbedding ? 1 : 0;
      EXPECT_NE(row.want, Want::kLogits);
    }
  }
  EXPECT_EQ(wanted, 3U);
  // Beyond what it is by definition, and nothing at all.
  engine_.relevance = 1.5F;
  scheduler().submit(2, request);
  run();
  EXPECT_EQ(std::get<Embeddings>(events_[2].at(1)).vectors[0], std::vector<float>{1.0F});
  engine_.relevance = std::numeric_limits<float>::quiet_NaN();
  scheduler().submit(3, request);
  run();
  EXPECT_EQ(failure(3), Error::Code::kInternal);
}

TEST_F(SchedulerTest, OnlyAModelThatRanksRanks) {
  EmbedRequest request;
  request.meta = meta();
  request.query = "q";
  request.texts = {"abc"};
  scheduler().submit(1, request);
  EXPECT_EQ(failure(1), Error::Code::kUnimplemented);
}

TEST_F(SchedulerTest, ScoresEveryTokenAcrossChunks) {
  ScoreRequest request;
  request.meta = meta();
  std::string prompt;
  for (char c = 'A'; c < 'A' + 20; ++c) {
    prompt += c;
  }
  request.prompt = Prompt{prompt};
  request.top = 1;
  scheduler().submit(1, std::move(request));
  run();
  EXPECT_GE(engine_.batches.size(), 3U);
  const auto& scores = std::get<Scores>(events_[1].at(1)).tokens;
  ASSERT_EQ(scores.size(), 20U);
  for (std::size_t i = 1; i < scores.size(); ++i) {
    EXPECT_GT(scores[i].log_prob, -0.01F) << "each letter follows the one before";
    EXPECT_EQ(scores[i].top.at(0).first, scores[i].token);
  }
}

TEST_F(SchedulerTest, TokenizeAnswersAtOnce) {
  TokenizeRequest request;
  request.meta = meta();
  request.input = PromptTokens{{'h', 'i'}};
  scheduler().submit(1, std::move(request));
  EXPECT_EQ(std::get<Tokens>(events_[1].at(0)).text, "hi");
  EXPECT_NE(done(1), nullptr);
}

TEST_F(SchedulerTest, BadRequestsAreNamed) {
  GenerateRequest request;
  request.meta = meta();
  request.prompt = Prompt{""};
  scheduler().submit(1, request);
  EXPECT_EQ(failure(1), Error::Code::kInvalidArgument);
  request.prompt = PromptTokens{{5, 999}};
  scheduler().submit(2, request);
  EXPECT_EQ(failure(2), Error::Code::kInvalidArgument);
  request.prompt = Prompt{"A"};
  request.stop = {""};
  scheduler().submit(3, request);
  EXPECT_EQ(failure(3), Error::Code::kInvalidArgument);
  request.stop.clear();
  request.sampling.top_p = 7;
  scheduler().submit(4, request);
  EXPECT_EQ(failure(4), Error::Code::kInvalidArgument);
  request.sampling = {};
  request.meta.model = Digest::of("other");
  scheduler().submit(5, request);
  EXPECT_EQ(failure(5), Error::Code::kInvalidArgument);
  InferRequest infer;
  infer.meta = meta();
  scheduler().submit(6, std::move(infer));
  EXPECT_EQ(failure(6), Error::Code::kUnimplemented);
  EXPECT_TRUE(scheduler().idle());
}

TEST_F(SchedulerTest, WholeSequenceModelsComputeAPromptInOneBatch) {
  options_.whole_sequence = true;
  options_.can_generate = false;
  EmbedRequest request;
  request.meta = meta();
  request.texts = {std::string(20, 'a'), std::string(33, 'a')};
  scheduler().submit(1, request);
  EXPECT_EQ(failure(1), Error::Code::kContextTooLong) << "longer than a batch";
  request.texts.pop_back();
  scheduler().submit(2, request);
  run();
  EXPECT_NE(done(2), nullptr);
  generate(3, "A", 1);
  EXPECT_EQ(failure(3), Error::Code::kUnimplemented);
}

}  // namespace
}  // namespace skerry::runtime
