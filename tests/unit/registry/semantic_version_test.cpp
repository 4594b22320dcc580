#include "skerry/registry/semantic_version.hpp"

#include <gtest/gtest.h>

namespace skerry::registry {
namespace {

TEST(SemanticVersion, OrdersAsTheSpecificationSays) {
  const char* ascending[] = {"0.9.9",
                             "1.0.0-alpha",
                             "1.0.0-alpha.1",
                             "1.0.0-alpha.beta",
                             "1.0.0-beta",
                             "1.0.0-beta.2",
                             "1.0.0-beta.11",
                             "1.0.0-rc.1",
                             "1.0.0",
                             "1.0.10",
                             "1.2.0",
                             "10.0.0"};
  for (std::size_t i = 0; i < std::size(ascending); ++i) {
    for (std::size_t k = 0; k < std::size(ascending); ++k) {
      const auto a = SemanticVersion::parse(ascending[i]);
      const auto b = SemanticVersion::parse(ascending[k]);
      ASSERT_TRUE(a && b);
      EXPECT_EQ(*a < *b, i < k) << ascending[i] << " and " << ascending[k];
      EXPECT_EQ(*a == *b, i == k);
    }
    EXPECT_EQ(SemanticVersion::parse(ascending[i])->to_string(), ascending[i]);
  }
}

TEST(SemanticVersion, RefusesWhatIsNoVersion) {
  for (const char* text : {"",
                           "1",
                           "1.2",
                           "1.2.3.4",
                           "v1.2.3",
                           "1.2.x",
                           "01.2.3",
                           "1.2.3-",
                           "1.2.3-a..b",
                           "1.2.3-01",
                           "1.2.3+build",
                           "1.2.3-\xc3\xa4",
                           "+1.2.3",
                           "1.2.4294967296",
                           "1.2.-3"}) {
    EXPECT_FALSE(SemanticVersion::parse(text)) << text;
  }
  EXPECT_FALSE(SemanticVersion::parse(std::string(65, '1')));
}

TEST(SemanticVersion, ReadsTheVersionsOfEnginesLoosely) {
  EXPECT_EQ(SemanticVersion::parse_loose("v1.18")->to_string(), "1.18.0");
  EXPECT_EQ(SemanticVersion::parse_loose("0.5.0+abc")->to_string(), "0.5.0");
  EXPECT_EQ(SemanticVersion::parse_loose("7")->to_string(), "7.0.0");
  EXPECT_EQ(SemanticVersion::parse_loose("1.2.3-rc.1")->to_string(), "1.2.3-rc.1");
  EXPECT_FALSE(SemanticVersion::parse_loose("unknown"));
  EXPECT_FALSE(SemanticVersion::parse_loose(""));
}

}  // namespace
}  // namespace skerry::registry
