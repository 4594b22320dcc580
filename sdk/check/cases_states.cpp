// What engines promise that write down what they computed of a sequence and read it back.

#include <algorithm>
#include <span>
#include <vector>

#include "plugin_contract.hpp"

namespace skerry::runtime::test {

TEST_P(PluginContract, ASavedStateGoesOnLikeItsSequence) {
  PluginLoad job = load_job();
  job.spare_sequences = 2;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || model_->state_format().empty()) {
    GTEST_SKIP() << "cannot save states";
  }
  const auto tokens = some_tokens(48);
  const std::vector<std::int32_t> head(tokens.begin(), tokens.begin() + 32);
  const auto best = [](const std::vector<float>& logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  };
  ASSERT_EQ(model_->decode(prompt_rows(0, head, Want::kNothing)).status, DecodeStatus::kOk);
  const auto room = model_->state_size(0);
  ASSERT_TRUE(room) << room.error().to_string();
  std::vector<std::uint8_t> state(*room);
  EXPECT_FALSE(model_->save_state(0, std::span{state}.first(state.size() / 2))) << "no room";
  const auto size = model_->save_state(0, state);
  ASSERT_TRUE(size) << size.error().to_string();
  state.resize(*size);
  const auto whole = last_logits(prompt_rows(0, tokens, Want::kLogits, head.size()));

  // Beside the one that was saved, and in a model that was loaded anew.
  const auto beside = model_->restore_state(1, state, head.size());
  ASSERT_TRUE(beside) << beside.error().to_string();
  EXPECT_EQ(best(last_logits(prompt_rows(1, tokens, Want::kLogits, head.size()))), best(whole));
  auto second = plugin_->load(job);
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ((*second)->state_format(), model_->state_format());
  model_ = std::move(*second);
  const auto restored = model_->restore_state(2, state, head.size());
  ASSERT_TRUE(restored) << restored.error().to_string();
  const auto logits = last_logits(prompt_rows(2, tokens, Want::kLogits, head.size()));
  ASSERT_EQ(logits.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_NEAR(whole[i], logits[i], 0.05F) << "token " << i;
  }
  // Cut back, as far as another prompt shares it.
  model_->trim_sequence(2, 16);
  EXPECT_EQ(best(last_logits(prompt_rows(2, tokens, Want::kLogits, 16))), best(whole));
}

TEST_P(PluginContract, WhatIsNoStateIsRefusedAndLeavesTheSequenceEmpty) {
  load();
  if (!makes_tokens() || model_->state_format().empty()) {
    GTEST_SKIP() << "cannot save states";
  }
  const auto tokens = some_tokens(32);
  const auto whole = last_logits(prompt_rows(0, tokens));
  const auto room = model_->state_size(0);
  ASSERT_TRUE(room);
  std::vector<std::uint8_t> state(*room);
  const auto size = model_->save_state(0, state);
  ASSERT_TRUE(size) << size.error().to_string();
  state.resize(*size);
  const auto refused = [&](ByteView bytes, std::size_t length) {
    const auto restored = model_->restore_state(1, bytes, length);
    EXPECT_FALSE(restored);
    if (!restored) {
      EXPECT_EQ(restored.error().code(), Error::Code::kInvalidArgument)
          << restored.error().to_string();
    }
  };
  refused({}, tokens.size());
  refused(ByteView{state}.first(7), tokens.size());
  refused(ByteView{state}.first(state.size() - 1), tokens.size());
  refused(ByteView{state}.subspan(1), tokens.size());
  refused(std::vector<std::uint8_t>(state.size(), 0x5a), tokens.size());
  refused(state, tokens.size() - 1);
  EXPECT_FALSE(model_->restore_state(99, state, tokens.size()));
  EXPECT_FALSE(model_->state_size(99));
  // The sequence can be used at once.
  EXPECT_EQ(last_logits(prompt_rows(1, tokens)).size(), whole.size());
  model_->remove_sequence(1);
  EXPECT_TRUE(model_->restore_state(1, state, tokens.size()));
}

}  // namespace skerry::runtime::test
