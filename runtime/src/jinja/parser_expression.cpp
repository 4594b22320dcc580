#include <algorithm>
#include <array>
#include <charconv>

#include "parser.hpp"

namespace skerry::runtime::jinja {
namespace {

constexpr std::array<std::string_view, 6> kComparisons{"==", "!=", "<=", ">=", "<", ">"};

}  // namespace

ExprPtr Parser::make(ExprKind kind, std::string name) {
  count_node();
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = peek().line;
  node->name = std::move(name);
  return node;
}

ExprPtr Parser::with(ExprPtr node, ExprPtr kid) {
  if (kid) {
    node->line = node->kids.empty() ? kid->line : node->line;
    node->depth = std::max(node->depth, kid->depth + 1);
    if (node->depth > limits_.parse_depth * 2) {
      wrong("an expression is nested too deeply");
    }
  }
  node->kids.push_back(std::move(kid));
  return node;
}

ExprPtr Parser::expression() {
  const Deeper deeper(*this);
  return condition();
}

// "a, b" is a tuple, which is a list here.
ExprPtr Parser::expression_list() {
  ExprPtr first = expression();
  if (!is(",")) {
    return first;
  }
  ExprPtr list = with(make(ExprKind::kList), std::move(first));
  while (take(",") && peek().kind != TokenKind::kBlockEnd) {
    list = with(std::move(list), expression());
  }
  return list;
}

ExprPtr Parser::condition() {
  ExprPtr value = disjunction();
  while (take_word("if")) {
    ExprPtr node = with(make(ExprKind::kCondition), std::move(value));
    node = with(std::move(node), disjunction());
    node = with(std::move(node), take_word("else") ? expression() : nullptr);
    value = std::move(node);
  }
  return value;
}

ExprPtr Parser::disjunction() {
  ExprPtr left = conjunction();
  while (take_word("or")) {
    left = with(make(ExprKind::kBinary, "or"), std::move(left));
    left = with(std::move(left), conjunction());
  }
  return left;
}

ExprPtr Parser::conjunction() {
  ExprPtr left = negation();
  while (take_word("and")) {
    left = with(make(ExprKind::kBinary, "and"), std::move(left));
    left = with(std::move(left), negation());
  }
  return left;
}

ExprPtr Parser::negation() {
  if (take_word("not")) {
    const Deeper deeper(*this);
    return with(make(ExprKind::kUnary, "not"), negation());
  }
  return comparison();
}

ExprPtr Parser::comparison() {
  ExprPtr left = sum();
  ExprPtr chain;
  while (true) {
    std::string op;
    for (const std::string_view one : kComparisons) {
      if (op.empty() && is(one)) {
        op = one;
      }
    }
    if (op.empty() && is_word("in")) {
      op = "in";
    } else if (op.empty() && is_word("not") && is_word("in", 1)) {
      next();
      op = "not in";
    }
    if (op.empty()) {
      return chain ? std::move(chain) : std::move(left);
    }
    next();
    if (!chain) {
      chain = with(make(ExprKind::kCompare), std::move(left));
    }
    chain->ops.push_back(std::move(op));
    chain = with(std::move(chain), sum());
  }
}

ExprPtr Parser::sum() {
  ExprPtr left = concatenation();
  while (is("+") || is("-")) {
    left = with(make(ExprKind::kBinary, next().text), std::move(left));
    left = with(std::move(left), concatenation());
  }
  return left;
}

ExprPtr Parser::concatenation() {
  ExprPtr left = product();
  while (take("~")) {
    left = with(make(ExprKind::kBinary, "~"), std::move(left));
    left = with(std::move(left), product());
  }
  return left;
}

ExprPtr Parser::product() {
  ExprPtr left = power();
  while (is("*") || is("/") || is("//") || is("%")) {
    left = with(make(ExprKind::kBinary, next().text), std::move(left));
    left = with(std::move(left), power());
  }
  return left;
}

ExprPtr Parser::power() {
  ExprPtr left = unary(true);
  while (take("**")) {
    left = with(make(ExprKind::kBinary, "**"), std::move(left));
    left = with(std::move(left), unary(true));
  }
  return left;
}

ExprPtr Parser::unary(bool with_filters) {
  const Deeper deeper(*this);
  ExprPtr node;
  if (is("-") || is("+")) {
    node = make(ExprKind::kUnary, next().text);
    node = with(std::move(node), unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters(std::move(node)) : std::move(node);
}

ExprPtr Parser::primary() {
  switch (peek().kind) {
    case TokenKind::kString:
      return strings();
    case TokenKind::kInteger:
      return number<std::int64_t>();
    case TokenKind::kFloat:
      return number<double>();
    case TokenKind::kName:
      return constant_or_name();
    default:
      break;
  }
  if (is("(")) {
    return parenthesis();
  }
  if (is("[")) {
    return list();
  }
  if (is("{")) {
    return dictionary();
  }
  wrong("an expression is expected, not " + shown());
}

// Strings that follow each other are one.
ExprPtr Parser::strings() {
  ExprPtr node = make(ExprKind::kLiteral);
  auto text = std::make_shared<ChatText>();
  while (peek().kind == TokenKind::kString) {
    text->append(next().text);
  }
  node->literal = Value{std::shared_ptr<const ChatText>{std::move(text)}};
  return node;
}

template <typename Number>
ExprPtr Parser::number() {
  ExprPtr node = make(ExprKind::kLiteral);
  Number value = 0;
  const std::string& digits = next().text;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (read.ec != std::errc{}) {
    wrong("a number is too large");
  }
  node->literal = Value{value};
  return node;
}

ExprPtr Parser::constant_or_name() {
  ExprPtr node = make(ExprKind::kLiteral);
  const std::string& word = next().text;
  if (word == "true" || word == "True") {
    node->literal = Value{true};
  } else if (word == "false" || word == "False") {
    node->literal = Value{false};
  } else if (word == "none" || word == "None") {
    node->literal = Value{None{}};
  } else {
    node->kind = ExprKind::kName;
    node->name = word;
  }
  return node;
}

ExprPtr Parser::list() {
  expect("[");
  ExprPtr list = make(ExprKind::kList);
  while (!is("]")) {
    list = with(std::move(list), expression());
    if (!take(",")) {
      break;
    }
  }
  expect("]");
  return list;
}

ExprPtr Parser::parenthesis() {
  expect("(");
  if (take(")")) {
    return make(ExprKind::kList);
  }
  ExprPtr first = expression();
  if (is(",")) {
    ExprPtr list = with(make(ExprKind::kList), std::move(first));
    while (take(",") && !is(")")) {
      list = with(std::move(list), expression());
    }
    first = std::move(list);
  }
  expect(")");
  return first;
}

ExprPtr Parser::dictionary() {
  ExprPtr dict = make(ExprKind::kDict);
  expect("{");
  while (!is("}")) {
    dict = with(std::move(dict), expression());
    expect(":");
    dict = with(std::move(dict), expression());
    if (!take(",")) {
      break;
    }
  }
  expect("}");
  return dict;
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (take(".")) {
      if (peek().kind == TokenKind::kInteger) {
        node = with(make(ExprKind::kIndex), std::move(node));
        node = with(std::move(node), primary());
      } else {
        node = with(make(ExprKind::kMember, name("a member's name")), std::move(node));
      }
    } else if (is("[")) {
      node = subscript(std::move(node));
    } else if (is("(")) {
      node = with(make(ExprKind::kCall), std::move(node));
      arguments(*node);
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filters(ExprPtr node) {
  while (true) {
    if (take("|")) {
      node = filter(std::move(node));
    } else if (is_word("is")) {
      next();
      node = test(std::move(node));
    } else if (is("(")) {
      node = with(make(ExprKind::kCall), std::move(node));
      arguments(*node);
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filter(ExprPtr node) {
  ExprPtr out = with(make(ExprKind::kFilter, name("a filter's name")), std::move(node));
  if (is("(")) {
    arguments(*out);
  }
  return out;
}

ExprPtr Parser::test(ExprPtr node) {
  const bool negated = take_word("not");
  ExprPtr out = with(make(ExprKind::kTest, name("a test's name")), std::move(node));
  const TokenKind kind = peek().kind;
  const bool word = kind == TokenKind::kName && !is_word("else") && !is_word("or") &&
                    !is_word("and") && !is_word("if") && !is_word("is") && !is_word("not") &&
                    !is_word("in");
  if (is("(")) {
    arguments(*out);
  } else if (word || kind == TokenKind::kString || kind == TokenKind::kInteger ||
             kind == TokenKind::kFloat || is("[") || is("{")) {
    const Deeper deeper(*this);
    out = with(std::move(out), postfix(primary()));
  }
  return negated ? with(make(ExprKind::kUnary, "not"), std::move(out)) : std::move(out);
}

ExprPtr Parser::subscript(ExprPtr node) {
  expect("[");
  std::vector<ExprPtr> parts;
  std::size_t colons = 0;
  parts.push_back(is(":") ? nullptr : expression());
  while (take(":")) {
    ++colons;
    parts.push_back(is(":") || is("]") ? nullptr : expression());
  }
  expect("]");
  if (colons > 2) {
    wrong("a slice has at most three parts");
  }
  parts.resize(colons == 0 ? 1 : 3);
  ExprPtr out = with(make(colons == 0 ? ExprKind::kIndex : ExprKind::kSlice), std::move(node));
  for (ExprPtr& part : parts) {
    out = with(std::move(out), std::move(part));
  }
  return out;
}

void Parser::arguments(Expr& call) {
  expect("(");
  while (!is(")")) {
    if (is("*") || is("**")) {
      wrong("arguments by * are not offered");
    }
    ExprPtr value;
    std::string named;
    if (peek().kind == TokenKind::kName && peek(1).kind == TokenKind::kOperator &&
        peek(1).text == "=") {
      named = next().text;
      next();
    }
    value = expression();
    call.depth = std::max(call.depth, value->depth + 1);
    if (!named.empty()) {
      call.named.emplace_back(std::move(named), std::move(value));
    } else if (call.named.empty()) {
      call.kids.push_back(std::move(value));
    } else {
      wrong("an argument without a name follows one with a name");
    }
    if (!take(",")) {
      break;
    }
  }
  expect(")");
}

}  // namespace skerry::runtime::jinja
