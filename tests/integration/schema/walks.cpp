// For each line, a JSON schema, writes one line: a JSON array with texts of its grammar. Ends with
// 1 at the first schema that is refused.
#include <cstdio>
#include <iostream>
#include <string>

#include "skerry/agent/json_schema.hpp"
#include "skerry/common/json.hpp"

#include "grammar_walk.hpp"

int main() {
  constexpr std::uint32_t kTexts = 6;
  std::string line;
  for (std::uint32_t number = 1; std::getline(std::cin, line); ++number) {
    const auto text = skerry::agent::schema_grammar(line, "schema");
    if (!text) {
      std::cerr << "line " << number << ": " << text.error().message() << "\n";
      return 1;
    }
    const auto grammar = skerry::runtime::Grammar::parse(*text);
    if (!grammar) {
      std::cerr << "line " << number << ": " << grammar.error().message() << "\n" << *text;
      return 1;
    }
    skerry::Json::Array texts;
    for (std::uint32_t walk = 0; walk < kTexts; ++walk) {
      std::string one = skerry::test::random_text(*grammar, number * kTexts + walk);
      if (!one.empty()) {
        texts.emplace_back(std::move(one));
      }
    }
    std::cout << skerry::Json{std::move(texts)}.dump() << "\n";
  }
  return 0;
}
