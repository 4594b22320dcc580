// JSON schemas as grammars: what is made, kept and refused. tests/integration/schema has random
// schemas beside an independent validator.
#include "skerry/agent/json_schema.hpp"

#include <gtest/gtest.h>

#include "skerry/common/json.hpp"
#include "skerry/runtime/grammar.hpp"

#include "grammar_fits.hpp"
#include "grammar_walk.hpp"

namespace skerry::agent {
namespace {

using runtime::Grammar;

std::string grammar_or_error(std::string_view schema) {
  Result<std::string> made = schema_grammar(schema, "schema");
  return made ? *made : "error: " + made.error().message();
}

// Whether the schema's grammar takes the text.
bool fits(std::string_view schema, std::string_view text) {
  Result<std::string> made = schema_grammar(schema, "schema");
  EXPECT_TRUE(made) << schema << ": " << (made ? "" : made.error().message());
  auto grammar = Grammar::parse(made ? *made : "");
  EXPECT_TRUE(grammar) << *made << (grammar ? "" : grammar.error().message());
  if (!grammar) {
    return false;
  }
  return test::fits(*grammar, text);
}

TEST(JsonSchemaTest, TakesWhatTheSchemaSays) {
  struct Row {
    const char* schema;
    const char* text;
    bool expected;
  };
  constexpr const char* kPerson =
      R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},
          "required":["name"],"additionalProperties":false})";
  constexpr const char* kOpen =
      R"({"type":"object","properties":{"ab":{"type":"null"},"b":{"type":"null"}},
          "additionalProperties":{"type":"boolean"}})";
  const Row rows[] = {
      {R"({"type":"string"})", R"("é\n\u00e9")", true},
      {R"({"type":"string"})", R"("\ud800")", false},
      {R"({"type":"string","minLength":2,"maxLength":3})", R"("é€")", true},
      {R"({"type":"string","minLength":2,"maxLength":3})", R"("a")", false},
      {R"({"type":"string","minLength":2,"maxLength":3})", R"("abcd")", false},
      {R"({"type":"integer"})", "-17", true},
      {R"({"type":"integer"})", "017", false},
      {R"({"type":"integer"})", "1.5", false},
      {R"({"type":"integer","minimum":0})", "-1", false},
      {R"({"type":"integer","minimum":1})", "0", false},
      {R"({"type":"integer","minimum":-2,"maximum":12})", "12", true},
      {R"({"type":"integer","minimum":-2,"maximum":12})", "13", false},
      {R"({"type":"number"})", "-1.5e-3", true},
      {R"({"type":["string","null"]})", "null", true},
      {R"({"type":"boolean"})", "true", true},
      {R"({"enum":["a",1,null,[1]]})", "[1]", true},
      {R"({"enum":["a",1,null,[1]]})", "\"b\"", false},
      {R"({"type":"string","enum":["a",1]})", "1", false},
      {R"({"const":{"x":[true]}})", R"({"x":[true]})", true},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2})", "[1, 2]", true},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2})", "[]", false},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2})",
       "[1,2,3]",
       false},
      {R"({"type":"array","maxItems":0})", "[]", true},
      {R"({"type":"array"})", R"([1,"a",{}])", true},
      {kPerson, R"({"name": "Ada", "age": 36})", true},
      {kPerson, R"({"name":"Ada"})", true},
      {kPerson, R"({"age":36})", false},
      {kPerson, R"({"name":"Ada","more":1})", false},
      {R"({"type":"object","properties":{"z":{"type":"null"},"a":{"type":"null"}}})",
       R"({"z":null,"a":null})",
       true},
      {R"({"type":"object","properties":{"z":{"type":"null"},"a":{"type":"null"}}})",
       R"({"a":null,"z":null})",
       false},
      {R"({"type":"object","properties":{"z":{"type":"null"},"a":{"type":"null"}}})", "{}", true},
      {kOpen, R"({"ab":null,"c":true,"a":false})", true},
      {kOpen, R"({"ab":true})", false},
      {kOpen, R"({"b":true})", false},
      {kOpen, R"({"abc":true,"":false})", true},
      {R"({"type":"object"})", R"({"any":[{"thing":1}]})", true},
      {R"({})", "3", true},
      {R"(true)", "[]", true},
      {R"({"anyOf":[{"type":"null"},{"type":"integer"}]})", "5", true},
      {R"({"oneOf":[{"type":"null"},{"type":"integer"}]})", "\"\"", false},
      {R"({"$defs":{"t":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/t"},{"type":"null"}]}},"required":["next"]}},"$ref":"#/$defs/t"})",
       R"({"next":{"next":null}})",
       true},
      {R"({"type":"string","format":"date"})", "\"2026-02-29\"", false},
      {R"({"type":"string","format":"date"})", "\"2026-11-23\"", true},
      {R"({"type":"string","format":"date-time"})", "\"2026-11-23T09:00:00Z\"", true},
      {R"({"type":"string","format":"uuid"})", "\"123e4567-e89b-12d3-a456-426614174000\"", true},
      {R"({"title":"T","description":"d","type":"null","default":1})", "null", true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(fits(row.schema, row.text), row.expected) << row.schema << " on " << row.text;
  }
}

