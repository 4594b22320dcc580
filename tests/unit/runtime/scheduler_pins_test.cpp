// Pinned prompts: when they are computed, for whom, what stays private, who has to go for whom.

#include <map>

#include <gtest/gtest.h>

#include "skerry/runtime/scheduler.hpp"

#include "cell_engine.hpp"
#include "prefix_chain.hpp"

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

// Letters that are tokens of the engine.
std::string some_text(std::size_t size, int salt = 0) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += static_cast<char>('A' + (static_cast<int>(i % 23) * 7 + salt) % 26);
  }
  return text;
}

std::vector<std::int32_t> tokens_of(const std::string& text) {
  return {text.begin(), text.end()};
}

class SchedulerPinsTest : public ::testing::Test {
 protected:
  SchedulerPinsTest() {
    options_.model = Digest::of("m");
    options_.max_sequences = 2;
    options_.slots = 4;
    options_.prefix_cache = true;
    options_.context_length = 1024;
    options_.context_total = 2 * 1024;
    options_.vocabulary = test::CellEngine::kVocabulary;
    options_.max_rows = 128;
    options_.shared_rows = 64;
    options_.max_queued = 100;
    engine_.whole_chats = true;
    engine_.on_decode = [this](std::size_t rows) {
      clock_.advance(1ms * static_cast<std::int64_t>(rows));
    };
  }
  Scheduler& scheduler() {
    if (!scheduler_) {
      scheduler_ = std::make_unique<Scheduler>(
          engine_, options_, clock_, [this](RequestKey key, Event event) {
            if (const auto* done = std::get_if<Done>(&event)) {
              done_[key] = *done;
            } else if (const auto* failed = std::get_if<Failure>(&event)) {
              ADD_FAILURE() << key << ": " << failed->error.to_string();
            }
          });
    }
    return *scheduler_;
  }
  void pin(const std::vector<std::string>& texts) {
    std::vector<PinnedPrompt> prompts;
    for (const std::string& text : texts) {
      prompts.push_back(
          {.name = "p" + std::to_string(prompts.size()), .messages = {{"system", text}}});
    }
    scheduler().pin(prompts);
  }
  void ask(RequestKey key,
           const std::string& text,
           std::string principal = "p",
           std::uint32_t max_tokens = 2) {
    GenerateRequest request;
    request.meta = {.id = RequestId{"r"},
                    .principal = std::move(principal),
                    .priority = PriorityClass::kNormal,
                    .deadline = std::nullopt,
                    .model = options_.model};
    request.prompt = PromptTokens{tokens_of(text)};
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    scheduler().submit(key, std::move(request));
  }
  void run() {
    for (int i = 0; i < 10'000 && !scheduler().idle(); ++i) {
      scheduler().step();
    }
    EXPECT_TRUE(scheduler().idle());
  }
  std::uint32_t answer(RequestKey key, const std::string& text, std::string principal = "p") {
    ask(key, text, std::move(principal));
    run();
    return done_[key].usage.cached_tokens;
  }
  // Nobody asks for a while.
  void rest() {
    clock_.advance(1s);
    while (scheduler().step()) {
    }
  }
  PinState state(std::size_t index = 0) { return scheduler().pinned().at(index).state; }

  test::CellEngine engine_{2 * 1024};
  SchedulerOptions options_;
  FakeClock clock_{WallTime{}};
  std::map<RequestKey, Done> done_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerPinsTest, ComputedWhileNobodyAsksAndSharedByAll) {
  const std::string text = some_text(300);
  pin({text});
  EXPECT_EQ(state(), PinState::kWaiting);
  EXPECT_FALSE(scheduler().step()) << "whoever loaded the model may ask at once";
  EXPECT_TRUE(scheduler().rests_until());
  rest();
  EXPECT_EQ(state(), PinState::kReady);
  EXPECT_EQ(scheduler().pinned()[0].tokens, 288U) << "whole blocks";
  EXPECT_EQ(engine_.computed, 288U);
  EXPECT_EQ(answer(1, text + "HELLO", "p"), 288U);
  EXPECT_EQ(answer(2, text + "OTHERS", "q"), 288U);
  const auto changes = scheduler().pin_changes();
  rest();
  EXPECT_EQ(scheduler().pin_changes(), changes) << "nothing is left to do";
}

TEST_F(SchedulerPinsTest, WhatFollowsStaysPrivate) {
  const std::string text = some_text(320);
  const std::string secret = text + some_text(200, 5);
  pin({text});
  rest();
  EXPECT_EQ(answer(1, secret, "p"), 320U);
  EXPECT_EQ(answer(2, secret, "q"), 320U) << "what p said is p's";
  EXPECT_GT(answer(3, secret, "p"), 320U);
}

