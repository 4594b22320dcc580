#pragma once

// Whether a text is an answer that a grammar takes: for the tests of what is made into grammars.

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "skerry/runtime/grammar.hpp"

#include "grammar_matcher.hpp"

namespace skerry::test {

// The grammar takes the text, and may end there.
inline bool fits(std::shared_ptr<const runtime::Grammar> grammar, std::string_view text) {
  runtime::GrammarMatcher matcher{std::move(grammar)};
  auto state = matcher.start();
  for (const char byte : text) {
    if (!state || *state == runtime::GrammarMatcher::kDead) {
      return false;
    }
    state = matcher.advance(matcher.refresh(*state), static_cast<std::uint8_t>(byte));
  }
  return state && *state != runtime::GrammarMatcher::kDead && matcher.accepting(*state);
}

}  // namespace skerry::test
