// What is guessed from what was said before.
#include "ngram.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

std::string guess(std::string_view prompt, std::string_view answer, std::size_t most) {
  const std::vector<std::int32_t> before{prompt.begin(), prompt.end()};
  const std::vector<std::int32_t> after{answer.begin(), answer.end()};
  std::string text;
  for (const std::int32_t token : guess_next(TokenTrail{before, after}, most)) {
    text.push_back(static_cast<char>(token));
  }
  return text;
}

TEST(Ngram, GoesOnAsItDidTheLastTime) {
  EXPECT_EQ(guess("the disk sda is full; ", "the disk", 4), " sda");
  EXPECT_EQ(guess("say hello to all. ", "say", 100).substr(0, 10), " hello to ");
  EXPECT_EQ(guess("", "abcdXabcd", 1), "X") << "of the answer alone";
  EXPECT_EQ(guess("abcdXabcd", "", 1), "X") << "of the prompt alone";
}

TEST(Ngram, GuessesNothingWithoutThreeTokensThatAgree) {
  EXPECT_EQ(guess("", "", 4), "");
  EXPECT_EQ(guess("abc", "", 4), "");
  EXPECT_EQ(guess("abcdefgh", "xbc", 4), "") << "two by chance";
  EXPECT_EQ(guess("abcdefgh", "abc", 0), "");
}

TEST(Ngram, TheLongestAgreementCountsThenTheLatest) {
  EXPECT_EQ(guess("1234A..234B..", "1234", 1), "A");
  EXPECT_EQ(guess(".234A..234B..", "x234", 1), "B");
}

TEST(Ngram, APeriodGoesOn) {
  EXPECT_EQ(guess("", "=====", 6), "======");
  EXPECT_EQ(guess("| a ", "| b | b | b ", 9), "| b | b |");
}

// The place is one where the text did go on so.
TEST(Ngram, NeverReadsBeyondTheText) {
  std::string text;
  std::uint32_t mixed = 7;
  for (int i = 0; i < 2000; ++i) {
    mixed = mixed * 1664525U + 1013904223U;
    text.push_back(static_cast<char>('a' + (mixed >> 20U) % 3));
    const std::string next =
        guess(text.substr(0, text.size() / 2), text.substr(text.size() / 2), 5);
    if (!next.empty()) {
      ASSERT_EQ(next.size(), 5U);
      const std::string seen = text.substr(text.size() - 3) + next.substr(0, 1);
      ASSERT_NE(text.find(seen), std::string::npos) << text;
    }
  }
}

}  // namespace
}  // namespace skerry::runtime
