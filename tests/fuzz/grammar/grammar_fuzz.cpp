// A GBNF grammar, then after a NUL byte a text that is followed through it: it ends in an answer or
// an error, within its budget.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/runtime/grammar.hpp"

#include "grammar_matcher.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using skerry::runtime::Grammar;
  using skerry::runtime::GrammarMatcher;
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const std::size_t cut = input.find('\0');
  const auto grammar =
      Grammar::parse(input.substr(0, cut), {.bytes = 4096, .rules = 256, .nodes = 20'000});
  if (!grammar || cut == std::string_view::npos) {
    return 0;
  }
  GrammarMatcher matcher{*grammar, {.configs = 512, .states = 256, .frames = 4096, .work = 20'000}};
  auto state = matcher.start();
  for (const char byte : input.substr(cut + 1)) {
    if (!state || *state == GrammarMatcher::kDead) {
      break;
    }
    const bool complete = matcher.complete(*state);
    state = matcher.advance(matcher.refresh(*state), static_cast<std::uint8_t>(byte));
    if (complete && state && *state != GrammarMatcher::kDead) {
      __builtin_trap();
    }
  }
  return 0;
}
