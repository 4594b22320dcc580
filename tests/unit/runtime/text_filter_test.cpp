#include "skerry/runtime/text_filter.hpp"

#include <gtest/gtest.h>

#include "skerry/common/bytes.hpp"

namespace skerry::runtime {
namespace {

std::string bytewise(TextFilter& filter, std::string_view text) {
  std::string all;
  for (const char byte : text) {
    const std::string part = filter.push(std::string_view{&byte, 1});
    EXPECT_TRUE(is_utf8(part)) << "a delta holds a partial code point";
    all += part;
  }
  return all;
}

TEST(TextFilter, NeverSplitsACodePoint) {
  TextFilter filter{{}};
  EXPECT_EQ(filter.push("\xe2"), "");
  EXPECT_EQ(filter.push("\x82"), "");
  EXPECT_EQ(filter.push("\xac!"), "€!");
  TextFilter other{{}};
  EXPECT_EQ(bytewise(other, "aé€😀z"), "aé€😀z");
}

TEST(TextFilter, BrokenBytesBecomeReplacementCharacters) {
  EXPECT_EQ(to_valid_utf8("a\xff"
                          "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(to_valid_utf8("\xe2\x82"), "\xef\xbf\xbd");
  EXPECT_EQ(to_valid_utf8("\xe2\x28"), "\xef\xbf\xbd(");
  // Overlong, surrogate, beyond the last code point: each byte on its own.
  EXPECT_TRUE(is_utf8(to_valid_utf8("\xc0\x80 \xed\xa0\x80 \xf5\x80\x80\x80")));
}

TEST(TextFilter, IncompleteCodePointAtTheEndIsReplaced) {
  TextFilter filter{{}};
  EXPECT_EQ(filter.push("ok\xf0\x9f"), "ok");
  EXPECT_EQ(filter.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(filter.finish(), "");
}

TEST(TextFilter, StopStringAcrossTokenBordersIsNeverShown) {
  TextFilter filter{{"</answer>"}};
  EXPECT_EQ(filter.push("yes</"), "yes");
  EXPECT_EQ(filter.push("ans"), "");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.push("wer> more"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.match(), "</answer>");
  EXPECT_EQ(filter.push("more"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(TextFilter, HeldBackTextComesWhenItIsNoStopString) {
  TextFilter filter{{"END"}};
  EXPECT_EQ(filter.push("EN"), "");
  EXPECT_EQ(filter.push("ough"), "ENough");
  EXPECT_EQ(filter.push("E"), "");
  EXPECT_EQ(filter.finish(), "E");
}

TEST(TextFilter, EarliestOfSeveralStopStringsWins) {
  TextFilter filter{{"late", "soon"}};
  EXPECT_EQ(filter.push("x soon late"), "x ");
  EXPECT_EQ(filter.match(), "soon");
}

TEST(TextFilter, OverlappingPrefixesAreFound) {
  TextFilter filter{{"aab"}};
  EXPECT_EQ(bytewise(filter, "aaab"), "a");
  EXPECT_TRUE(filter.stopped());
}

TEST(TextFilter, StopStringOfSeveralCodePoints) {
  TextFilter filter{{"ß€"}};
  EXPECT_EQ(bytewise(filter, "straße ß€ nie"), "straße ");
  EXPECT_TRUE(filter.stopped());
}

}  // namespace
}  // namespace skerry::runtime
