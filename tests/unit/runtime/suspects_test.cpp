#include "suspects.hpp"

#include <string>

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kNow{1h};

Digest content(const std::string& text) {
  return Digest::of(text);
}

TEST(Suspects, AloneAtADeathIsTheCulpritForTenMinutes) {
  Suspects suspects;
  EXPECT_EQ(suspects.refused_for(kNow, content("a")), 0s);
  suspects.on_death(kNow, {content("a")});
  EXPECT_EQ(suspects.refused_for(kNow, content("a")), 10min);
  EXPECT_EQ(suspects.refused_for(kNow + 9min, content("a")), 1min);
  EXPECT_EQ(suspects.refused_for(kNow + 10min, content("a")), 0s);
  EXPECT_EQ(suspects.refused_for(kNow, content("b")), 0s);
}

TEST(Suspects, InCompanyTwoDeathsAreNeeded) {
  Suspects suspects;
  suspects.on_death(kNow, {content("a"), content("b")});
  EXPECT_EQ(suspects.refused_for(kNow, content("a")), 0s);
  suspects.on_death(kNow + 1min, {content("a"), content("c")});
  EXPECT_EQ(suspects.refused_for(kNow + 1min, content("a")), 10min);
  EXPECT_EQ(suspects.refused_for(kNow + 1min, content("b")), 0s);
  EXPECT_EQ(suspects.refused_for(kNow + 1min, content("c")), 0s);
}

TEST(Suspects, AnAnswerClears) {
  Suspects suspects;
  suspects.on_death(kNow, {content("a"), content("b")});
  suspects.on_answered(content("a"));
  suspects.on_death(kNow, {content("a"), content("b")});
  EXPECT_EQ(suspects.refused_for(kNow, content("a")), 0s);
  EXPECT_GT(suspects.refused_for(kNow, content("b")), 0s);
}

TEST(Suspects, ASuspicionEnds) {
  Suspects suspects;
  suspects.on_death(kNow, {content("a"), content("b")});
  suspects.on_death(kNow + 10min, {content("a"), content("c")});
  EXPECT_EQ(suspects.refused_for(kNow + 10min, content("a")), 0s);
}

TEST(Suspects, TheOldestAreForgotten) {
  Suspects suspects;
  for (std::size_t i = 0; i < Suspects::kMost + 1; ++i) {
    suspects.on_death(kNow + std::chrono::milliseconds{i}, {content(std::to_string(i))});
  }
  EXPECT_EQ(suspects.refused_for(kNow + 1s, content("0")), 0s);
  EXPECT_GT(suspects.refused_for(kNow + 1s, content("1")), 0s);
}

TEST(Suspects, ADeathWithoutRequestsBlamesNobody) {
  Suspects suspects;
  suspects.on_death(kNow, {});
  EXPECT_EQ(suspects.refused_for(kNow, content("")), 0s);
}

}  // namespace
}  // namespace skerry::runtime
