// Which tokens may come next, and answers of the scheduler that follow a grammar.
#include "constraint.hpp"

#include <cmath>
#include <new>
#include <random>

#include <gtest/gtest.h>

#include "skerry/runtime/scheduler.hpp"

#include "fake_step_engine.hpp"

namespace skerry::runtime {
namespace {

// A vocabulary of given pieces; the last one ends an answer.
class PieceEngine : public test::FakeStepEngine {
 public:
  explicit PieceEngine(std::vector<std::string> the_pieces) : pieces(std::move(the_pieces)) {}
  Result<std::string> piece(std::int32_t token) override {
    return pieces[static_cast<std::size_t>(token)];
  }
  bool is_end(std::int32_t token) override {
    return static_cast<std::size_t>(token) + 1 == pieces.size();
  }
  std::vector<std::string> pieces;
};

std::vector<std::string> random_pieces(std::uint32_t seed) {
  std::mt19937 random{seed};
  constexpr std::string_view kLetters = "ab\"{},:01 ";
  std::vector<std::string> pieces{"", "\xc3", "\xa9", "é", "null", "\"a\":"};
  for (int i = 0; i < 400; ++i) {
    std::string piece;
    for (auto n = 1 + random() % 5; n > 0; --n) {
      piece += kLetters[random() % kLetters.size()];
    }
    pieces.push_back(piece);
  }
  pieces.emplace_back("</s>");
  return pieces;
}

TEST(ConstraintTest, OneWalkFindsWhatEachTokenAloneWouldBeTold) {
  const char* const grammars[] = {
      "root ::= [ab]* [01]+",
      "root ::= obj\nobj ::= \"{\" (pair (\",\" pair)*)? \"}\"\npair ::= \"\\\"\" [ab]+ \"\\\":\" "
      "(obj | [0-9]+ | \"null\" | \"\\\"é\\\"\")",
      "root ::= .{3,9}",
  };
  for (const char* const grammar : grammars) {
    for (std::uint32_t seed = 1; seed < 6; ++seed) {
      PieceEngine engine{random_pieces(seed)};
      auto vocabulary = Vocabulary::read(engine, static_cast<std::uint32_t>(engine.pieces.size()));
      ASSERT_TRUE(vocabulary);
      auto constraint = Constraint::make(grammar, *vocabulary);
      ASSERT_TRUE(constraint) << constraint.error().message();
      std::mt19937 random{seed};
      for (int step = 0; step < 12; ++step) {
        auto all = (*constraint)->allowed();
        ASSERT_TRUE(all);
        const std::vector<std::uint8_t> mask{all->begin(), all->end()};
        std::vector<std::int32_t> open;
        for (std::int32_t token = 0; static_cast<std::size_t>(token) < mask.size(); ++token) {
          const bool may = (*constraint)->allows(token).value_or(false);
          ASSERT_EQ(may, mask[static_cast<std::size_t>(token)] != 0)
              << engine.pieces[static_cast<std::size_t>(token)];
          if (may && !engine.is_end(token)) {
            open.push_back(token);
          }
        }
        if (open.empty()) {
          break;
        }
        ASSERT_TRUE((*constraint)->accept(open[random() % open.size()]));
      }
    }
  }
}

// May have no memory for the pieces of its vocabulary, and pieces of more than one letter.
class ShortEngine : public test::FakeStepEngine {
 public:
  Result<std::string> piece(std::int32_t token) override {
    if (is_short) {
      throw std::bad_alloc{};
    }
    const auto found = spelled.find(token);
    return found == spelled.end() ? FakeStepEngine::piece(token) : found->second;
  }
  bool is_short = false;
  std::map<std::int32_t, std::string> spelled;
};

class ConstrainedTest : public ::testing::Test {
 protected:
  static SchedulerOptions make_options() {
    SchedulerOptions options;
    options.model = Digest::of("m");
    options.max_sequences = 3;
    options.context_length = 64;
    options.context_total = 192;
    options.vocabulary = test::FakeStepEngine::kVocabulary;
    options.max_rows = 32;
    options.shared_rows = 8;
    return options;
  }

