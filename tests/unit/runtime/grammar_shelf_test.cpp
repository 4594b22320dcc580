// Equal grammars are compiled once, while somebody uses them.

#include "grammar_shelf.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

TEST(GrammarShelfTest, EqualTextsShareOneGrammar) {
  GrammarShelf shelf;
  const auto one = shelf.get("root ::= [a-z]*");
  const auto same = shelf.get("root ::= [a-z]*");
  const auto other = shelf.get("root ::= [a-z]+");
  ASSERT_TRUE(one && same && other);
  EXPECT_EQ(*one, *same);
  EXPECT_NE(*one, *other);
  EXPECT_EQ(shelf.size(), 2U);
}

TEST(GrammarShelfTest, KeepsNothingThatNobodyUses) {
  GrammarShelf shelf;
  std::weak_ptr<const Grammar> gone;
  {
    const auto used = shelf.get("root ::= \"a\"");
    ASSERT_TRUE(used);
    gone = *used;
  }
  EXPECT_TRUE(gone.expired());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(shelf.get("root ::= \"" + std::to_string(i) + "\""));
  }
  EXPECT_EQ(shelf.size(), 1U);
}

TEST(GrammarShelfTest, AWrongOneIsRefusedEachTime) {
  GrammarShelf shelf;
  EXPECT_FALSE(shelf.get("root ::= ("));
  EXPECT_FALSE(shelf.get("root ::= ("));
  EXPECT_EQ(shelf.size(), 0U);
}

}  // namespace
}  // namespace skerry::runtime
