// The notation of GBNF, as llama.cpp's grammars/README.md has it; tokens by name (<think>) and lazy
// grammars are not part of it here.

#include <algorithm>
#include <charconv>

#include "skerry/common/bytes.hpp"

#include "grammar_syntax.hpp"

namespace skerry::runtime {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

class GrammarParser {
 public:
  GrammarParser(std::string_view text, const GrammarLimits& limits)
      : text_(text), limits_(limits) {}

  Result<GrammarSyntax> run();

 private:
  using Kind = GrammarExpr::Kind;

  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] bool begins(std::string_view what) const {
    return text_.substr(at_).starts_with(what);
  }
  [[nodiscard]] Error wrong(std::string_view what) const { return wrong_at(at_, what); }
  [[nodiscard]] Error wrong_at(std::size_t where, std::string_view what) const;
  void skip_space(bool newlines);

  Result<std::string> name();
  // The number of a rule, known or still to come.
  Result<std::uint32_t> rule(const std::string& name);
  Result<void> definition();
  Result<GrammarExpr> choice(std::size_t nesting);
  Result<GrammarExpr> sequence(std::size_t nesting);
  Result<GrammarExpr> item(std::size_t nesting);
  Result<GrammarExpr> group(std::size_t nesting);
  Result<void> repeat(std::vector<GrammarExpr>& items);
  Result<CodeRange> counts();
  Result<std::uint32_t> count();
  Result<GrammarExpr> literal();
  Result<GrammarExpr> character_class();
  Result<std::uint32_t> character();
  Result<std::uint32_t> escaped();
  Result<std::uint32_t> hexadecimal(std::size_t digits);

  std::string_view text_;
  const GrammarLimits& limits_;
  std::size_t at_ = 0;
  GrammarSyntax out_;
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
  std::vector<std::size_t> used_at_;
  std::vector<bool> defined_;
};

