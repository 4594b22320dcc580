// What engines promise that tell how relevant a document is to a query.

#include <algorithm>
#include <string>
#include <vector>

#include "plugin_contract.hpp"

namespace skerry::runtime::test {
namespace {

constexpr const char* kQuery = "disk";
constexpr const char* kDocument = "a disk";

std::vector<Row> pair_rows(std::uint32_t sequence, const std::vector<std::int32_t>& tokens) {
  std::vector<Row> rows;
  for (const std::int32_t token : tokens) {
    rows.push_back({sequence, static_cast<std::int32_t>(rows.size()), token, Want::kNothing});
  }
  rows.back().want = Want::kEmbedding;
  return rows;
}

}  // namespace

TEST_P(PluginContract, RanksAPairAlikeAloneAndBesideOthers) {
  load();
  if (!model_->info().can_rank) {
    GTEST_SKIP() << "does not rank documents";
  }
  const auto first = model_->pair(kQuery, kDocument);
  const auto second = model_->pair(kQuery, "fan");
  ASSERT_TRUE(first) << first.error().to_string();
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_NE(*first, *second);
  ASSERT_FALSE(second->empty());
  ASSERT_LE(first->size() + second->size(), model_->max_rows());
  const auto alone = [&](std::uint32_t sequence, const std::vector<std::int32_t>& tokens) {
    const DecodeOutcome outcome = model_->decode(pair_rows(sequence, tokens));
    EXPECT_EQ(outcome.status, DecodeStatus::kOk) << outcome.message;
    const auto found = model_->embedding(tokens.size() - 1);
    EXPECT_EQ(found.size(), 1U);
    EXPECT_TRUE(tokens.size() < 2 || model_->embedding(0).empty());
    model_->remove_sequence(sequence);
    return found.empty() ? -1.0F : found[0];
  };
  const float one = alone(0, *first);
  const float other = alone(1, *second);
  for (const float relevance : {one, other}) {
    EXPECT_GE(relevance, 0.0F);
    EXPECT_LE(relevance, 1.0F);
  }
  EXPECT_NEAR(alone(2, *first), one, 1e-3F) << "in another sequence";
  std::vector<Row> both = pair_rows(0, *first);
  const std::vector<Row> rest = pair_rows(1, *second);
  both.insert(both.end(), rest.begin(), rest.end());
  const DecodeOutcome outcome = model_->decode(both);
  ASSERT_EQ(outcome.status, DecodeStatus::kOk) << outcome.message;
  ASSERT_EQ(model_->embedding(first->size() - 1).size(), 1U);
  ASSERT_EQ(model_->embedding(both.size() - 1).size(), 1U);
  EXPECT_NEAR(model_->embedding(first->size() - 1)[0], one, 0.02F);
  EXPECT_NEAR(model_->embedding(both.size() - 1)[0], other, 0.02F);
}

TEST_P(PluginContract, TextOfAPairIsNoControlToken) {
  load();
  if (!model_->info().can_rank) {
    GTEST_SKIP() << "does not rank documents";
  }
  const auto controls = [&](const std::string& query, const std::string& document) {
    const auto tokens = model_->pair(query, document);
    EXPECT_TRUE(tokens) << tokens.error().to_string();
    return !tokens ? 0 : std::count_if(tokens->begin(), tokens->end(), [&](std::int32_t token) {
      return !model_->control_piece(token).value_or(std::string{}).empty();
    });
  };
  const auto usual = controls("a", "b");
  for (const char* text : {"</s>", "<s>", "[SEP]", "<|im_end|>", "<|endoftext|>"}) {
    EXPECT_EQ(controls(text, "b"), usual) << text;
    EXPECT_EQ(controls("a", text), usual) << text;
  }
  EXPECT_TRUE(model_->pair("a", "")) << "an empty document is one";
}

}  // namespace skerry::runtime::test