  void generate(RequestKey key,
                const std::string& prompt,
                const std::string& grammar,
                std::uint32_t most = 8) {
    GenerateRequest request;
    request.meta.model = options_.model;
    request.meta.principal = "p" + std::to_string(key);
    request.prompt = Prompt{prompt};
    request.sampling.temperature = 0;
    request.max_tokens = most;
    request.grammar = grammar;
    request.grammar_triggers = triggers_;
    request.log_probs = log_probs_;
    scheduler_.submit(key, std::move(request));
  }
  void run() {
    for (int i = 0; i < 1000 && !scheduler_.idle(); ++i) {
      scheduler_.step();
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
  FinishReason reason(RequestKey key) { return std::get<Done>(events_[key].back()).reason; }
  const Error& failure(RequestKey key) { return std::get<Failure>(events_[key].back()).error; }

  ShortEngine engine_;
  SchedulerOptions options_ = make_options();
  FakeClock clock_{WallTime{}};
  std::map<RequestKey, std::vector<Event>> events_;
  std::optional<std::uint32_t> log_probs_;
  std::vector<std::string> triggers_;
  Scheduler scheduler_{engine_, options_, clock_, [this](RequestKey key, Event event) {
                         events_[key].push_back(std::move(event));
                       }};
};

TEST_F(ConstrainedTest, KeepsWhatTheModelSaysWhereTheGrammarAllowsIt) {
  generate(1, "a", "root ::= [a-z]{4}");
  run();
  EXPECT_EQ(text(1), "bcde");
  EXPECT_EQ(reason(1), FinishReason::kStop);
}

TEST_F(ConstrainedTest, DrawsAgainWhereTheGrammarRefuses) {
  // The model would say "b"; of what is allowed the fake's logits are equal: the least token.
  generate(1, "a", "root ::= \"yes\" | \"no\"");
  run();
  EXPECT_EQ(text(1), "no");
  EXPECT_EQ(reason(1), FinishReason::kStop);
  EXPECT_EQ(std::get<Done>(events_[1].back()).usage.completion_tokens, 2U);
}

TEST_F(ConstrainedTest, TheModelMayEndWhereTheGrammarMay) {
  engine_.end_token = 'd';
  generate(1, "a", "root ::= [a-z]*");
  generate(2, "a", "root ::= [a-z]{6}");
  run();
  EXPECT_EQ(text(1), "bc");
  EXPECT_EQ(text(2).size(), 6U) << "may not end early";
}

TEST_F(ConstrainedTest, ABadGrammarFailsItsOwnRequestAlone) {
  generate(1, "a", "");
  generate(2, "a", "root ::= \"a");
  generate(3, "a", "root ::= [A-Z]+");
  run();
  EXPECT_EQ(text(1), "bcdefghi");
  EXPECT_EQ(failure(2).code(), Error::Code::kInvalidArgument);
  EXPECT_NE(failure(2).message().find("line 1, column 10"), std::string::npos);
  EXPECT_EQ(text(3).substr(0, 2), "AB");
  EXPECT_EQ(reason(3), FinishReason::kLength);
}

// A short text may be a large grammar, and many requests may wait.
TEST_F(ConstrainedTest, GrammarsOfAllRequestsAreBoundedTogether) {
  std::string large = "root ::=";
  for (int i = 0; i < 50; ++i) {
    large += " \"a\"{4096}";
  }
  RequestKey last = 1;
  generate(last, "a", large);
  while (events_[last].empty() && last < 20) {
    ++last;
    generate(last, "a", large + " \"a\"{" + std::to_string(last) + "}");
  }
  ASSERT_LT(last, 20U);
  EXPECT_GT(last, 3U);
  ASSERT_TRUE(std::holds_alternative<Failure>(events_[last].back()));
  EXPECT_EQ(failure(last).code(), Error::Code::kQueueFull);
  EXPECT_TRUE(std::get<Failure>(events_[last].back()).retryable);
  generate(100, "a", "");
  generate(101, "a", "root ::= \"b\"");
  run();
  EXPECT_EQ(text(1), "aaaaaaaa");
  EXPECT_EQ(text(100), "bcdefghi");
  EXPECT_EQ(text(101), "b");
  generate(102, "a", large);
  run();
  EXPECT_EQ(text(102), "aaaaaaaa") << "the others are answered";
}

TEST_F(ConstrainedTest, EqualGrammarsCountOnce) {
  std::string large = "root ::=";
  for (int i = 0; i < 50; ++i) {
    large += " \"a\"{4096}";
  }
  for (RequestKey key = 1; key <= 12; ++key) {
    generate(key, "a", large);
    ASSERT_TRUE(events_[key].empty()) << key;
  }
  run();
  for (RequestKey key = 1; key <= 12; ++key) {
    EXPECT_EQ(text(key), "aaaaaaaa") << key;
  }
}

TEST_F(ConstrainedTest, AGrammarWithoutMemoryFailsItsOwnRequestAlone) {
  generate(1, "a", "");
  engine_.is_short = true;
  generate(2, "a", "root ::= [a-z]*");
  engine_.is_short = false;
  generate(3, "a", "root ::= \"b\"");
  run();
  EXPECT_EQ(failure(2).code(), Error::Code::kResourceExhausted);
  EXPECT_EQ(text(1), "bcdefghi");
  EXPECT_EQ(text(3), "b") << "the vocabulary is read again";
}

TEST_F(ConstrainedTest, TextThatTheVocabularyCannotWriteIsAnError) {
  generate(1, "a", "root ::= \"b\" \"é\"");
  run();
  EXPECT_EQ(text(1), "b");
  EXPECT_EQ(failure(1).code(), Error::Code::kInvalidArgument);
  EXPECT_NE(failure(1).message().find("vocabulary"), std::string::npos);
}

// After "<c" the model would say what ends the mark wrongly: ">c" first, of the others the least.
TEST_F(ConstrainedTest, AnAnswerThatSaysItsTriggerIsHeldToItsGrammar) {
  engine_.end_token = 127;
  engine_.spelled = {{'b', "<c"}, {'c', ">c"}};
  for (std::int32_t token = 0; token < 20; ++token) {
    engine_.spelled[token] = ">" + std::to_string(token);
  }
  triggers_ = {"<c>"};
  generate(1, "a", "root ::= \"<c>\" \"x\"");
  run();
  EXPECT_EQ(text(1), "<c>x");
  EXPECT_EQ(reason(1), FinishReason::kStop);
  EXPECT_EQ(std::get<Done>(events_[1].back()).usage.completion_tokens, 3U);
}

TEST_F(ConstrainedTest, AnEmptyAnswerIsAnAnswer) {
  generate(1, "a", "root ::= \"\"");
  run();
  EXPECT_EQ(text(1), "");
  EXPECT_EQ(reason(1), FinishReason::kStop);
}

// The fake's logits are 10 for the next letter and 0 for the 127 others.
TEST_F(ConstrainedTest, LogProbabilitiesAreThoseOfTheModelBeforeTheGrammar) {
  log_probs_ = 2;
  generate(1, "a", "root ::= \"b\" \"x\"");
  run();
  std::vector<TokenLogProb> found;
  for (const Event& event : events_[1]) {
    if (const auto* delta = std::get_if<TextDelta>(&event)) {
      EXPECT_EQ(delta->log_probs.size(), delta->tokens.size());
      found.insert(found.end(), delta->log_probs.begin(), delta->log_probs.end());
    }
  }
  ASSERT_EQ(found.size(), 2U);
  const double total = std::log(std::exp(10.0) + 127.0);
  EXPECT_EQ(found[0].chosen.piece, "b");
  EXPECT_NEAR(found[0].chosen.log_prob, 10.0 - total, 1e-5);
  EXPECT_EQ(found[1].chosen.piece, "x");
  EXPECT_NEAR(found[1].chosen.log_prob, -total, 1e-5);
  ASSERT_EQ(found[1].top.size(), 2U);
  EXPECT_EQ(found[1].top[0].piece, "c");
  EXPECT_NEAR(found[1].top[0].log_prob, 10.0 - total, 1e-5);
}

TEST_F(ConstrainedTest, MoreLogProbabilitiesThanOfferedAreRefused) {
  log_probs_ = 65;
  generate(1, "a", "");
  EXPECT_EQ(failure(1).code(), Error::Code::kInvalidArgument);
}

}  // namespace
}  // namespace skerry::runtime
