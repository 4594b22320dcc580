#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "plugin_contract.hpp"

namespace skerry::runtime::test {

TEST_P(PluginContract, TokenizesAndDetokenizes) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const std::string text = "usb 1-2: reset, grüße";
  const auto tokens = model_->tokenize(text, false, false);
  ASSERT_TRUE(tokens) << tokens.error().to_string();
  std::string back;
  for (const std::int32_t token : *tokens) {
    const auto piece = model_->piece(token);
    ASSERT_TRUE(piece);
    back += *piece;
  }
  // SentencePiece vocabularies put a blank in front.
  EXPECT_TRUE(back == text || back == " " + text) << back;
  EXPECT_FALSE(model_->piece(-1));
  EXPECT_FALSE(model_->piece(static_cast<std::int32_t>(model_->info().vocabulary)));
  const auto nothing = model_->tokenize("", false, false);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());
}

TEST_P(PluginContract, LogitsAreFiniteAndOnlyWhereWanted) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto rows = prompt_rows(0, some_tokens(8));
  const std::vector<float> logits = last_logits(rows);
  ASSERT_EQ(logits.size(), model_->info().vocabulary);
  for (const float logit : logits) {
    ASSERT_TRUE(std::isfinite(logit));
  }
  EXPECT_TRUE(model_->logits(0).empty());
  EXPECT_TRUE(model_->embedding(rows.size() - 1).empty());
  EXPECT_GT(heartbeats_.load(), 0U);
}

TEST_P(PluginContract, ChunkedPromptGivesTheSameToken) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(40);
  const auto whole = last_logits(prompt_rows(0, tokens));
  const std::vector<std::int32_t> head(tokens.begin(), tokens.begin() + 17);
  ASSERT_EQ(model_->decode(prompt_rows(1, head, Want::kNothing)).status, DecodeStatus::kOk);
  const auto chunked = last_logits(prompt_rows(1, tokens, Want::kLogits, head.size()));
  const auto best = [](const std::vector<float>& logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  };
  EXPECT_EQ(best(whole), best(chunked));
}

TEST_P(PluginContract, ThreadsChangeBetweenDecodesAndNotTheAnswer) {
  PluginLoad job = load_job();
  job.threads = 3;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || !model_->sets_threads()) {
    GTEST_SKIP() << "keeps its own threads";
  }
  const auto tokens = some_tokens(40);
  const auto before = last_logits(prompt_rows(0, tokens));
  std::uint32_t sequence = 1;
  for (const auto& [threads, poll] : {std::pair{1U, 0U}, std::pair{2U, 2U}, std::pair{3U, 0U}}) {
    const auto set = model_->set_threads(threads, poll);
    ASSERT_TRUE(set) << set.error().to_string();
    const auto after = last_logits(prompt_rows(sequence, tokens));
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_NEAR(before[i], after[i], 1e-3) << threads << " threads";
    }
    model_->remove_sequence(sequence);
    sequence = sequence % 2 + 1;
  }
  EXPECT_FALSE(model_->set_threads(0, 0));
  EXPECT_FALSE(model_->set_threads(4, 0)) << "more than at load";
  EXPECT_FALSE(model_->set_threads(1, 101));
  EXPECT_EQ(last_logits(prompt_rows(1, tokens)).size(), before.size()) << "still at work";
}

TEST_P(PluginContract, SequencesDoNotSeeEachOther) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(12);
  const auto alone = last_logits(prompt_rows(0, tokens));
  model_->remove_sequence(0);
  // Another sequence with other text fills the cache first.
  std::vector<std::int32_t> other(tokens.rbegin(), tokens.rend());
  last_logits(prompt_rows(2, other));
  const auto beside = last_logits(prompt_rows(0, tokens));
  ASSERT_EQ(alone.size(), beside.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    ASSERT_NEAR(alone[i], beside[i], 0.05F) << "token " << i;
  }
}

