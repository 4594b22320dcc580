#include <array>

#include "skerry/runtime/text_filter.hpp"

#include "lexer.hpp"

namespace skerry::runtime::jinja {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void append_point(std::string& out, std::uint32_t point) {
  const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xc0U | (point >> 6U));
    byte(0x80U | (point & 0x3fU));
  } else if (point < 0x10000) {
    byte(0xe0U | (point >> 12U));
    byte(0x80U | ((point >> 6U) & 0x3fU));
    byte(0x80U | (point & 0x3fU));
  } else {
    byte(0xf0U | (point >> 18U));
    byte(0x80U | ((point >> 12U) & 0x3fU));
    byte(0x80U | ((point >> 6U) & 0x3fU));
    byte(0x80U | (point & 0x3fU));
  }
}

}  // namespace

void Lexer::tag(bool block) {
  add(block ? TokenKind::kBlockBegin : TokenKind::kVariableBegin);
  const std::uint32_t began = line_;
  step(2);
  if (at() == '-' || at() == '+') {
    step(1);
  }
  brackets_.clear();
  skip_blanks();
  while (!take_end(block)) {
    if (position_ >= source_.size()) {
      throw ParseFault{began, std::string{"a tag has no end "} + (block ? "%}" : "}}")};
    }
    token();
    skip_blanks();
  }
}

bool Lexer::take_end(bool block) {
  const std::string_view end = block ? "%}" : "}}";
  const bool strip = at() == '-';
  const bool has_sign =
      (strip || (at() == '+' && block)) && source_.substr(position_ + 1, 2) == end;
  if (!brackets_.empty() || (!has_sign && !starts(end))) {
    return false;
  }
  step(has_sign ? 3 : 2);
  add(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd);
  close(strip, block && !has_sign);
  return true;
}

void Lexer::token() {
  if (begins_name(at())) {
    word();
  } else if (is_digit(at())) {
    number();
  } else if (at() == '"' || at() == '\'') {
    string();
  } else {
    operation();
  }
}

void Lexer::word() {
  std::size_t length = 1;
  while (begins_name(at(length)) || is_digit(at(length))) {
    ++length;
  }
  add(TokenKind::kName, std::string{source_.substr(position_, length)});
  step(length);
}

void Lexer::number() {
  std::string text;
  bool fraction = false;
  std::size_t length = 0;
  for (; is_digit(at(length)) || at(length) == '_'; ++length) {
    if (at(length) != '_') {
      text += at(length);
    }
  }
  const bool after_dot =
      !tokens_.empty() && tokens_.back().kind == TokenKind::kOperator && tokens_.back().text == ".";
  if (!after_dot && at(length) == '.' && is_digit(at(length + 1))) {
    fraction = true;
    text += '.';
    for (++length; is_digit(at(length)); ++length) {
      text += at(length);
    }
  }
  const std::size_t sign = at(length + 1) == '-' || at(length + 1) == '+' ? 1 : 0;
  if (!after_dot && (at(length) == 'e' || at(length) == 'E') && is_digit(at(length + 1 + sign))) {
    fraction = true;
    text += source_.substr(position_ + length, 1 + sign);
    for (length += 1 + sign; is_digit(at(length)); ++length) {
      text += at(length);
    }
  }
  if (begins_name(at(length))) {
    wrong("a number ends in letters");
  }
  add(fraction ? TokenKind::kFloat : TokenKind::kInteger, std::move(text));
  step(length);
}

void Lexer::escape(std::string& out) {
  constexpr std::string_view kFrom = "nrtfvab0\\'\"";
  constexpr std::string_view kTo{"\n\r\t\f\v\a\b\0\\'\"", 11};
  const char c = at(1);
  if (const std::size_t found = kFrom.find(c); found != std::string_view::npos && c != '\0') {
    out += kTo[found];
    step(2);
    return;
  }
  const std::size_t digits = c == 'x' ? 2 : (c == 'u' ? 4 : (c == 'U' ? 8 : 0));
  if (c == '\n') {
    step(2);
    return;
  }
  if (digits == 0) {
    out += '\\';
    step(1);
    return;
  }
  std::uint32_t point = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const int value = hex_value(at(2 + i));
    if (value < 0) {
      wrong("a string has a wrong escape");
    }
    point = point * 16 + static_cast<std::uint32_t>(value);
  }
  if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
    wrong("a string has an escape that is no character");
  }
  append_point(out, point);
  step(2 + digits);
}

void Lexer::string() {
  const char quote = at();
  const std::uint32_t began = line_;
  std::string text;
  step(1);
  while (at() != quote) {
    if (position_ >= source_.size()) {
      throw ParseFault{began, "a string has no end"};
    }
    if (at() == '\\') {
      escape(text);
    } else {
      text += at();
      step(1);
    }
  }
  step(1);
  tokens_.push_back({TokenKind::kString, std::move(text), began});
}

void Lexer::operation() {
  constexpr std::array<std::string_view, 6> kPairs{"//", "**", "==", "!=", ">=", "<="};
  for (const std::string_view pair : kPairs) {
    if (starts(pair)) {
      add(TokenKind::kOperator, std::string{pair});
      step(2);
      return;
    }
  }
  const char c = at();
  constexpr std::string_view kSingle = "+-/*%~<>=.,:|()[]{}";
  if (kSingle.find(c) == std::string_view::npos) {
    wrong("unexpected \"" + to_valid_utf8(source_.substr(position_, 1)) + "\" in a tag");
  }
  if (c == '(' || c == '[' || c == '{') {
    brackets_ += c == '(' ? ')' : (c == '[' ? ']' : '}');
  } else if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty() || brackets_.back() != c) {
      wrong(std::string{"\""} + c + "\" closes nothing");
    }
    brackets_.pop_back();
  }
  add(TokenKind::kOperator, std::string(1, c));
  step(1);
}

}  // namespace skerry::runtime::jinja
