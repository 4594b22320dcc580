#pragma once

// The two halves of the parser share the tokens: expressions (parser_expression.cpp) and statements
// (parser.cpp).

#include "ast.hpp"
#include "token.hpp"

namespace skerry::runtime::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, const TemplateLimits& limits)
      : tokens_(std::move(tokens)), limits_(limits) {}
  std::unique_ptr<Program> run();

 private:
  // Statements.
  Block block(const std::vector<std::string_view>& ends, std::string& found);
  std::unique_ptr<Stmt> statement(const std::string& word);
  std::unique_ptr<Stmt> statement_if();
  std::unique_ptr<Stmt> statement_for();
  std::unique_ptr<Stmt> statement_set();
  std::unique_ptr<Stmt> statement_macro(bool call);
  std::unique_ptr<Stmt> statement_filter();
  Block body_until(std::string_view end);
  std::vector<std::string> targets();
  std::vector<std::pair<std::string, ExprPtr>> parameters();

  // Expressions, from the loosest to the tightest.
  ExprPtr expression();
  ExprPtr expression_list();
  ExprPtr condition();
  ExprPtr disjunction();
  ExprPtr conjunction();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters);
  ExprPtr primary();
  ExprPtr strings();
  template <typename Number>
  ExprPtr number();
  ExprPtr constant_or_name();
  ExprPtr list();
  ExprPtr parenthesis();
  ExprPtr dictionary();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters(ExprPtr node);
  ExprPtr filter(ExprPtr node);
  ExprPtr test(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  void arguments(Expr& call);

  // Tokens.
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
  }
  const Token& next() {
    const Token& token = peek();
    position_ = std::min(position_ + 1, tokens_.size() - 1);
    return token;
  }
  [[nodiscard]] bool is(std::string_view op) const {
    return peek().kind == TokenKind::kOperator && peek().text == op;
  }
  [[nodiscard]] bool is_word(std::string_view word, std::size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::kName && peek(ahead).text == word;
  }
  bool take(std::string_view op);
  bool take_word(std::string_view word);
  void expect(std::string_view op);
  void expect_word(std::string_view word);
  void end_tag();
  std::string name(std::string_view what);
  [[noreturn]] void wrong(std::string message) const;
  [[nodiscard]] std::string shown() const;

  ExprPtr make(ExprKind kind, std::string name = {});
  ExprPtr with(ExprPtr node, ExprPtr kid);
  void count_node();

  class Deeper {
   public:
    explicit Deeper(Parser& parser);
    ~Deeper() { --parser_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Parser& parser_;
  };

  std::vector<Token> tokens_;
  TemplateLimits limits_;
  std::size_t position_ = 0;
  std::size_t nodes_ = 0;
  std::size_t depth_ = 0;
  std::size_t loops_ = 0;
};

}  // namespace skerry::runtime::jinja