// Tokens that were guessed and taken back leave nothing behind, and each row of a guess gives what
// it would give alone.
TEST_P(PluginContract, TokensThatWereTakenBackLeaveNothingBehind) {
  load();
  if (!makes_tokens() || !model_->can_trim()) {
    GTEST_SKIP() << "cannot take tokens back";
  }
  const auto near = [](std::span<const float> a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < b.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], 0.05F) << "token " << i;
    }
  };
  const auto tokens = some_tokens(24);
  const std::vector<std::int32_t> head(tokens.begin(), tokens.begin() + 20);
  last_logits(prompt_rows(0, head));
  last_logits(prompt_rows(1, head));
  std::vector<std::vector<float>> alone;
  for (std::size_t length = 21; length <= tokens.size(); ++length) {
    const std::vector<std::int32_t> longer(tokens.begin(),
                                           tokens.begin() + static_cast<std::ptrdiff_t>(length));
    alone.push_back(last_logits(prompt_rows(0, longer, Want::kLogits, length - 1)));
  }
  const auto guess = [&](const std::vector<std::int32_t>& all) {
    auto rows = prompt_rows(1, all, Want::kLogits, head.size());
    for (Row& row : rows) {
      row.want = Want::kLogits;
    }
    const DecodeOutcome outcome = model_->decode(rows);
    ASSERT_EQ(outcome.status, DecodeStatus::kOk) << outcome.message;
  };
  // Wrong from the second on: the first row's result counts all the same.
  std::vector<std::int32_t> wrong = tokens;
  std::reverse(wrong.begin() + 21, wrong.end());
  wrong[21] = tokens[0];
  guess(wrong);
  near(model_->logits(0), alone[0]);
  model_->trim_sequence(1, head.size() + 1);
  // And nothing at all was right.
  model_->trim_sequence(1, head.size());
  guess(tokens);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    near(model_->logits(i), alone[i]);
  }
}

TEST_P(PluginContract, RemovedSequenceStartsAnew) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(6);
  const auto first = last_logits(prompt_rows(1, tokens));
  model_->remove_sequence(1);
  EXPECT_EQ(last_logits(prompt_rows(1, tokens)), first);
}

TEST_P(PluginContract, BadRowsAreRefusedAndChangeNothing) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(6);
  const auto expected = last_logits(prompt_rows(0, tokens));
  model_->remove_sequence(0);
  const auto refused = [&](Row row) {
    const DecodeStatus status = model_->decode(std::vector<Row>{row}).status;
    return status == DecodeStatus::kFailed;
  };
  EXPECT_TRUE(refused({99, 0, tokens[0], Want::kLogits}));
  EXPECT_TRUE(refused({0, 0, -1, Want::kLogits}));
  EXPECT_TRUE(refused({0, 0, 1 << 30, Want::kLogits}));
  EXPECT_TRUE(refused({0, -5, tokens[0], Want::kLogits}));
  EXPECT_EQ(model_->decode({}).status, DecodeStatus::kFailed);
  EXPECT_EQ(last_logits(prompt_rows(0, tokens)), expected);
}

TEST_P(PluginContract, ManyLogitsInOneBatch) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  auto rows = prompt_rows(0, some_tokens(model_->max_rows()));
  for (Row& row : rows) {
    row.want = Want::kLogits;
  }
  ASSERT_EQ(model_->decode(rows).status, DecodeStatus::kOk);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(model_->logits(i).size(), model_->info().vocabulary) << i;
  }
}

TEST_P(PluginContract, GreedyTextIsTheSameAloneAndInCompany) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const SamplingParams greedy{.temperature = 0.0F};
  const std::string prompt = "kernel: out of memory";
  const std::string alone = generate({prompt}, greedy)[0];
  EXPECT_EQ(alone, generate({prompt}, greedy)[0]);
  const auto together = generate({prompt, "another one", "and a third prompt"}, greedy);
  EXPECT_EQ(together[0], alone);
  EXPECT_EQ(alone.find("failure"), std::string::npos) << alone;
}

