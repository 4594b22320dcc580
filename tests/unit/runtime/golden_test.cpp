#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "skerry/runtime/evaluate.hpp"

namespace skerry::runtime {
namespace {

TEST(Golden, ReadsLinesWithTheirRules) {
  const auto set = parse_golden(
      "{\"prompt\":\"a\",\"expect\":\"b\",\"match\":\"exact\"}\n\n"
      "{\"prompt\":\"c\",\"expect\":{\"x\":1},\"max_tokens\":7}\r\n"
      "{\"prompt\":\"d\",\"expect\":\"{}\",\"match\":\"json\"}");
  ASSERT_TRUE(set) << set.error().to_string();
  ASSERT_EQ(set->cases.size(), 3U);
  EXPECT_EQ(set->cases[0].match, MatchRule::kExact);
  EXPECT_EQ(set->cases[1].match, MatchRule::kJsonFields);
  EXPECT_EQ(set->cases[1].max_tokens, 7U);
  EXPECT_EQ(set->cases[2].match, MatchRule::kJson);
}

TEST(Golden, ErrorsNameTheLine) {
  const auto message = [](std::string_view text) {
    const auto set = parse_golden(text);
    EXPECT_FALSE(set);
    return set ? std::string{} : set.error().message();
  };
  const std::string good = "{\"prompt\":\"a\",\"expect\":\"b\"}\n";
  EXPECT_NE(message(good + "{\"prompt\":1}").find("line 2"), std::string::npos);
  EXPECT_NE(message(good + "{\"prompt\":\"a\",\"expect\":3}").find("expect"), std::string::npos);
  EXPECT_NE(message(good + "{\"prompt\":\"a\",\"expect\":\"b\",\"match\":\"fuzzy\"}").find("fuzzy"),
            std::string::npos);
  EXPECT_NE(message(good + "not json").find("line 2"), std::string::npos);
  EXPECT_NE(message(good + "{\"prompt\":\"a\",\"expect\":\"x\",\"match\":\"json\"}").find("JSON"),
            std::string::npos);
  message("");
  message("{}");
}

TEST(Golden, ReadsInlineTensorsWithScaleAndClassNames) {
  const auto set = parse_golden(
      "{\"input\":\"w\",\"output\":\"p\",\"classes\":[\"ok\",\"bad\"],\"match\":\"argmax\","
      "\"scale\":0.5,"
      "\"shape\":[1,2],\"cases\":[{\"expect\":\"bad\",\"values\":[2,-4]}]}");
  ASSERT_TRUE(set) << set.error().to_string();
  const GoldenCase& one = set->cases.at(0);
  EXPECT_EQ(one.match, MatchRule::kArgmax);
  EXPECT_EQ(one.expect_class, 1);
  EXPECT_EQ(one.output, "p");
  EXPECT_EQ(one.inputs.at(0).data, (std::string{"\0\0\x80\x3f\0\0\0\xc0", 8}));
}

TEST(Golden, ReadsSamplesFromTheSidecar) {
  const std::string header =
      "{\"input\":\"w\",\"classes\":[\"a\",\"b\"],\"data\":{\"file\":\"x.bin\",\"type\":"
      "\"int16le\","
      "\"scale\":0.25,\"shape\":[2,1,2]},\"labels\":[0,\"b\"]}";
  const std::string data{"\4\0\xfc\xff\0\0\x08\0", 8};
  const auto set = parse_golden(header, data);
  ASSERT_TRUE(set) << set.error().to_string();
  ASSERT_EQ(set->cases.size(), 2U);
  EXPECT_EQ(set->cases[0].inputs[0].shape, (std::vector<std::int64_t>{1, 1, 2}));
  EXPECT_EQ(set->cases[0].inputs[0].data, (std::string{"\0\0\x80\x3f\0\0\x80\xbf", 8}));
  EXPECT_EQ(set->cases[1].expect_class, 1);
  EXPECT_FALSE(parse_golden(header, data.substr(1)));
  EXPECT_FALSE(parse_golden(header));
}

TEST(Golden, HostileShapesAndLabelsAreRefused) {
  const auto refused = [](const std::string& shape, const std::string& labels) {
    return !parse_golden(
        "{\"input\":\"w\",\"classes\":[\"a\"],\"data\":{\"type\":\"float32le\",\"shape\":" + shape +
        "},\"labels\":" + labels + "}");
  };
  EXPECT_TRUE(refused("[9223372036854775807,2]", "[0]"));
  EXPECT_TRUE(refused("[-1]", "[0]"));
  EXPECT_TRUE(refused("[]", "[]"));
  EXPECT_TRUE(refused("[1]", "[7]"));
  EXPECT_TRUE(refused("[1]", "[\"c\"]"));
}

}  // namespace
}  // namespace skerry::runtime
