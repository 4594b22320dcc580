#pragma once

// Guesses how a text goes on by what followed the last time that it said the same ("prompt lookup":
// Saxena 2023). Answers that quote, edit or list say much again. ADR 0110.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace skerry::runtime {

// A prompt and what was answered so far, one after the other. Borrows both.
class TokenTrail {
 public:
  TokenTrail(std::span<const std::int32_t> prompt, std::span<const std::int32_t> answer)
      : prompt_(prompt), answer_(answer) {}
  [[nodiscard]] std::size_t size() const { return prompt_.size() + answer_.size(); }
  std::int32_t operator[](std::size_t index) const {
    return index < prompt_.size() ? prompt_[index] : answer_[index - prompt_.size()];
  }

 private:
  std::span<const std::int32_t> prompt_;
  std::span<const std::int32_t> answer_;
};

// At most `most` tokens that may come next: those after the place whose tokens before it agree
// longest with the last ones, the latest of several. Empty if fewer than three agree anywhere. Of a
// text that repeats itself with a short period, the period is continued.
std::vector<std::int32_t> guess_next(const TokenTrail& trail, std::size_t most);

}  // namespace skerry::runtime
