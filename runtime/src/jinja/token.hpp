#pragma once

// Cuts a template into text and the tokens of its tags, with the white space rules that chat
// templates are written for: trim_blocks, lstrip_blocks, no newline kept at the very end.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::runtime::jinja {

enum class TokenKind : std::uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // of a string: what it stands for
  std::uint32_t line = 1;
};

// Throws ParseFault.
std::vector<Token> cut(std::string_view source);

struct ParseFault {
  std::uint32_t line = 1;
  std::string message;
};

}  // namespace skerry::runtime::jinja
