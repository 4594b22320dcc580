#pragma once

// Texts of a grammar, written at random.

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "grammar_matcher.hpp"

namespace skerry::test {

// Empty if it grows beyond `most` bytes. What closes something comes more often than chance has it,
// so that most texts come to an end.
inline std::string random_text(const std::shared_ptr<const runtime::Grammar>& grammar,
                               std::uint32_t seed,
                               std::size_t most = 3000) {
  using runtime::GrammarMatcher;
  GrammarMatcher matcher{grammar};
  std::mt19937 random{seed};
  std::string text;
  auto state = matcher.start();
  while (state && text.size() < most) {
    if (matcher.complete(*state) || (matcher.accepting(*state) && random() % 3 == 0)) {
      return text;
    }
    std::vector<std::pair<char, GrammarMatcher::State>> open;
    std::vector<std::pair<char, GrammarMatcher::State>> closing;
    for (int byte = 0; byte < 256; ++byte) {
      auto next = matcher.advance(*state, static_cast<std::uint8_t>(byte));
      if (next && *next != GrammarMatcher::kDead) {
        open.emplace_back(static_cast<char>(byte), *next);
        if (byte == '"' || byte == '}' || byte == ']' || byte == 'n') {
          closing.push_back(open.back());
        }
      }
    }
    if (open.empty()) {
      return {};
    }
    const auto& from = !closing.empty() && random() % 3 == 0 ? closing : open;
    const auto& [byte, next] = from[random() % from.size()];
    text.push_back(byte);
    state = matcher.refresh(next);
  }
  return {};
}

}  // namespace skerry::test
