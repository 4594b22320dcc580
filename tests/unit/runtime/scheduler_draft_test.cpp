// Guesses change how fast an answer comes and never what it says.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/runtime/scheduler.hpp"

#include "cell_engine.hpp"

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;
using Tokens = std::vector<std::int32_t>;

std::uint32_t mix(const Tokens& tokens) {
  std::uint32_t mixed = 17;
  for (const std::int32_t token : tokens) {
    mixed = mixed * 31 + static_cast<std::uint32_t>(token) + 1;
  }
  return mixed ^ (mixed >> 15U);
}

// Says again what it said seven tokens ago, but for one token in sixteen, which depends on all
// before it: whatever a wrong guess left behind would show.
std::int32_t quote(const Tokens& tokens) {
  const std::uint32_t mixed = mix(tokens);
  if (tokens.size() < 7 || mixed % 16 == 0) {
    return static_cast<std::int32_t>(mixed / 16 % test::CellEngine::kVocabulary);
  }
  return tokens[tokens.size() - 7];
}

// Three tokens agree all the time, and nothing follows from them.
std::int32_t babble(const Tokens& tokens) {
  return static_cast<std::int32_t>(mix(tokens) % 4);
}

// Goes on from the last three tokens of `some_text` as it went on after its first three.
constexpr std::size_t kText = 300;
Tokens some_text() {
  Tokens text;
  for (std::int32_t i = 0; text.size() < kText; ++i) {
    text.push_back(i * i % 89);
  }
  text.insert(text.end(), {text[0], text[1], text[2]});
  return text;
}
std::int32_t recite(const Tokens& tokens) {
  return tokens[tokens.size() - kText];
}

// As llama.cpp was measured (field notes on serving): three rows cost more than four.
std::chrono::nanoseconds measured(std::size_t rows) {
  constexpr std::chrono::milliseconds kTimes[] = {0ms, 20ms, 33ms, 43ms, 37ms};
  return rows <= 4 ? kTimes[rows] : 37ms + 8ms * static_cast<std::int64_t>(rows - 4);
}

// One scheduler, one engine, one clock.
class Served {
 public:
  explicit Served(bool drafting) {
    engine.trims = true;
    engine.says = quote;
    engine.on_decode = [this](std::size_t rows) {
      most_rows = std::max(most_rows, rows);
      clock.advance(measured(rows));
    };
    options.model = Digest::of("m");
    options.max_sequences = 4;
    options.slots = 6;
    options.drafting = drafting;
    options.context_length = 4096;
    options.context_total = 4 * 4096;
    options.vocabulary = test::CellEngine::kVocabulary;
  }

  void ask(RequestKey key, Tokens prompt, std::uint32_t tokens, const GenerateRequest& like = {}) {
    if (!scheduler) {
      scheduler = std::make_unique<Scheduler>(
          engine, options, clock, [this](RequestKey of, Event event) { take(of, event); });
    }
    GenerateRequest request = like;
    request.meta = {.id = RequestId{"r"},
                    .principal = "p",
                    .priority = PriorityClass::kNormal,
                    .deadline = std::nullopt,
                    .model = options.model};
    request.prompt = PromptTokens{std::move(prompt)};
    request.max_tokens = tokens;
    scheduler->submit(key, std::move(request));
  }
  void take(RequestKey key, const Event& event) {
    if (const auto* delta = std::get_if<TextDelta>(&event)) {
      answers[key].insert(answers[key].end(), delta->tokens.begin(), delta->tokens.end());
      for (const TokenLogProb& one : delta->log_probs) {
        log_probs[key].push_back(one.chosen.log_prob);
      }
    } else if (const auto* ended = std::get_if<Done>(&event)) {
      done[key] = *ended;
      accepted += ended->usage.accepted_tokens;
    } else if (const auto* failed = std::get_if<Failure>(&event)) {
      ADD_FAILURE() << failed->error.to_string();
    }
  }
  void run(std::size_t steps = 100'000) {
    while (steps-- > 0 && !scheduler->idle()) {
      scheduler->step();
    }
  }

