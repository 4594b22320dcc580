#include "lexer.hpp"

#include <algorithm>

namespace skerry::runtime::jinja {

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

std::size_t Lexer::find_tag() const {
  std::size_t tag = source_.find('{', position_);
  while (tag != std::string_view::npos) {
    const char next = char_at(tag + 1);
    if (next == '{' || next == '%' || next == '#') {
      return tag;
    }
    tag = source_.find('{', tag + 1);
  }
  return source_.size();
}

void Lexer::strip_before(std::size_t tag, std::string& text) const {
  const char kind = char_at(tag + 1);
  const char sign = char_at(tag + 2);
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

void Lexer::data() {
  const std::size_t end = find_tag();
  std::string text{source_.substr(position_, end - position_)};
  if (end < source_.size()) {
    strip_before(end, text);
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
    skip_blanks();
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

std::optional<std::size_t> Lexer::after_word(std::size_t tag, std::string_view word) const {
  std::size_t place = tag + 2;
  if (char_at(place) == '-' || char_at(place) == '+') {
    ++place;
  }
  place = after_blanks(place);
  if (source_.substr(place, word.size()) != word || begins_name(char_at(place + word.size()))) {
    return std::nullopt;
  }
  return place + word.size();
}

std::optional<Lexer::TagEnd> Lexer::block_end(std::size_t place) const {
  place = after_blanks(place);
  const bool strip = char_at(place) == '-';
  place += strip ? 1 : 0;
  if (source_.substr(place, 2) != "%}") {
    return std::nullopt;
  }
  return TagEnd{place + 2, strip};
}

bool Lexer::raw() {
  const std::optional<std::size_t> opening = after_word(position_, "raw");
  if (!opening) {
    return false;
  }
  const std::optional<TagEnd> opened = block_end(*opening);
  if (!opened) {
    wrong("{% raw takes nothing else");
  }
  step(opened->after - position_);
  close(opened->strip, true);
  const std::size_t begin = position_;
  for (std::size_t end = source_.find("{%", begin); end != std::string_view::npos;
       end = source_.find("{%", end + 2)) {
    const std::optional<std::size_t> closing = after_word(end, "endraw");
    const std::optional<TagEnd> closed = closing ? block_end(*closing) : std::nullopt;
    if (!closed) {
      continue;
    }
    std::string text{source_.substr(begin, end - begin)};
    while (char_at(end + 2) == '-' && !text.empty() && is_blank(text.back())) {
      text.pop_back();
    }
    add(TokenKind::kData, std::move(text));
    step(closed->after - position_);
    close(closed->strip, true);
    return true;
  }
  wrong("{% raw %} has no {% endraw %}");
}

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