TEST_P(PluginContract, SharedPrefixesAreIndependentOfTheirSource) {
  PluginLoad job = load_job();
  job.spare_sequences = 2;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || !model_->can_copy()) {
    GTEST_SKIP() << "cannot share prefixes";
  }
  EXPECT_LE(model_->sequences(), 5U);
  const auto tokens = some_tokens(48);
  const auto whole = last_logits(prompt_rows(0, tokens));
  const std::uint32_t to = model_->sequences() - 1;
  ASSERT_TRUE(model_->copy_sequence(0, to, 32));
  // The source goes on and ends; the copy does not see it.
  auto longer = tokens;
  longer.push_back(tokens[1]);
  last_logits(prompt_rows(0, longer, Want::kLogits, tokens.size()));
  model_->remove_sequence(0);
  const auto copied = last_logits(prompt_rows(to, tokens, Want::kLogits, 32));
  ASSERT_EQ(copied.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_NEAR(whole[i], copied[i], 0.05F) << "token " << i;
  }
  // Cut back, it goes on from there.
  model_->trim_sequence(to, 16);
  const auto again = last_logits(prompt_rows(to, tokens, Want::kLogits, 16));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_NEAR(whole[i], again[i], 0.05F) << "token " << i;
  }
  EXPECT_FALSE(model_->copy_sequence(to, 99, 4));
}

TEST_P(PluginContract, GreedyTextIsTheSameWithThePrefixCache) {
  PluginLoad job = load_job();
  job.spare_sequences = 4;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || !model_->can_copy()) {
    GTEST_SKIP() << "cannot share prefixes";
  }
  std::vector<std::vector<std::int32_t>> prompts;
  for (const std::size_t length : {70U, 97U, 70U, 80U, 64U}) {
    prompts.push_back(some_tokens(length));
  }
  std::reverse(prompts[3].begin() + 40, prompts[3].end());
  const auto [plain, none] = answers(prompts, false, false);
  EXPECT_EQ(none, 0U);
  for (const bool together : {false, true}) {
    const auto [shared, cached] = answers(prompts, true, together);
    EXPECT_EQ(shared, plain) << (together ? "all at once" : "one after another");
    EXPECT_GE(cached, 4 * 32U);
  }
  const auto [after, again] = answers({prompts[1]}, false, false);
  EXPECT_EQ(after[0], plain[1]) << "nothing was left behind";
}

TEST_P(PluginContract, SameSeedSameText) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const SamplingParams seeded{.temperature = 1.2F, .seed = 11};
  EXPECT_EQ(generate({"abc"}, seeded), generate({"abc"}, seeded));
}

TEST_P(PluginContract, EmbedsWhatItClaims) {
  load();
  if (!model_ || !model_->steps() || !model_->info().can_embed) {
    GTEST_SKIP() << "does not embed";
  }
  auto rows = prompt_rows(0, some_tokens(5));
  for (Row& row : rows) {
    row.want = Want::kEmbedding;
  }
  ASSERT_EQ(model_->decode(rows).status, DecodeStatus::kOk);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(model_->embedding(i).size(), model_->info().embedding_length);
    EXPECT_TRUE(std::isfinite(model_->embedding(i)[0]));
  }
  EXPECT_TRUE(model_->logits(0).empty());
  // And logits work again afterwards.
  if (model_->info().can_generate) {
    model_->remove_sequence(0);
    EXPECT_FALSE(last_logits(prompt_rows(0, some_tokens(3))).empty());
  }
}

TEST_P(PluginContract, InterruptEndsALongDecodeOrComesTooLate) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto rows = prompt_rows(0, some_tokens(model_->max_rows()));
  std::thread interrupter{[this] { model_->interrupt(); }};
  const DecodeOutcome outcome = model_->decode(rows);
  interrupter.join();
  EXPECT_TRUE(outcome.status == DecodeStatus::kOk || outcome.status == DecodeStatus::kCancelled)
      << outcome.message;
  if (outcome.status == DecodeStatus::kCancelled) {
    EXPECT_FALSE(last_logits(rows).empty()) << "nothing was left behind";
  }
}

TEST_P(PluginContract, ChatTemplateRendersOrSaysWhyNot) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const std::vector<ChatMessage> messages{{"user", "is the fan broken?"}};
  const auto text = model_->apply_template(messages);
  if (text) {
    EXPECT_NE(text->find("is the fan broken?"), std::string::npos);
  } else {
    EXPECT_EQ(text.error().code(), Error::Code::kUnimplemented);
    EXPECT_FALSE(text.error().message().empty());
  }
}

}  // namespace skerry::runtime::test