  test::CellEngine engine{4 * 4096};
  SchedulerOptions options;
  FakeClock clock{WallTime{}};
  std::unique_ptr<Scheduler> scheduler;
  std::map<RequestKey, Tokens> answers;
  std::map<RequestKey, std::vector<float>> log_probs;
  std::map<RequestKey, Done> done;
  std::size_t accepted = 0;
  std::size_t most_rows = 0;
};

GenerateRequest greedy() {
  GenerateRequest request;
  request.sampling.temperature = 0;
  return request;
}

TEST(SchedulerDraft, AnAnswerThatRepeatsComesSooner) {
  Served with{true};
  Served without{false};
  for (Served* one : {&with, &without}) {
    one->ask(1, {1, 2, 3}, 600, greedy());
    one->run();
  }
  EXPECT_EQ(with.answers, without.answers);
  EXPECT_EQ(with.answers[1].size(), 600U);
  const Usage& usage = with.done[1].usage;
  EXPECT_GT(usage.drafts, 0U);
  EXPECT_GT(usage.accepted_tokens, 150U);
  EXPECT_LE(usage.accepted_tokens, usage.draft_tokens);
  EXPECT_EQ(usage.completion_tokens, 600U);
  EXPECT_LT(with.clock.boot_now(), without.clock.boot_now() * 8 / 10);
  EXPECT_EQ(without.done[1].usage.drafts, 0U);
  EXPECT_EQ(with.engine.computed, 3 + 599 + usage.draft_tokens - usage.accepted_tokens);
}

TEST(SchedulerDraft, OfATextInThePromptItQuotes) {
  Served with{true};
  const Tokens prompt = some_text();
  with.engine.says = recite;
  with.ask(1, prompt, 250, greedy());
  with.run();
  EXPECT_EQ(with.answers[1], Tokens(prompt.begin() + 3, prompt.begin() + 253));
  EXPECT_GT(with.accepted, 100U);
}

TEST(SchedulerDraft, RandomRequestsGetTheSameAnswers) {
  std::size_t accepted = 0;
  for (std::uint32_t round = 0; round < 12; ++round) {
    Served with{true};
    Served without{false};
    for (Served* one : {&with, &without}) {
      one->options.prefix_cache = round % 2 == 0;
      for (std::uint32_t i = 0; i < 7; ++i) {
        GenerateRequest like;
        like.sampling.temperature = i % 3 == 0 ? 0.0F : 1.2F;
        like.sampling.seed = round * 100 + i;
        like.sampling.repeat_penalty = i % 4 == 1 ? 1.1F : 1.0F;
        like.sampling.frequency_penalty = i % 4 == 2 ? 0.2F : 0.0F;
        like.log_probs = 2;
        // Some begin alike, as far as blocks that are shared.
        Tokens prompt(100 + i, static_cast<std::int32_t>(i % 2));
        one->ask(i, std::move(prompt), 40 + 30 * i, like);
        one->run(round * 3);
      }
      one->run();
      EXPECT_TRUE(one->scheduler->idle());
      EXPECT_LE(one->most_rows, one->options.max_rows);
    }
    EXPECT_EQ(with.answers, without.answers) << "round " << round;
    EXPECT_EQ(with.log_probs, without.log_probs) << "round " << round;
    accepted += with.accepted;
  }
  EXPECT_GT(accepted, 100U);
}

TEST(SchedulerDraft, AGrammarIsFollowed) {
  Served with{true};
  Served without{false};
  GenerateRequest like = greedy();
  // Pieces are ' ' and the characters after it.
  like.grammar = "root ::= (\"[\" [a-h]+ \"] \")+";
  for (Served* one : {&with, &without}) {
    one->ask(1, {5, 6, 7}, 400, like);
    like.sampling.temperature = 0.9F;
    like.sampling.seed = 3;
    one->ask(2, {5, 6, 7}, 400, like);
    like.sampling.temperature = 0;
    one->run();
  }
  EXPECT_EQ(with.answers, without.answers);
  EXPECT_EQ(with.answers[1].size(), 400U);
  EXPECT_GT(with.accepted, 0U);
}

