#pragma once

// The words of a GBNF text, one after another: names, numbers, texts and classes, and where one of
// them is wrong. The parser (grammar_parse.cpp) reads sentences of them.

#include <string>
#include <string_view>

#include "grammar_syntax.hpp"

namespace skerry::runtime {

class GrammarReader {
 public:
  GrammarReader(std::string_view text, const GrammarLimits& limits)
      : text_(text), limits_(limits) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  // NUL beyond the end.
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] bool begins(std::string_view what) const {
    return text_.substr(at_).starts_with(what);
  }
  void skip(std::size_t bytes) { at_ += bytes; }
  // White space and comments.
  void skip_space(bool newlines);

  // kInvalidArgument "grammar: line 1, column 2: …".
  [[nodiscard]] Error wrong(std::string_view what) const { return wrong_at(at_, what); }
  [[nodiscard]] Error wrong_at(std::size_t where, std::string_view what) const;

  static bool is_name(char c);
  Result<std::string> name();
  // How often something is repeated.
  Result<std::uint32_t> count();
  // From the first quote, or bracket, to the last.
  Result<GrammarExpr> literal();
  Result<GrammarExpr> character_class();

 private:
  Result<std::uint32_t> character();
  Result<std::uint32_t> escaped();
  Result<std::uint32_t> hexadecimal(std::size_t digits);

  std::string_view text_;
  const GrammarLimits& limits_;
  std::size_t at_ = 0;
};

}  // namespace skerry::runtime
