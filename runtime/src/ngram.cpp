#include "ngram.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

// Two tokens agree by chance all over a text.
constexpr std::size_t kLeastMatch = 3;
// A longer agreement says no more.
constexpr std::size_t kLongestMatch = 16;
// Tokens that are looked through, from the last one back: some 30 µs.
constexpr std::size_t kFarthest = 32768;

// How many tokens before `end` agree with the last ones of the text.
std::size_t agreement(const TokenTrail& trail, std::size_t end) {
  const std::size_t most = std::min(end, kLongestMatch);
  std::size_t count = 0;
  while (count < most && trail[end - 1 - count] == trail[trail.size() - 1 - count]) {
    ++count;
  }
  return count;
}

// The token after the best agreement; 0: there is none.
std::size_t best_place(const TokenTrail& trail) {
  const std::size_t size = trail.size();
  const std::size_t first = size > kFarthest ? size - kFarthest : 0;
  std::size_t best = kLeastMatch - 1;
  std::size_t place = 0;
  for (std::size_t end = size - 1; end >= first + kLeastMatch && best < kLongestMatch; --end) {
    if (const std::size_t count = agreement(trail, end); count > best) {
      best = count;
      place = end;
    }
  }
  return place;
}

}  // namespace

std::vector<std::int32_t> guess_next(const TokenTrail& trail, std::size_t most) {
  std::vector<std::int32_t> guess;
  if (trail.size() <= kLeastMatch || most == 0) {
    return guess;
  }
  const std::size_t place = best_place(trail);
  if (place == 0) {
    return guess;
  }
  guess.reserve(most);
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t at = place + i;
    guess.push_back(at < trail.size() ? trail[at] : guess[at - trail.size()]);
  }
  return guess;
}

}  // namespace skerry::runtime
