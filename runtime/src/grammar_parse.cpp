// The notation of GBNF, as llama.cpp's grammars/README.md has it; tokens by name (<think>) and lazy
// grammars are not part of it here.

#include <algorithm>

#include "skerry/common/bytes.hpp"

#include "grammar_reader.hpp"

namespace skerry::runtime {
namespace {

class GrammarParser {
 public:
  GrammarParser(std::string_view text, const GrammarLimits& limits)
      : in_(text, limits), text_(text), limits_(limits) {}

  Result<GrammarSyntax> run();

 private:
  using Kind = GrammarExpr::Kind;

  // The number of a rule, known or still to come.
  Result<std::uint32_t> rule(const std::string& name);
  Result<void> definition();
  Result<GrammarExpr> choice(std::size_t nesting);
  Result<GrammarExpr> sequence(std::size_t nesting);
  Result<GrammarExpr> item(std::size_t nesting);
  Result<GrammarExpr> group(std::size_t nesting);
  Result<void> repeat(std::vector<GrammarExpr>& items);
  // One more of what is written.
  Result<void> spend();
  Result<CodeRange> counts();

  GrammarReader in_;
  std::string_view text_;
  const GrammarLimits& limits_;
  GrammarSyntax out_;
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
  std::vector<std::size_t> used_at_;
  std::vector<bool> defined_;
  std::size_t items_ = 0;
};

Result<std::uint32_t> GrammarParser::rule(const std::string& name) {
  const auto known = numbers_.find(name);
  if (known != numbers_.end()) {
    return known->second;
  }
  if (numbers_.size() >= limits_.rules) {
    return in_.wrong("a grammar has at most " + std::to_string(limits_.rules) + " rules");
  }
  const auto number = static_cast<std::uint32_t>(numbers_.size());
  numbers_.emplace(name, number);
  out_.names.push_back(name);
  out_.rules.emplace_back();
  used_at_.push_back(in_.at());
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
  in_.skip_space(true);
  while (!in_.at_end()) {
    if (Result<void> done = definition(); !done) {
      return done.error();
    }
    in_.skip_space(true);
  }
  for (std::size_t i = 0; i < defined_.size(); ++i) {
    if (!defined_[i]) {
      return in_.wrong_at(used_at_[i], "the rule \"" + out_.names[i] + "\" is not defined");
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
  const std::size_t from = in_.at();
  Result<std::string> called = in_.name();
  if (!called) {
    return called.error();
  }
  in_.skip_space(false);
  if (!in_.begins("::=")) {
    return in_.wrong("\"::=\" is expected after the name of a rule");
  }
  Result<std::uint32_t> number = rule(*called);
  if (!number) {
    return number.error();
  }
  if (defined_[*number]) {
    return in_.wrong_at(from, "the rule \"" + *called + "\" is defined twice");
  }
  in_.skip(3);
  in_.skip_space(true);
  Result<GrammarExpr> body = choice(0);
  if (!body) {
    return body.error();
  }
  if (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r') {
    return in_.wrong("the end of the line is expected");
  }
  out_.rules[*number] = *std::move(body);
  defined_[*number] = true;
  return {};
}

Result<GrammarExpr> GrammarParser::choice(std::size_t nesting) {
  GrammarExpr out;
  out.kind = Kind::kChoice;
  while (true) {
    if (Result<void> done = spend(); !done) {
      return done.error();
    }
    Result<GrammarExpr> one = sequence(nesting);
    if (!one) {
      return one;
    }
    out.parts.push_back(*std::move(one));
    if (in_.peek() != '|') {
      break;
    }
    in_.skip(1);
    in_.skip_space(true);
  }
  return out.parts.size() == 1 ? std::move(out.parts.front()) : std::move(out);
}

Result<GrammarExpr> GrammarParser::sequence(std::size_t nesting) {
  GrammarExpr out;
  while (!in_.at_end()) {
    const char c = in_.peek();
    if (c == '*' || c == '+' || c == '?' || c == '{') {
      if (Result<void> done = repeat(out.parts); !done) {
        return done.error();
      }
    } else if (c == '"' || c == '[' || c == '(' || c == '.' || GrammarReader::is_name(c)) {
      Result<GrammarExpr> one = item(nesting);
      if (!one) {
        return one;
      }
      out.parts.push_back(*std::move(one));
    } else if (c == '<' || c == '!') {
      return in_.wrong("tokens by name are not offered: write the text instead");
    } else if (c == '|' || c == '\n' || c == '\r' || (c == ')' && nesting > 0)) {
      break;
    } else {
      return in_.wrong("a text, a class, a rule or a group is expected");
    }
    in_.skip_space(nesting > 0);
  }
  return out;
}

Result<void> GrammarParser::spend() {
  if (++items_ > limits_.items) {
    return in_.wrong("a grammar has at most " + std::to_string(limits_.items) +
                     " texts, classes, names, groups and alternatives");
  }
  return {};
}

Result<GrammarExpr> GrammarParser::item(std::size_t nesting) {
  if (Result<void> done = spend(); !done) {
    return done.error();
  }
  switch (in_.peek()) {
    case '"':
      return in_.literal();
    case '[':
      return in_.character_class();
    case '(':
      return group(nesting + 1);
    case '.': {
      in_.skip(1);
      GrammarExpr any;
      any.kind = Kind::kClass;
      any.ranges = tidy_ranges({}, true);
      return any;
    }
    default:
      break;
  }
  Result<std::string> called = in_.name();
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
    return in_.wrong("groups are nested at most " + std::to_string(limits_.nesting) + " deep");
  }
  const std::size_t from = in_.at();
  in_.skip(1);
  in_.skip_space(true);
  Result<GrammarExpr> inner = choice(nesting);
  if (!inner) {
    return inner;
  }
  if (in_.peek() != ')') {
    return in_.wrong_at(from, "this group is not closed");
  }
  in_.skip(1);
  return inner;
}

Result<void> GrammarParser::repeat(std::vector<GrammarExpr>& items) {
  if (items.empty()) {
    return in_.wrong("there is nothing before this to repeat");
  }
  // It would be one level more each time.
  if (items.back().kind == Kind::kRepeat) {
    return in_.wrong("what is repeated already is not repeated again: use a group");
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
  const char how = in_.peek();
  in_.skip(1);
  if (how != '{') {
    return CodeRange{how == '+' ? 1U : 0U, how == '?' ? 1U : kMany};
  }
  in_.skip_space(false);
  Result<std::uint32_t> least = in_.count();
  if (!least) {
    return least.error();
  }
  std::uint32_t most = *least;
  in_.skip_space(false);
  if (in_.peek() == ',') {
    in_.skip(1);
    in_.skip_space(false);
    most = kMany;
    if (in_.peek() >= '0' && in_.peek() <= '9') {
      Result<std::uint32_t> given = in_.count();
      if (!given) {
        return given.error();
      }
      most = *given;
    }
  }
  in_.skip_space(false);
  if (in_.peek() != '}') {
    return in_.wrong("\"}\" is expected");
  }
  if (most < *least) {
    return in_.wrong("the second number is less than the first");
  }
  in_.skip(1);
  return CodeRange{*least, most};
}

}  // namespace

Result<GrammarSyntax> parse_grammar_syntax(std::string_view text, const GrammarLimits& limits) {
  return GrammarParser{text, limits}.run();
}

}  // namespace skerry::runtime