TEST(SchedulerDraft, AStopStringInTheMiddleOfAGuessEndsTheAnswer) {
  Served with{true};
  Served without{false};
  for (Served* one : {&with, &without}) {
    one->engine.says = recite;
    Tokens prompt = some_text();
    prompt[200] = 89;
    GenerateRequest like = greedy();
    like.stop = {std::string(1, ' ' + 89)};
    one->options.prefix_cache = true;
    one->ask(1, prompt, 2000, like);
    one->run();
    // What it leaves behind is right as well.
    Tokens next = prompt;
    next.insert(next.end(), one->answers[1].begin(), one->answers[1].end());
    one->engine.says = quote;
    one->ask(2, next, 60, greedy());
    one->run();
  }
  EXPECT_EQ(with.answers, without.answers);
  EXPECT_EQ(with.done[1].reason, FinishReason::kStop);
  EXPECT_GT(with.done[1].usage.accepted_tokens, 0U);
  EXPECT_EQ(with.done[2].usage.cached_tokens, without.done[2].usage.cached_tokens);
}

TEST(SchedulerDraft, CostsNextToNothingWhereItDoesNotPay) {
  Served with{true};
  Served without{false};
  for (Served* one : {&with, &without}) {
    one->engine.says = babble;
    for (RequestKey key = 0; key < 4; ++key) {
      one->ask(key, {static_cast<std::int32_t>(key)}, 500, greedy());
      one->run();
    }
  }
  EXPECT_EQ(with.answers, without.answers);
  EXPECT_LT(with.clock.boot_now(), without.clock.boot_now() * 102 / 100);
}

TEST(SchedulerDraft, NoBatchTakesLongerThanOthersMayWait) {
  Served with{true};
  with.options.inter_token_target = 25ms;
  with.ask(1, {1, 2, 3}, 300, greedy());
  with.run();
  EXPECT_EQ(with.done[1].usage.drafts, 0U) << "two rows take 33 ms";
}

TEST(SchedulerDraft, NothingIsGuessedWhilePromptsAreRead) {
  Served with{true};
  with.ask(1, {1, 2, 3}, 2000, greedy());
  with.run(300);
  with.ask(2, Tokens(2000, 1), 1, greedy());
  std::size_t reading = 0;
  while (!with.done.contains(2)) {
    with.scheduler->step();
    const BatchFacts& batch = with.scheduler->last_batch();
    reading += batch.rows > batch.generating ? 1 : 0;
    EXPECT_TRUE(batch.rows == batch.generating || batch.drafted == 0);
  }
  EXPECT_GT(reading, 5U);
  with.run();
  EXPECT_GT(with.accepted, 0U);
}

TEST(SchedulerDraft, NobodyFailsForAGuess) {
  Served with{true};
  Served without{false};
  int failures = 0;
  with.engine.on_decode = [&](std::size_t rows) {
    with.clock.advance(measured(rows));
    // The next batch fails; it has guesses, as this one.
    if (rows > 4 && failures < 5) {
      ++failures;
      with.engine.failing = 1;
    }
  };
  for (Served* one : {&with, &without}) {
    one->engine.says = [](const Tokens& tokens) {
      return static_cast<std::int32_t>(tokens.size() % 9);
    };
    one->ask(1, {1, 2, 3}, 400, greedy());
    one->run();
  }
  EXPECT_EQ(failures, 5);
  EXPECT_EQ(with.answers, without.answers);
}

TEST(SchedulerDraft, OffWithoutAnEngineThatTakesTokensBack) {
  Served with{true};
  with.engine.trims = false;
  with.ask(1, {1, 2, 3}, 200, greedy());
  with.run();
  EXPECT_EQ(with.done[1].usage.drafts, 0U);
}

}  // namespace
}  // namespace skerry::runtime
