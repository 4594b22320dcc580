#include "lexer.hpp"

#include <algorithm>
#include <array>

#include "skerry/runtime/text_filter.hpp"

namespace skerry::runtime::jinja {
namespace {

bool is_blank(char c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0d);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

int hex_value(char c) {
  if (is_digit(c)) {
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

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  std::vector<Token> run();

 private:
  [[nodiscard]] char at(std::size_t offset = 0) const {
    return position_ + offset < source_.size() ? source_[position_ + offset] : '\0';
  }
  [[nodiscard]] bool starts(std::string_view text) const {
    return source_.substr(position_).substr(0, text.size()) == text;
  }
  void step(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      line_ += source_[position_ + i] == '\n' ? 1U : 0U;
    }
    position_ += count;
  }
  void add(TokenKind kind, std::string text = {}) {
    tokens_.push_back({kind, std::move(text), line_});
  }
  [[noreturn]] void wrong(std::string message) const {
    throw ParseFault{line_, std::move(message)};
  }

  // Text up to the next tag, which decides how much white space at its end stays.
  void data();
  void comment();
  bool raw();
  void tag(bool block);
  // After a tag or comment: what its end takes away.
  void close(bool strip, bool trim);
  void word();
  void number();
  void string();
  void operation();
  void escape(std::string& out);

  std::string_view source_;
  std::size_t position_ = 0;
  std::uint32_t line_ = 1;
  bool line_starts_ = true;
  std::string brackets_;
  std::vector<Token> tokens_;
};

std::vector<Token> Lexer::run() {
  while (position_ < source_.size()) {
    data();
    if (position_ >= source_.size()) {
      break;
    }
    if (starts("{#")) {
      comment();
    } else if (starts("{%")) {
      if (!raw()) {
        tag(true);
      }
    } else {
      tag(false);
    }
  }
  add(TokenKind::kEnd);
  return std::move(tokens_);
}

void Lexer::data() {
  std::size_t end = source_.find('{', position_);
  while (end != std::string_view::npos) {
    const char next = end + 1 < source_.size() ? source_[end + 1] : '\0';
    if (next == '{' || next == '%' || next == '#') {
      break;
    }
    end = source_.find('{', end + 1);
  }
  const bool last = end == std::string_view::npos;
  end = last ? source_.size() : end;
  std::string text{source_.substr(position_, end - position_)};
  if (!last) {
    const char kind = source_[end + 1];
    const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
    if (sign == '-') {
      while (!text.empty() && is_blank(text.back())) {
        text.pop_back();
      }
    } else if (sign != '+' && kind != '{') {
      const std::size_t newline = text.rfind('\n');
      const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
      if ((begin > 0 || line_starts_) &&
          std::all_of(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), is_blank)) {
        text.resize(begin);
      }
    }
  }
  if (!text.empty()) {
    add(TokenKind::kData, std::move(text));
  }
  step(end - position_);
  line_starts_ = false;
}

void Lexer::close(bool strip, bool trim) {
  const std::size_t begin = position_;
  if (strip) {
    while (is_blank(at()) && position_ < source_.size()) {
      step(1);
    }
  } else if (trim && at() == '\n') {
    step(1);
  }
  line_starts_ = position_ > begin && source_[position_ - 1] == '\n';
}

void Lexer::comment() {
  const std::size_t end = source_.find("#}", position_ + 2);
  if (end == std::string_view::npos) {
    wrong("a comment {# has no end");
  }
  const char sign = source_[end - 1];
  step(end + 2 - position_);
  close(sign == '-', sign != '+');
}

bool Lexer::raw() {
  std::size_t here = position_ + 2;
  const auto skip = [&] {
    if (here < source_.size() && (source_[here] == '-' || source_[here] == '+')) {
      ++here;
    }
    while (here < source_.size() && is_blank(source_[here])) {
      ++here;
    }
  };
  skip();
  if (source_.substr(here, 3) != "raw" ||
      (here + 3 < source_.size() && begins_name(source_[here + 3]))) {
    return false;
  }
  here += 3;
  while (here < source_.size() && is_blank(source_[here])) {
    ++here;
  }
  const bool strip = here < source_.size() && source_[here] == '-';
  here += strip ? 1 : 0;
  if (source_.substr(here, 2) != "%}") {
    wrong("{% raw takes nothing else");
  }
  step(here + 2 - position_);
  close(strip, true);
  const std::size_t begin = position_;
  for (std::size_t end = source_.find("{%", begin); end != std::string_view::npos;
       end = source_.find("{%", end + 2)) {
    here = end + 2;
    const char sign = here < source_.size() ? source_[here] : '\0';
    skip();
    if (source_.substr(here, 6) != "endraw") {
      continue;
    }
    here += 6;
    while (here < source_.size() && is_blank(source_[here])) {
      ++here;
    }
    const bool strip_after = here < source_.size() && source_[here] == '-';
    here += strip_after ? 1 : 0;
    if (source_.substr(here, 2) != "%}") {
      continue;
    }
    std::string text{source_.substr(begin, end - begin)};
    while (sign == '-' && !text.empty() && is_blank(text.back())) {
      text.pop_back();
    }
    add(TokenKind::kData, std::move(text));
    step(here + 2 - position_);
    close(strip_after, true);
    return true;
  }
  wrong("{% raw %} has no {% endraw %}");
}

void Lexer::tag(bool block) {
  const std::string_view ends = block ? "%}" : "}}";
  add(block ? TokenKind::kBlockBegin : TokenKind::kVariableBegin);
  const std::uint32_t began = line_;
  step(2);
  if (at() == '-' || at() == '+') {
    step(1);
  }
  brackets_.clear();
  while (true) {
    while (position_ < source_.size() && is_blank(at())) {
      step(1);
    }
    if (position_ >= source_.size()) {
      throw ParseFault{began, "a tag has no end " + std::string{ends}};
    }
    const bool signed_end =
        (at() == '-' || (at() == '+' && block)) && source_.substr(position_ + 1, 2) == ends;
    if (brackets_.empty() && (signed_end || starts(ends))) {
      const bool strip = at() == '-';
      const bool trim = block && !signed_end;
      step(signed_end ? 3 : 2);
      add(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd);
      close(strip, trim);
      return;
    }
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

}  // namespace

std::vector<Token> cut(std::string_view source) {
  std::string normal;
  normal.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      normal += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      normal += '\n';
    }
  }
  if (!normal.empty() && normal.back() == '\n') {
    normal.pop_back();
  }
  return Lexer{normal}.run();
}

}  // namespace skerry::runtime::jinja
