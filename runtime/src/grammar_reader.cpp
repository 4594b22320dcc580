#include "grammar_reader.hpp"

#include <algorithm>
#include <charconv>

namespace skerry::runtime {

bool GrammarReader::is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

Error GrammarReader::wrong_at(std::size_t where, std::string_view what) const {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i < std::min(where, text_.size()); ++i) {
    const auto byte = static_cast<unsigned char>(text_[i]);
    if (byte == '\n') {
      ++line;
      column = 1;
    } else if ((byte & 0xc0U) != 0x80U) {
      ++column;
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "grammar: line " + std::to_string(line) + ", column " + std::to_string(column) +
                   ": " + std::string{what}};
}

void GrammarReader::skip_space(bool newlines) {
  while (!at_end()) {
    const char c = peek();
    if (c == '#') {
      while (!at_end() && peek() != '\n' && peek() != '\r') {
        ++at_;
      }
    } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
      ++at_;
    } else {
      return;
    }
  }
}

Result<std::string> GrammarReader::name() {
  const std::size_t from = at_;
  while (is_name(peek())) {
    ++at_;
  }
  if (at_ == from) {
    return wrong("the name of a rule is expected (letters, digits and '-')");
  }
  return std::string{text_.substr(from, at_ - from)};
}

Result<std::uint32_t> GrammarReader::count() {
  std::uint32_t value = 0;
  const char* const from = text_.data() + at_;
  const auto read = std::from_chars(from, text_.data() + text_.size(), value);
  if (read.ec == std::errc::invalid_argument) {
    return wrong("a number is expected");
  }
  if (read.ec != std::errc{} || value > limits_.repeats) {
    return wrong("something is repeated at most " + std::to_string(limits_.repeats) + " times");
  }
  at_ += static_cast<std::size_t>(read.ptr - from);
  return value;
}

Result<GrammarExpr> GrammarReader::literal() {
  const std::size_t from = at_++;
  GrammarExpr out;
  out.kind = GrammarExpr::Kind::kText;
  while (peek() != '"') {
    if (at_end() || peek() == '\n') {
      return wrong_at(from, "this text is not closed");
    }
    Result<std::uint32_t> one = character();
    if (!one) {
      return one.error();
    }
    out.text += encode_utf8(*one);
  }
  ++at_;
  return out;
}

Result<GrammarExpr> GrammarReader::character_class() {
  const std::size_t from = at_++;
  const bool negated = peek() == '^';
  at_ += negated ? 1 : 0;
  std::vector<CodeRange> ranges;
  while (peek() != ']') {
    if (at_end()) {
      return wrong_at(from, "this class is not closed");
    }
    Result<std::uint32_t> low = character();
    if (!low) {
      return low.error();
    }
    std::uint32_t last = *low;
    if (peek() == '-' && peek(1) != ']') {
      ++at_;
      Result<std::uint32_t> high = character();
      if (!high) {
        return high.error();
      }
      last = *high;
    }
    if (last < *low) {
      return wrong("this range ends before it begins");
    }
    ranges.emplace_back(*low, last);
  }
  ++at_;
  GrammarExpr out;
  out.kind = GrammarExpr::Kind::kClass;
  out.ranges = tidy_ranges(std::move(ranges), negated);
  return out;
}

// One code point of a literal or a class.
Result<std::uint32_t> GrammarReader::character() {
  if (at_end()) {
    return wrong("the text ends here");
  }
  if (peek() == '\\') {
    return escaped();
  }
  const auto lead = static_cast<unsigned char>(text_[at_++]);
  if (lead < 0x80) {
    return lead;
  }
  // The text is UTF-8: the lead byte tells how many follow.
  const std::size_t more = lead >= 0xf0 ? 3U : lead >= 0xe0 ? 2U : 1U;
  std::uint32_t code_point = lead & (0x3fU >> more);
  for (std::size_t i = 0; i < more && !at_end(); ++i) {
    code_point = (code_point << 6U) | (static_cast<unsigned char>(text_[at_++]) & 0x3fU);
  }
  return code_point;
}

Result<std::uint32_t> GrammarReader::escaped() {
  const std::size_t from = at_++;
  const char what = peek();
  ++at_;
  switch (what) {
    case 'x':
      return hexadecimal(2);
    case 'u':
      return hexadecimal(4);
    case 'U':
      return hexadecimal(8);
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'n':
      return '\n';
    case '\\':
    case '"':
    case '[':
    case ']':
      return static_cast<std::uint32_t>(static_cast<unsigned char>(what));
    default:
      return wrong_at(
          from, "this escape is not known: \\x, \\u, \\U, \\t, \\r, \\n, \\\\, \\\", \\[, \\]");
  }
}

Result<std::uint32_t> GrammarReader::hexadecimal(std::size_t digits) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < digits; ++i, ++at_) {
    const char c = peek();
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0 || value > 0x0fffffff) {
      return wrong(std::to_string(digits) + " hexadecimal digits are expected");
    }
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  if (value > kLastCodePoint || (value >= 0xd800 && value <= 0xdfff)) {
    return wrong("this is no code point");
  }
  return value;
}

}  // namespace skerry::runtime
