// What of an answer a stream must not wait with.

#include "http/choice_state.hpp"

#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

TEST(ChoiceStateTest, NothingCameYet) {
  ChoiceState state;
  EXPECT_FALSE(state.has_news());
  state.started = runtime::Started{};
  EXPECT_FALSE(state.has_news());
}

TEST(ChoiceStateTest, LogProbabilitiesWithoutTextAreNews) {
  ChoiceState state;
  state.log_probs.push_back({});
  EXPECT_TRUE(state.has_news()) << "the bytes of a token may wait for the rest of a code point";
  state.log_probs.clear();
  EXPECT_FALSE(state.has_news());
  state.text.push_back('a');
  EXPECT_TRUE(state.has_news());
}

TEST(ChoiceStateTest, ThoughtsAndCallsAreNews) {
  ChoiceState state;
  state.parts.push_back({});
  EXPECT_TRUE(state.has_news());
}

// One of several choices: the others still write.
TEST(ChoiceStateTest, AnEndIsNewsUntilItIsTold) {
  ChoiceState state;
  state.done = runtime::Done{};
  EXPECT_TRUE(state.has_news());
  state.told = true;
  EXPECT_FALSE(state.has_news());
}

}  // namespace
}  // namespace skerry::agent
