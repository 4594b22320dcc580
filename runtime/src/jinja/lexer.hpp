#pragma once

// The two halves of the lexer share the place in the template: what stands outside of tags
// (lexer.cpp) and the tokens of a tag (lexer_tag.cpp).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "token.hpp"

namespace skerry::runtime::jinja {

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  std::vector<Token> run();

 private:
  // Outside of tags.

  // Text up to the next tag, which decides how much white space at its end stays.
  void data();
  // Where the next tag or comment begins; the template's end if there is none.
  [[nodiscard]] std::size_t find_tag() const;
  // Takes the white space off `text` that the tag at `tag` takes away before it.
  void strip_before(std::size_t tag, std::string& text) const;
  void comment();
  bool raw();
  // Past `word` in the block tag at `tag`; nullopt if it begins with something else.
  [[nodiscard]] std::optional<std::size_t> after_word(std::size_t tag, std::string_view word) const;
  struct TagEnd {
    std::size_t after = 0;
    bool strip = false;
  };
  // The end of a block tag at `place` or after blanks there; nullopt if there is something else.
  [[nodiscard]] std::optional<TagEnd> block_end(std::size_t place) const;
  // After a tag or comment: what its end takes away.
  void close(bool strip, bool trim);

  // In a tag.

  void tag(bool block);
  // False if the tag does not end here.
  bool take_end(bool block);
  void token();
  void word();
  void number();
  void string();
  void operation();
  void escape(std::string& out);

  // Characters.

  static bool is_blank(char c) { return c == ' ' || (c >= 0x09 && c <= 0x0d); }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool begins_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  }
  // NUL, which is none of the above, after the template's end.
  [[nodiscard]] char char_at(std::size_t place) const {
    return place < source_.size() ? source_[place] : '\0';
  }
  [[nodiscard]] char at(std::size_t offset = 0) const { return char_at(position_ + offset); }
  [[nodiscard]] bool starts(std::string_view text) const {
    return source_.substr(position_).substr(0, text.size()) == text;
  }
  [[nodiscard]] std::size_t after_blanks(std::size_t place) const {
    while (is_blank(char_at(place))) {
      ++place;
    }
    return place;
  }
  void step(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      line_ += source_[position_ + i] == '\n' ? 1U : 0U;
    }
    position_ += count;
  }
  void skip_blanks() { step(after_blanks(position_) - position_); }
  void add(TokenKind kind, std::string text = {}) {
    tokens_.push_back({kind, std::move(text), line_});
  }
  [[noreturn]] void wrong(std::string message) const {
    throw ParseFault{line_, std::move(message)};
  }

  std::string_view source_;
  std::size_t position_ = 0;
  std::uint32_t line_ = 1;
  bool line_starts_ = true;
  std::string brackets_;
  std::vector<Token> tokens_;
};

}  // namespace skerry::runtime::jinja
