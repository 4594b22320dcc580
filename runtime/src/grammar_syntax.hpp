#pragma once

// What a GBNF text says, before it is compiled: the parser makes it, the compiler takes it.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skerry/runtime/grammar.hpp"

namespace skerry::runtime {

// Code points, both ends included.
using CodeRange = std::pair<std::uint32_t, std::uint32_t>;
inline constexpr std::uint32_t kLastCodePoint = 0x10ffff;

struct GrammarExpr {
  enum class Kind : std::uint8_t { kClass, kText, kRule, kSequence, kChoice, kRepeat };
  static constexpr std::uint32_t kUnbounded = 0xffffffffU;

  Kind kind = Kind::kSequence;
  std::vector<CodeRange> ranges;   // kClass: sorted, apart from each other
  std::string text;                // kText: UTF-8
  std::uint32_t rule = 0;          // kRule
  std::vector<GrammarExpr> parts;  // kSequence, kChoice; one for kRepeat
  std::uint32_t least = 0;         // kRepeat
  std::uint32_t most = 0;
};

struct GrammarSyntax {
  std::vector<GrammarExpr> rules;
  std::vector<std::string> names;
  std::uint32_t root = 0;
};

Result<GrammarSyntax> parse_grammar_syntax(std::string_view text, const GrammarLimits& limits);

// Sorted and joined; without the surrogates, which UTF-8 has no bytes for.
std::vector<CodeRange> tidy_ranges(std::vector<CodeRange> ranges, bool negated);

// The byte sequences of a range of code points, as one range for each byte.
using ByteRanges = std::vector<std::pair<std::uint8_t, std::uint8_t>>;
std::vector<ByteRanges> utf8_ranges(CodeRange range);

std::string encode_utf8(std::uint32_t code_point);

}  // namespace skerry::runtime
