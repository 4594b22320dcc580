#include <algorithm>
#include <array>

#include "grammar_syntax.hpp"

namespace skerry::runtime {
namespace {

constexpr CodeRange kSurrogates{0xd800, 0xdfff};

// Cuts a range until all its code points have as many bytes, and each byte but the first that
// differs takes every value.
void split_range(std::uint32_t low, std::uint32_t high, std::vector<ByteRanges>& out) {
  for (const std::uint32_t last : {0x7fU, 0x7ffU, 0xffffU}) {
    if (low <= last && high > last) {
      split_range(low, last, out);
      split_range(last + 1, high, out);
      return;
    }
  }
  if (high > 0x7f) {
    for (std::uint32_t bytes = 1; bytes < 4; ++bytes) {
      const std::uint32_t mask = (1U << (6 * bytes)) - 1;
      if ((low & ~mask) == (high & ~mask)) {
        continue;
      }
      if ((low & mask) != 0) {
        split_range(low, low | mask, out);
        split_range((low | mask) + 1, high, out);
        return;
      }
      if ((high & mask) != mask) {
        split_range(low, (high & ~mask) - 1, out);
        split_range(high & ~mask, high, out);
        return;
      }
    }
  }
  const std::string first = encode_utf8(low);
  const std::string last = encode_utf8(high);
  ByteRanges bytes;
  for (std::size_t i = 0; i < first.size(); ++i) {
    bytes.emplace_back(static_cast<std::uint8_t>(first[i]), static_cast<std::uint8_t>(last[i]));
  }
  out.push_back(std::move(bytes));
}

void add_without_surrogates(CodeRange range, std::vector<CodeRange>& out) {
  const auto add = [&out](std::uint32_t low, std::uint32_t high) {
    if (low <= high) {
      out.emplace_back(low, high);
    }
  };
  if (range.second < kSurrogates.first || range.first > kSurrogates.second) {
    add(range.first, range.second);
    return;
  }
  add(range.first, kSurrogates.first - 1);
  add(kSurrogates.second + 1, range.second);
}

}  // namespace

std::string encode_utf8(std::uint32_t code_point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  const auto tail = [&](std::uint32_t shift) {
    return byte(0x80U | ((code_point >> shift) & 0x3fU));
  };
  if (code_point < 0x80) {
    return {byte(code_point)};
  }
  if (code_point < 0x800) {
    return {byte(0xc0U | (code_point >> 6U)), tail(0)};
  }
  if (code_point < 0x10000) {
    return {byte(0xe0U | (code_point >> 12U)), tail(6), tail(0)};
  }
  return {byte(0xf0U | (code_point >> 18U)), tail(12), tail(6), tail(0)};
}

std::vector<CodeRange> tidy_ranges(std::vector<CodeRange> ranges, bool negated) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<CodeRange> joined;
  for (const CodeRange& range : ranges) {
    if (!joined.empty() && range.first <= joined.back().second + 1) {
      joined.back().second = std::max(joined.back().second, range.second);
    } else {
      joined.push_back(range);
    }
  }
  std::vector<CodeRange> out;
  if (!negated) {
    for (const CodeRange& range : joined) {
      add_without_surrogates(range, out);
    }
    return out;
  }
  std::uint32_t from = 0;
  for (const CodeRange& range : joined) {
    if (range.first > from) {
      add_without_surrogates({from, range.first - 1}, out);
    }
    from = range.second + 1;
  }
  if (from <= kLastCodePoint) {
    add_without_surrogates({from, kLastCodePoint}, out);
  }
  return out;
}

std::vector<ByteRanges> utf8_ranges(CodeRange range) {
  std::vector<ByteRanges> out;
  split_range(range.first, range.second, out);
  return out;
}

}  // namespace skerry::runtime
