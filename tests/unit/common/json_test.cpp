#include "skerry/common/json.hpp"

#include <gtest/gtest.h>

namespace skerry {
namespace {

TEST(Json, ReadsAndWritesEveryKind) {
  const auto json = Json::parse(R"({"b":[1,-2,2.5,true,false,null],"a":"\u00e9\n","o":{}})");
  ASSERT_TRUE(json) << json.error().message();
  EXPECT_EQ(json->dump(), "{\"a\":\"\xc3\xa9\\n\",\"b\":[1,-2,2.5E0,true,false,null],\"o\":{}}");
  EXPECT_EQ(*Json::parse(json->dump()), *json);
  EXPECT_EQ(*Json::parse(json->dump_pretty()), *json);
}

struct BadCase {
  const char* text;
  const char* says;
};

TEST(Json, RefusesBadInputAndSaysWhere) {
  const std::vector<BadCase> cases{
      {"", "byte 0"},
      {"{", "byte 1"},
      {"{} x", "extra bytes"},
      {"{\"a\":1,\"a\":2}", "duplicate key \"a\""},
      {"{\"a\":{\"b\":1,\"b\":1}}", "duplicate key \"b\""},
      {"[1,]", "byte 3"},
      {"{'a':1}", "byte 1"},
      {"\"\xff\"", "UTF-8"},
      {"nul", "byte 3"},
      {"[01]", "byte 2"},
      {"// c\n1", "byte 0"},
      {"[NaN]", "byte 1"},
  };
  for (const auto& bad : cases) {
    const auto json = Json::parse(bad.text);
    ASSERT_FALSE(json) << bad.text;
    EXPECT_NE(json.error().message().find(bad.says), std::string::npos)
        << bad.text << ": " << json.error().message();
  }
}

TEST(Json, HoldsItsLimits) {
  const std::string deep = std::string(33, '[') + std::string(33, ']');
  EXPECT_FALSE(Json::parse(deep));
  EXPECT_TRUE(Json::parse(deep.substr(1, 64)));
  EXPECT_EQ(Json::parse("[1,2,3]", {.bytes = 4, .depth = 8}).error().code(),
            Error::Code::kTooLarge);
  JsonLimits few;
  few.values = 4;
  EXPECT_EQ(Json::parse(R"({"a":[1,2],"b":"3, 4, 5"})", few).error().code(), Error::Code::kTooLarge)
      << "two numbers, their list, a text and the object";
  EXPECT_TRUE(Json::parse(R"([1,2,"3, 4, 5"])", few));
}

TEST(Json, CanonicalFormIsTheOneThatTufSigns) {
  const auto json = Json::parse(R"({"z":"a\"\\\n","a":[2,1],"m":{"y":null,"x":true}})");
  ASSERT_TRUE(json);
  EXPECT_EQ(*json->canonical(),
            "{\"a\":[2,1],\"m\":{\"x\":true,\"y\":null},\"z\":\"a\\\"\\\\\n\"}");
  EXPECT_FALSE(Json{1.5}.canonical());
}

TEST(Json, TypedMembersNameTheKeyThatIsWrong) {
  const auto json =
      Json::parse(R"({"name":"x","size":3,"ratio":0.5,"on":true,"list":[],"map":{}})");
  ASSERT_TRUE(json);
  EXPECT_EQ(*json->get_string("name"), "x");
  EXPECT_EQ(*json->get_int("size"), 3);
  EXPECT_DOUBLE_EQ(*json->get_number("ratio"), 0.5);
  EXPECT_DOUBLE_EQ(*json->get_number("size"), 3.0);
  EXPECT_TRUE(*json->get_bool("on"));
  EXPECT_TRUE(json->get_array("list"));
  EXPECT_TRUE(json->get_object("map"));
  EXPECT_EQ(json->get_int("name").error().message(), "\"name\" must be a whole number");
  EXPECT_EQ(json->get_int("missing").error().message(), "\"missing\" is missing");
  EXPECT_FALSE(json->get_int("ratio"));
}

}  // namespace
}  // namespace skerry