Error GrammarParser::wrong_at(std::size_t where, std::string_view what) const {
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

void GrammarParser::skip_space(bool newlines) {
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

Result<std::string> GrammarParser::name() {
  const std::size_t from = at_;
  while (is_name(peek())) {
    ++at_;
  }
  if (at_ == from) {
    return wrong("the name of a rule is expected (letters, digits and '-')");
  }
  return std::string{text_.substr(from, at_ - from)};
}

Result<std::uint32_t> GrammarParser::rule(const std::string& name) {
  const auto known = numbers_.find(name);
  if (known != numbers_.end()) {
    return known->second;
  }
  if (numbers_.size() >= limits_.rules) {
    return wrong("a grammar has at most " + std::to_string(limits_.rules) + " rules");
  }
  const auto number = static_cast<std::uint32_t>(numbers_.size());
  numbers_.emplace(name, number);
  out_.names.push_back(name);
  out_.rules.emplace_back();
  used_at_.push_back(at_);
  defined_.push_back(false);
  return number;
}

Result<GrammarSyntax> GrammarParser::run() {
  if (text_.size() > limits_.bytes) {
    return Error{Error::Code::kInvalidArgument,
                 "grammar: it has " + std::to_string(text_.size()) + " bytes, at most " +
                     std::to_string(limits_.bytes) + " are taken"};
  }
  if (!is_utf8(text_)) {
    return Error{Error::Code::kInvalidArgument, "grammar: it must be UTF-8"};
  }
  skip_space(true);
  while (!at_end()) {
    if (Result<void> done = definition(); !done) {
      return done.error();
    }
    skip_space(true);
  }
  for (std::size_t i = 0; i < defined_.size(); ++i) {
    if (!defined_[i]) {
      return wrong_at(used_at_[i], "the rule \"" + out_.names[i] + "\" is not defined");
    }
  }
  const auto root = numbers_.find("root");
  if (root == numbers_.end()) {
    return Error{Error::Code::kInvalidArgument, "grammar: it has no rule \"root\""};
  }
  out_.root = root->second;
  return std::move(out_);
}

Result<void> GrammarParser::definition() {
  const std::size_t from = at_;
  Result<std::string> called = name();
  if (!called) {
    return called.error();
  }
  skip_space(false);
  if (!begins("::=")) {
    return wrong("\"::=\" is expected after the name of a rule");
  }
  Result<std::uint32_t> number = rule(*called);
  if (!number) {
    return number.error();
  }
  if (defined_[*number]) {
    return wrong_at(from, "the rule \"" + *called + "\" is defined twice");
  }
  at_ += 3;
  skip_space(true);
  Result<GrammarExpr> body = choice(0);
  if (!body) {
    return body.error();
  }
  if (!at_end() && peek() != '\n' && peek() != '\r') {
    return wrong("the end of the line is expected");
  }
  out_.rules[*number] = *std::move(body);
  defined_[*number] = true;
  return {};
}

Result<GrammarExpr> GrammarParser::choice(std::size_t nesting) {
  GrammarExpr out;
  out.kind = Kind::kChoice;
  while (true) {
    Result<GrammarExpr> one = sequence(nesting);
    if (!one) {
      return one;
    }
    out.parts.push_back(*std::move(one));
    if (peek() != '|') {
      break;
    }
    ++at_;
    skip_space(true);
  }
  return out.parts.size() == 1 ? std::move(out.parts.front()) : std::move(out);
}

Result<GrammarExpr> GrammarParser::sequence(std::size_t nesting) {
  GrammarExpr out;
  while (!at_end()) {
    const char c = peek();
    if (c == '*' || c == '+' || c == '?' || c == '{') {
      if (Result<void> done = repeat(out.parts); !done) {
        return done.error();
      }
    } else if (c == '"' || c == '[' || c == '(' || c == '.' || is_name(c)) {
      Result<GrammarExpr> one = item(nesting);
      if (!one) {
        return one;
      }
      out.parts.push_back(*std::move(one));
    } else if (c == '<' || c == '!') {
      return wrong("tokens by name are not offered: write the text instead");
    } else if (c == '|' || c == '\n' || c == '\r' || (c == ')' && nesting > 0)) {
      break;
    } else {
      return wrong("a text, a class, a rule or a group is expected");
    }
    skip_space(nesting > 0);
  }
  return out;
}

Result<GrammarExpr> GrammarParser::item(std::size_t nesting) {
  switch (peek()) {
    case '"':
      return literal();
    case '[':
      return character_class();
    case '(':
      return group(nesting + 1);
    case '.': {
      ++at_;
      GrammarExpr any;
      any.kind = Kind::kClass;
      any.ranges = tidy_ranges({}, true);
      return any;
    }
    default:
      break;
  }
  Result<std::string> called = name();
  if (!called) {
    return called.error();
  }
  Result<std::uint32_t> number = rule(*called);
  if (!number) {
    return number.error();
  }
  GrammarExpr call;
  call.kind = Kind::kRule;
  call.rule = *number;
  return call;
}

Result<GrammarExpr> GrammarParser::group(std::size_t nesting) {
  if (nesting > limits_.nesting) {
    return wrong("groups are nested at most " + std::to_string(limits_.nesting) + " deep");
  }
  const std::size_t from = at_++;
  skip_space(true);
  Result<GrammarExpr> inner = choice(nesting);
  if (!inner) {
    return inner;
  }
  if (peek() != ')') {
    return wrong_at(from, "this group is not closed");
  }
  ++at_;
  return inner;
}

Result<void> GrammarParser::repeat(std::vector<GrammarExpr>& items) {
  if (items.empty()) {
    return wrong("there is nothing before this to repeat");
  }
  // It would be one level more each time.
  if (items.back().kind == Kind::kRepeat) {
    return wrong("what is repeated already is not repeated again: use a group");
  }
  Result<CodeRange> read = counts();
  if (!read) {
    return read.error();
  }
  GrammarExpr out;
  out.kind = Kind::kRepeat;
  out.least = read->first;
  out.most = read->second;
  out.parts.push_back(std::move(items.back()));
  items.back() = std::move(out);
  return {};
}

// "*", "+", "?", "{m}", "{m,}", "{m,n}".
Result<CodeRange> GrammarParser::counts() {
  constexpr std::uint32_t kMany = GrammarExpr::kUnbounded;
  const char how = text_[at_++];
  if (how != '{') {
    return CodeRange{how == '+' ? 1U : 0U, how == '?' ? 1U : kMany};
  }
  skip_space(false);
  Result<std::uint32_t> least = count();
  if (!least) {
    return least.error();
  }
  std::uint32_t most = *least;
  skip_space(false);
  if (peek() == ',') {
    ++at_;
    skip_space(false);
    most = kMany;
    if (peek() >= '0' && peek() <= '9') {
      Result<std::uint32_t> given = count();
      if (!given) {
        return given.error();
      }
      most = *given;
    }
  }
  skip_space(false);
  if (peek() != '}') {
    return wrong("\"}\" is expected");
  }
  if (most < *least) {
    return wrong("the second number is less than the first");
  }
  ++at_;
  return CodeRange{*least, most};
}

Result<std::uint32_t> GrammarParser::count() {
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

Result<GrammarExpr> GrammarParser::literal() {
  const std::size_t from = at_++;
  GrammarExpr out;
  out.kind = Kind::kText;
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

Result<GrammarExpr> GrammarParser::character_class() {
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
  out.kind = Kind::kClass;
  out.ranges = tidy_ranges(std::move(ranges), negated);
  return out;
}

// One code point of a literal or a class.
Result<std::uint32_t> GrammarParser::character() {
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

Result<std::uint32_t> GrammarParser::escaped() {
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

Result<std::uint32_t> GrammarParser::hexadecimal(std::size_t digits) {
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

}  // namespace

Result<GrammarSyntax> parse_grammar_syntax(std::string_view text, const GrammarLimits& limits) {
  return GrammarParser{text, limits}.run();
}

}  // namespace skerry::runtime