TEST_F(SchedulerPinsTest, RequestsGoFirstAndWhatTheyComputeIsTaken) {
  const std::string text = some_text(320);
  pin({text});
  ask(1, text + some_text(40, 3), "p", 50);
  scheduler().step();
  while (!scheduler().idle() && state() == PinState::kWaiting) {
    scheduler().step();
  }
  EXPECT_EQ(state(), PinState::kReady);
  run();
  EXPECT_EQ(engine_.computed, 360U + 49U) << "it was copied, not computed";
  EXPECT_EQ(answer(2, text + "Q", "q"), 320U);
}

TEST_F(SchedulerPinsTest, OrdinaryPrefixesGoBeforeIt) {
  options_.kept_tokens = 400;
  const std::string text = some_text(320);
  pin({text});
  rest();
  for (RequestKey key = 1; key <= 12; ++key) {
    answer(key, some_text(200, static_cast<int>(key)), "p");
  }
  EXPECT_EQ(state(), PinState::kReady);
  EXPECT_EQ(answer(20, text + "Q", "q"), 320U);
}

TEST_F(SchedulerPinsTest, RequestsThatNeedTheCellsTakeThemAndItComesBack) {
  const std::string text = some_text(320);
  pin({text});
  rest();
  // Two that together fill the engine.
  ask(1, some_text(1000, 1), "p", 20);
  ask(2, some_text(1000, 2), "q", 20);
  run();
  EXPECT_EQ(state(), PinState::kWaiting);
  rest();
  EXPECT_EQ(state(), PinState::kReady);
  EXPECT_EQ(answer(3, text + "Q", "q"), 320U);
}

TEST_F(SchedulerPinsTest, WhatIsWrongWithOneStopsNothing) {
  pin({some_text(2000), some_text(20), some_text(700), some_text(600, 9), some_text(320, 4)});
  rest();
  EXPECT_EQ(state(0), PinState::kFailed);
  EXPECT_NE(scheduler().pinned()[0].problem.find("2000 tokens"), std::string::npos);
  EXPECT_EQ(state(1), PinState::kFailed);
  EXPECT_EQ(state(2), PinState::kReady);
  EXPECT_EQ(state(3), PinState::kFailed) << "half of the cells is the most";
  EXPECT_EQ(state(4), PinState::kReady);
  EXPECT_EQ(answer(1, some_text(320, 4) + "Q"), 320U);
}

TEST_F(SchedulerPinsTest, OneMayBeginAnother) {
  const std::string text = some_text(320);
  pin({text, text + some_text(160, 7)});
  rest();
  EXPECT_EQ(state(0), PinState::kReady);
  EXPECT_EQ(state(1), PinState::kReady);
  EXPECT_EQ(engine_.computed, 480U);
  EXPECT_EQ(answer(1, text + some_text(160, 7) + "Q"), 480U);
  EXPECT_EQ(answer(2, text + some_text(160, 8) + "Q"), 320U);
}

TEST_F(SchedulerPinsTest, WithoutACacheNothingIsPinned) {
  options_.prefix_cache = false;
  pin({some_text(320)});
  rest();
  EXPECT_EQ(state(), PinState::kFailed);
  EXPECT_EQ(engine_.computed, 0U);
}

TEST(PublicBlocksTest, ThePrincipalComesInWhereThePinnedPartEnds) {
  const auto tokens = tokens_of(some_text(256));
  const auto blocks = std::make_shared<PublicBlocks>(Digest::of("m"));
  blocks->add(std::span{tokens}.first(96));
  const auto chain = [&](std::string_view scope) {
    PrefixChain made{Digest::of("m"), scope, blocks};
    made.extend(tokens);
    return made;
  };
  EXPECT_EQ(chain("p").common(chain("q")), 96U);
  EXPECT_EQ(chain("p").common(chain("p")), 256U);
  // Grown or cut, the names are the same.
  PrefixChain grown{Digest::of("m"), "p", blocks};
  grown.extend(std::span{tokens}.first(200));
  grown.cut(64);
  grown.extend(tokens);
  EXPECT_EQ(grown.common(chain("p")), 256U);
  EXPECT_EQ(grown.common(chain("q")), 96U);
  // Prompts that begin otherwise are as they would be without.
  const auto other = tokens_of(some_text(128, 3));
  PrefixChain with{Digest::of("m"), "p", blocks};
  with.extend(other);
  PrefixChain without{Digest::of("m"), "p"};
  without.extend(other);
  EXPECT_EQ(with.common(without), 128U);
}

}  // namespace
}  // namespace skerry::runtime
