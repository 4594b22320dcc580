#include "skerry/common/toml_reader.hpp"

#include <gtest/gtest.h>

namespace skerry {
namespace {

using namespace std::chrono_literals;

struct Values {
  std::string listen = "default";
  bool on = false;
  std::int64_t count = 7;
  std::chrono::milliseconds grace{1s};
  ByteSize size{1024};
  double rate = 0.5;
  std::vector<std::string> names;
  std::vector<std::string> rules;
};

Result<Values> read(std::string_view text) {
  auto reader = TomlReader::parse(text, "test.toml");
  if (!reader) {
    return reader.error();
  }
  Values values;
  auto server = reader->table("server");
  server.read("listen", values.listen);
  server.read("enabled", values.on);
  server.read_int("count", values.count, 1, 100);
  auto limits = server.table("limits");
  limits.read("grace", values.grace);
  limits.read("size", values.size);
  limits.read("rate", values.rate);
  server.read("names", values.names);
  for (auto& rule : reader->root().tables("rule")) {
    rule.read("name", values.rules.emplace_back());
  }
  if (auto done = reader->finish(); !done) {
    return done.error();
  }
  return values;
}

std::string message(std::string_view text) {
  const auto values = read(text);
  if (values) {
    return "accepted";
  }
  EXPECT_EQ(values.error().code(), Error::Code::kConfigInvalid);
  return values.error().message();
}

TEST(TomlReader, ReadsEveryTypeAndKeepsDefaultsOfAbsentKeys) {
  const auto values = read(R"(
[server]
listen = "[::]:1"
enabled = true
count = 99
names = ["a", "b"]
[server.limits]
grace = "2m"
size = "64 MiB"
[[rule]]
name = "first"
[[rule]]
name = "second"
)");
  ASSERT_TRUE(values) << values.error().to_string();
  EXPECT_EQ(values->listen, "[::]:1");
  EXPECT_TRUE(values->on);
  EXPECT_EQ(values->count, 99);
  EXPECT_EQ(values->grace, 2min);
  EXPECT_EQ(values->size.bytes, 64U << 20U);
  EXPECT_EQ(values->rate, 0.5);
  EXPECT_EQ(values->names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(values->rules, (std::vector<std::string>{"first", "second"}));
}

TEST(TomlReader, UnknownKeyNamesItsLineAndTheNearestKnownKey) {
  EXPECT_EQ(message("[server]\nlisten = \"x\"\nlisen = \"y\"\n"),
            "test.toml:3: unknown key \"server.lisen\"; did you mean \"server.listen\"?");
  EXPECT_EQ(message("[servr]\n"), "test.toml:1: unknown key \"servr\"; did you mean \"server\"?");
  EXPECT_EQ(message("[[rule]]\nnane = \"x\"\n"),
            "test.toml:2: unknown key \"rule[0].nane\"; did you mean \"rule[0].name\"?");
}

TEST(TomlReader, UnknownKeyNearNothingListsWhatIsKnown) {
  EXPECT_EQ(message("completely_other = 1\n"),
            "test.toml:1: unknown key \"completely_other\"; known here: server, rule");
}

TEST(TomlReader, WrongTypesAndRangesNameTheKeyAndLine) {
  EXPECT_EQ(message("[server]\nlisten = 4\n"),
            "test.toml:2: server.listen must be a string, not a whole number");
  EXPECT_EQ(message("[server]\n\ncount = 101\n"),
            "test.toml:3: server.count is 101; it must be from 1 to 100");
  EXPECT_EQ(message("server = 3\n"), "test.toml:1: server must be a table, not a whole number");
  EXPECT_EQ(message("[server]\nnames = [1]\n"),
            "test.toml:2: server.names must be an array of strings, not a whole number");
  EXPECT_NE(message("[server.limits]\ngrace = \"2 weeks\"\n").find("is not a duration"),
            std::string::npos);
  EXPECT_NE(message("[server.limits]\nsize = -1\n").find("must be a size"), std::string::npos);
}

TEST(TomlReader, TheFirstProblemInFileOrderIsReported) {
  EXPECT_EQ(message("[server]\nwhat = 1\nlisten = 2\n").substr(0, 12), "test.toml:2:");
  EXPECT_EQ(message("[server]\nlisten = 2\nwhat = 1\n").substr(0, 12), "test.toml:2:");
}

TEST(TomlReader, MalformedTextIsRefusedWithItsPlace) {
  EXPECT_EQ(message("[server\n").substr(0, 12), "test.toml:1:");
  EXPECT_EQ(message("a = 1\na = 2\n").substr(0, 12), "test.toml:2:");
  EXPECT_NE(message("a = \"\xff\xfe\"\n"), "accepted");
}

TEST(TomlReader, OversizedFileIsRefused) {
  EXPECT_NE(message("# " + std::string((1U << 20U) + 1, 'x')).find("at most 1 MiB"),
            std::string::npos);
}

TEST(TomlReader, DeeplyNestedValuesAreRefused) {
  std::string text = "a = ";
  for (int i = 0; i < 10'000; ++i) {
    text += '[';
  }
  EXPECT_NE(message(text), "accepted");
}

TEST(Units, DurationsAndSizesAreExact) {
  EXPECT_EQ(*parse_duration("500ms"), 500ms);
  EXPECT_EQ(*parse_duration("7d"), 7 * 24h);
  EXPECT_FALSE(parse_duration("5"));
  EXPECT_FALSE(parse_duration("-5s"));
  EXPECT_FALSE(parse_duration("5 s "));
  EXPECT_FALSE(parse_duration("99999999999999d"));
  EXPECT_EQ(parse_byte_size("10GB")->bytes, 10'000'000'000U);
  EXPECT_EQ(parse_byte_size("1KiB")->bytes, 1024U);
  EXPECT_FALSE(parse_byte_size("1 kilo"));
  EXPECT_FALSE(parse_byte_size("99999999999TiB"));
}

}  // namespace
}  // namespace skerry