TEST(JsonSchemaTest, RefusesByNameWhatItCannotKeep) {
  struct Row {
    const char* schema;
    const char* part;
  };
  const Row rows[] = {
      {"{", "schema: is not JSON"},
      {"3", "a schema must be an object"},
      {"false", "false takes no value"},
      {R"({"type":"string","pattern":"a+"})", "schema: the keyword \"pattern\" is not offered"},
      {R"({"properties":{"a":{"not":{}}}})", "schema.properties.a: the keyword \"not\""},
      {R"({"type":"array","items":{"uniqueItems":true}})",
       "schema.items: the keyword \"uniqueItems\""},
      {R"({"type":"thing"})", "\"type\" must be"},
      {R"({"type":[]})", "at least one type"},
      {R"({"type":"string","minLength":-1})", "\"minLength\" must be a whole number"},
      {R"({"type":"string","maxLength":100000})", "from 0 to 4000"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "less than"},
      {R"({"type":"array","minItems":3,"maxItems":2})", "less than"},
      {R"({"type":"string","format":"email"})", "the format \"email\" is not offered"},
      {R"({"type":"number","minimum":0})", "for integers"},
      {R"({"type":"integer","minimum":5})", "one bound alone"},
      {R"({"type":"integer","minimum":0,"maximum":100000})", "1000 apart"},
      {R"({"type":"object","required":["a"]})", "\"required\" must hold names"},
      {R"({"$ref":"http://example.org/x"})", "only this schema is read"},
      {R"({"$ref":"#/$defs/none"})", "leads to nothing"},
      {R"({"$ref":"#"})", "leads to"},
      {R"({"anyOf":[]})", "schema.anyOf: must be an array"},
      {R"({"anyOf":[{}],"type":"string"})", "beside \"anyOf\""},
      {R"({"allOf":[{},{}]})", "only one schema"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "alternatives must differ"},
      {R"({"oneOf":[{"type":"object","properties":{"k":{"const":1}},"required":["k"]},
                    {"type":"object","properties":{"k":{"const":1.0}},"required":["k"]}]})",
       "alternatives must differ"},
      {R"({"oneOf":[{"type":"object","properties":{"k":{"const":[1]}},"required":["k"]},
                    {"type":"object","properties":{"k":{"const":[1.0]}},"required":["k"]}]})",
       "alternatives must differ"},
      {R"({"enum":[]})", "\"enum\" must be an array"},
      {R"({"type":"string","enum":[1]})", "none of the listed values"},
      {R"({"enum":[1],"minimum":0})", "beside listed values"},
      {R"({"minLength":1,"items":{}})", "\"type\" is missing"},
  };
  for (const Row& row : rows) {
    EXPECT_NE(grammar_or_error(row.schema).find(row.part), std::string::npos)
        << row.schema << ": " << grammar_or_error(row.schema);
    EXPECT_TRUE(grammar_or_error(row.schema).starts_with("error")) << row.schema;
  }
}

TEST(JsonSchemaTest, LimitsWhatItTakes) {
  std::string deep;
  for (int i = 0; i < 60; ++i) {
    deep += R"({"type":"array","items":)";
  }
  deep += "{}";
  deep.append(60, '}');
  EXPECT_NE(grammar_or_error(deep).find("nested"), std::string::npos) << grammar_or_error(deep);
  EXPECT_NE(grammar_or_error(std::string(200'000, ' ')).find("bytes"), std::string::npos);
  std::string wide = R"({"type":"object","properties":{)";
  for (int i = 0; i < 6000; ++i) {
    wide += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + "\":{}";
  }
  wide += "}}";
  EXPECT_NE(grammar_or_error(wide).find("too large"), std::string::npos);
}

// Names beside free ones are followed letter by letter: a long one once used up the stack.
TEST(JsonSchemaTest, RefusesALongNameBesideFreeOnes) {
  const std::string long_name = R"({"type":"object","properties":{")" + std::string(100'000, 'n') +
                                R"(":{}},"additionalProperties":true})";
  EXPECT_NE(grammar_or_error(long_name).find("at most 256 bytes"), std::string::npos);
  const std::string longest = R"({"type":"object","properties":{")" + std::string(256, 'n') +
                              R"(":{}},"additionalProperties":true})";
  EXPECT_TRUE(fits(longest, R"({"other":1})"));
}

TEST(JsonSchemaTest, TheTextOfAMemberKeepsItsOrder) {
  EXPECT_EQ(member_text(R"({"a":{"z":1,"b":[2,{"y":3,"c":4}]}})", {"a"}),
            R"({"z":1,"b":[2,{"y":3,"c":4}]})");
  EXPECT_EQ(member_text(R"({"a":1})", {"b"}), "");
  EXPECT_EQ(member_text("{", {"b"}), "");
}

// gRPC carries messages of at most 8 KiB.
TEST(JsonSchemaTest, TellsTheBeginningOfLongNames) {
  const std::string letters(20000, 'a');
  const auto keyword = schema_grammar(R"({")" + letters + R"(":1})", "schema");
  ASSERT_FALSE(keyword);
  EXPECT_THAT(keyword.error().message(), ::testing::HasSubstr("aaa…"));
  EXPECT_LT(keyword.error().message().size(), 1000U);
  const auto nested =
      schema_grammar(R"({"type":"object","properties":{")" + letters + R"(":7}})", "schema");
  ASSERT_FALSE(nested);
  EXPECT_LT(nested.error().message().size(), 1000U);
}

TEST(JsonSchemaTest, AnyObjectIsAnObject) {
  auto grammar = Grammar::parse(json_object_grammar());
  ASSERT_TRUE(grammar) << grammar.error().message();
  int checked = 0;
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    const std::string text = test::random_text(*grammar, seed);
    if (!text.empty()) {
      Result<Json> parsed = Json::parse(text);
      // Keys that come twice are JSON, which this parser refuses.
      const bool twice = !parsed && parsed.error().message().find("twice") != std::string::npos;
      EXPECT_TRUE(twice || (parsed && parsed->is_object())) << text;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

}  // namespace
}  // namespace skerry::agent
