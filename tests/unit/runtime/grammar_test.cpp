#include "skerry/runtime/grammar.hpp"

#include <chrono>

#include <gtest/gtest.h>

#include "grammar_matcher.hpp"
#include "grammar_syntax.hpp"

namespace skerry::runtime {
namespace {

// "whole": the text fits; "open": it may go on to one that fits; "dead": it cannot; "error": the
// budget is spent.
std::string outcome(GrammarMatcher& matcher, std::string_view text) {
  Result<GrammarMatcher::State> state = matcher.start();
  for (const char byte : text) {
    if (!state) {
      return "error";
    }
    if (*state == GrammarMatcher::kDead) {
      return "dead";
    }
    state = matcher.advance(matcher.refresh(*state), static_cast<std::uint8_t>(byte));
  }
  if (!state) {
    return "error";
  }
  if (*state == GrammarMatcher::kDead) {
    return "dead";
  }
  return matcher.accepting(*state) ? "whole" : "open";
}

std::string outcome(std::string_view grammar, std::string_view text) {
  auto parsed = Grammar::parse(grammar);
  if (!parsed) {
    return parsed.error().message();
  }
  GrammarMatcher matcher{*parsed};
  return outcome(matcher, text);
}

std::string problem(std::string_view grammar) {
  auto parsed = Grammar::parse(grammar);
  return parsed ? "none" : parsed.error().message();
}

// `count` times `c`.
std::string many_of(char c, std::size_t count) {
  std::string out;
  out.append(count, c);
  return out;
}

TEST(GrammarTest, FollowsTheNotation) {
  struct Row {
    const char* grammar;
    const char* text;
    const char* expected;
  };
  const Row rows[] = {
      {"root ::= \"ab\"", "", "open"},
      {"root ::= \"ab\"", "ab", "whole"},
      {"root ::= \"ab\"", "abc", "dead"},
      {"root ::= \"a\" | \"bc\"", "b", "open"},
      {"root ::= \"a\" | \"bc\"", "bc", "whole"},
      {"root ::= [a-c]+", "cab", "whole"},
      {"root ::= [a-c]+", "", "open"},
      {"root ::= [^a-c]*", "xyz", "whole"},
      {"root ::= [^a-c]*", "xa", "dead"},
      {"root ::= [^\"\\\\]", "\"", "dead"},
      {"root ::= [ä-ö]", "é", "whole"},
      {"root ::= [ä-ö]", "\xc3", "open"},
      {"root ::= [ä-ö]", "z", "dead"},
      {"root ::= .", "€", "whole"},
      {"root ::= .", "\xed\xa0", "dead"},  // a surrogate
      {"root ::= \"\\x41\\u00e9\\U0001F600\\n\"", "Aé😀\n", "whole"},
      {"root ::= \"a\"{2,3} \"b\"", "aab", "whole"},
      {"root ::= \"a\"{2,3} \"b\"", "ab", "dead"},
      {"root ::= \"a\"{2,3} \"b\"", "aaaa", "dead"},
      {"root ::= \"a\"{2}", "aa", "whole"},
      {"root ::= \"a\"{2,}", "aaaaa", "whole"},
      {"root ::= \"a\"{0,2}", "aaa", "dead"},
      {"root ::= \"a\"{0}", "", "whole"},
      {"root ::= (\"a\"? \"b\"?)*", "abbaab", "whole"},
      {"root ::= # a comment\n  item (\",\" item)* # more\nitem ::= [0-9]\n\n", "1,2,3", "whole"},
      {"root ::= (\n \"a\" |\n \"b\"\n)\n", "b", "whole"},
      {"root ::= \"(\" root \")\" | \"\"", "((()))", "whole"},
      {"root ::= \"(\" root \")\" | \"\"", "(()", "open"},
      {"root ::= \"(\" root \")\" | \"\"", "())", "dead"},
      {"root ::= a b\na ::= \"x\"?\nb ::= a a \"y\"", "xxxy", "whole"},
      {"root ::= a b\na ::= \"x\"?\nb ::= a a \"y\"", "xxxxy", "dead"},
      {"root ::= a a a\na ::= b?\nb ::= \"q\" a", "qqqq", "whole"},
      {"root ::= []", "a", "dead"},
      {"root ::= \"\"", "", "whole"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(outcome(row.grammar, row.text), row.expected) << row.grammar << " on " << row.text;
  }
}

TEST(GrammarTest, SaysWhatIsWrongAndWhere) {
  struct Row {
    const char* grammar;
    const char* part;
  };
  const Row rows[] = {
      {"", "no rule \"root\""},
      {"other ::= \"a\"", "no rule \"root\""},
      {"root ::= \"a", "line 1, column 10: this text is not closed"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule \"root\" is defined twice"},
      {"root ::= thing", "the rule \"thing\" is not defined"},
      {"root = \"a\"", "line 1, column 6: \"::=\" is expected"},
      {"root ::= [a", "line 1, column 10: this class is not closed"},
      {"root ::= [z-a]", "this range ends before it begins"},
      {"root ::= (\"a\"", "line 1, column 10: this group is not closed"},
      {"root ::= \"a\")", "line 1, column 13: a text, a class, a rule or a group is expected"},
      {"root ::= *", "line 1, column 10: there is nothing before this to repeat"},
      {"root ::= \"a\"**", "column 14: what is repeated already is not repeated again"},
      {"root ::= \"a\"{3,2}", "the second number is less than the first"},
      {"root ::= \"a\"{9999}", "at most 4096 times"},
      {"root ::= \"a\"{x}", "a number is expected"},
      {"root ::= \"\\q\"", "line 1, column 11: this escape is not known"},
      {"root ::= \"\\ud800\"", "this is no code point"},
      {"root ::= <think>", "tokens by name are not offered"},
      {"root ::= \"a\xff\"", "must be UTF-8"},
      {"root ::= root \"a\" | \"b\"", "the rule \"root\" begins with itself"},
      {"root ::= a \"x\"\na ::= b? root\nb ::= \"y\"", "begins with itself"},
      {"root ::= (root)", "begins with itself"},
  };
  for (const Row& row : rows) {
    EXPECT_NE(problem(row.grammar).find(row.part), std::string::npos)
        << row.grammar << ": " << problem(row.grammar);
  }
}

TEST(GrammarTest, LimitsWhatItTakes) {
  EXPECT_NE(problem(std::string(300'000, ' ')).find("bytes"), std::string::npos);
  std::string deep = "root ::= ";
  deep.append(65, '(').append("\"a\"").append(65, ')');
  EXPECT_NE(problem(deep).find("nested at most 64"), std::string::npos);
  EXPECT_NE(problem(std::string(200'000, '(')).find("rule"), std::string::npos);
  std::string wide = "root ::= ";
  for (int i = 0; i < 100; ++i) {
    wide += "[^a]{4096} ";
  }
  EXPECT_NE(problem(wide).find("too large"), std::string::npos);
  std::string many = "root ::= r0\n";
  for (int i = 0; i < 9000; ++i) {
    many += "r" + std::to_string(i) + " ::= \"a\"\n";
  }
  EXPECT_NE(problem(many).find("8192 rules"), std::string::npos);
  EXPECT_NE(problem("root ::= " + many_of('|', 70'000)).find("65536 texts"), std::string::npos);
  EXPECT_NE(problem("root ::= " + many_of('.', 70'000)).find("65536 texts"), std::string::npos);
}

TEST(GrammarTest, Utf8RangesAreExact) {
  const CodeRange ranges[] = {{0, 0x10ffff},
                              {0x41, 0x41},
                              {0x7f, 0x80},
                              {0x7fe, 0x802},
                              {0xfffe, 0x10001},
                              {0x123, 0x4567}};
  for (const CodeRange& range : ranges) {
    std::vector<ByteRanges> sequences;
    for (const CodeRange& part : tidy_ranges({range}, false)) {
      for (ByteRanges& one : utf8_ranges(part)) {
        sequences.push_back(std::move(one));
      }
    }
    std::uint32_t wrong = 0;
    for (std::uint32_t code = 0; code <= kLastCodePoint; code += code < 0x12000 ? 1 : 97) {
      const bool surrogate = code >= 0xd800 && code <= 0xdfff;
      const std::string bytes = encode_utf8(code);
      int hits = 0;
      for (const ByteRanges& one : sequences) {
        bool fits = one.size() == bytes.size();
        for (std::size_t i = 0; fits && i < bytes.size(); ++i) {
          const auto byte = static_cast<std::uint8_t>(bytes[i]);
          fits = one[i].first <= byte && byte <= one[i].second;
        }
        hits += fits ? 1 : 0;
      }
      const bool in = code >= range.first && code <= range.second && !surrogate;
      wrong += hits == (in ? 1 : 0) ? 0 : 1;
    }
    EXPECT_EQ(wrong, 0U) << range.first << "-" << range.second;
  }
}

// llama.cpp's own matcher takes 18 s for 14 of these spaces: it keeps every reading apart.
TEST(GrammarTest, AmbiguityCostsNothing) {
  auto grammar =
      Grammar::parse("root ::= \" \" root p | \" \" root q | \"x\"\np ::= \"y\"\nq ::= \"y\"\n");
  ASSERT_TRUE(grammar);
  GrammarMatcher matcher{*grammar};
  EXPECT_EQ(outcome(matcher, many_of(' ', 2000).append("x").append(2000, 'y')), "whole");
  EXPECT_EQ(outcome(matcher, many_of(' ', 2000).append("x").append(2001, 'y')), "dead");
}

TEST(GrammarTest, HostileGrammarsEndInAnAnswerOrAnError) {
  std::string doubling = "root ::= a0 \"z\"\n";
  for (int i = 0; i < 40; ++i) {
    doubling += "a" + std::to_string(i) + " ::= a" + std::to_string(i + 1) + " a" +
                std::to_string(i + 1) + "\n";
  }
  doubling += "a40 ::= \"x\"?\n";
  EXPECT_EQ(outcome(doubling, "xxxxz"), "whole");
  EXPECT_EQ(outcome("root ::= s\ns ::= \"a\" s s | \"a\"? \"\" | \"a\" s", std::string(300, 'a')),
            "whole");
  EXPECT_EQ(outcome("root ::= ((\"a\"*)* (\"a\"*)*)* \"b\"", many_of('a', 3000).append("b")),
            "whole");
  // Each place in a list of thousands of optional parts may be next: beyond the budget.
  std::string wide = "root ::= ";
  for (int i = 0; i < 9000; ++i) {
    wide += "\"" + std::to_string(i) + "\"? ";
  }
  EXPECT_EQ(outcome(wide, "5"), "error");
}

// 500 rules end at once, each in a frame that goes on at 500 places: little is new, all is looked
// at.
TEST(GrammarTest, EdgesThatAreFollowedAgainCountAsWork) {
  std::string text = "root ::= x t";
  std::string rules = "x ::= a0";
  for (int i = 1; i < 500; ++i) {
    text += " | x t";
    rules += " | a" + std::to_string(i);
  }
  rules += "\nt ::= \"b\"\n";
  for (int i = 0; i < 500; ++i) {
    rules += "a" + std::to_string(i) + " ::= \"a\"\n";
  }
  auto grammar = Grammar::parse(text + "\n" + rules);
  ASSERT_TRUE(grammar) << grammar.error().message();
  GrammarMatcher narrow{*grammar, {.work = 20'000}};
  EXPECT_EQ(outcome(narrow, "a"), "error");
  GrammarMatcher wide{*grammar};
  EXPECT_EQ(outcome(wide, "ab"), "whole");
}

TEST(GrammarTest, BoundsWhatOneStateReachesWithoutAByte) {
  std::string text = "root ::= (\"\"";
  for (int i = 0; i < 1000; ++i) {
    text += " | \"\"";
  }
  auto grammar = Grammar::parse(text + ") \"a\"");
  ASSERT_TRUE(grammar) << grammar.error().message();
  GrammarMatcher narrow{*grammar, {.visits = 500}};
  EXPECT_EQ(outcome(narrow, "a"), "error");
  GrammarMatcher wide{*grammar};
  EXPECT_EQ(outcome(wide, "a"), "whole");
}

// Each place in this text is a state of 100 configurations.
TEST(GrammarTest, BoundsTheConfigurationsOfAllStates) {
  std::string text = "root ::= (\"a\"";
  for (int i = 1; i < 100; ++i) {
    text += " | \"a\"";
  }
  auto grammar = Grammar::parse(text + "){2000}");
  ASSERT_TRUE(grammar) << grammar.error().message();
  GrammarMatcher matcher{*grammar, {.stored = 4000}};
  EXPECT_EQ(outcome(matcher, many_of('a', 2000)), "whole") << "what is not needed is forgotten";
  EXPECT_LE(matcher.stored(), 4000U);
  GrammarMatcher narrow{*grammar, {.stored = 50}};
  EXPECT_EQ(outcome(narrow, "aa"), "error");
}

TEST(GrammarTest, ForgetsStatesThatAreNotNeeded) {
  auto grammar = Grammar::parse("root ::= \"[\" root \"]\" | [0-9]{1,4000}");
  ASSERT_TRUE(grammar);
  GrammarMatcher matcher{*grammar,
                         {.configs = 64, .states = 400, .frames = 100'000, .work = 20'000}};
  EXPECT_EQ(outcome(matcher, many_of('[', 1000).append("12").append(1000, ']')), "whole");
  EXPECT_LE(matcher.states(), 400U);
}

}  // namespace
}  // namespace skerry::runtime
